//! Paths that WebDAV's clients ask about: a file or a collection, and the document that tells of it. No client's document is read.

use http::Uri;
use kura_cache::{Presence, Scope, Version};

use crate::settings::ServerSettings;
use crate::surface::Surface;
use crate::surface::webdav::{is_collection, properties};

pub(super) fn target(bytes: &[u8]) {
    // Only what the library takes for an address comes this far.
    let Ok(uri) = Uri::try_from([b"/webdav/", bytes].concat()) else { return };
    let path = uri.path();
    assert_eq!(Surface::of(path), Surface::Webdav);
    let names_a_file = Surface::Webdav.key(path, None, &Scope::default(), &ServerSettings::default()).is_ok();
    match is_collection(path) {
        Ok(true) => assert!(!names_a_file, "it is one or the other: {path}"),
        Ok(false) => {}
        Err(_) => assert!(!names_a_file, "what leads elsewhere names nothing: {path}"),
    }
    let (length, version) = (bytes.len() as u64, Version(u64::MAX));
    for file in [None, Some(Presence { length, version })] {
        let document = properties(path, file);
        let (_, href) = document.split_once("<D:href>").unwrap();
        let (href, _) = href.split_once("</D:href>").unwrap();
        assert!(!href.contains(['<', '>']), "{document}");
        let meant = href.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        assert_eq!(meant, path, "it is named as it was asked for");
    }
}
