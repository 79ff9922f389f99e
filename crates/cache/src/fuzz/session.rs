//! What is stored of a multipart upload, and what its client calls it.

use crate::multipart::UploadId;
use crate::multipart::session::Session;
use crate::{Attributes, Scope};

pub(super) fn target(bytes: &[u8]) {
    if let Some(session) = Session::decode(&Scope::default(), bytes, Attributes::default()) {
        assert_eq!(session.encode(), bytes);
        assert!(session.target.kind().is_keyed());
    }
    if let Some(id) = str::from_utf8(bytes).ok().and_then(UploadId::parse) {
        assert_eq!(id.to_string().as_bytes(), bytes);
    }
}
