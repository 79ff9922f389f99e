//! The path of a request: whose it is, and which key it names. However a path is spelled, it names the same.

use kura_auth::Access;
use kura_cache::Kind;

use crate::key;
use crate::settings::ServerSettings;
use crate::surface::Surface;

pub(super) fn target(bytes: &[u8]) {
    let Ok(path) = str::from_utf8(bytes) else { return };
    let settings = ServerSettings { opaque_prefixes: vec!["/moon".to_owned()], ..ServerSettings::default() };
    let surface = Surface::of(path);
    let Ok(scope) = surface.scope(&Access::anyone(), path, None) else { return };
    let Ok(named) = surface.key(path, None, &scope, &settings) else { return };
    let may_be: &[Kind] = match surface {
        Surface::Bazel => &[Kind::Cas, Kind::Action, Kind::Opaque],
        Surface::Gradle => &[Kind::Gradle],
        Surface::Ccache => &[Kind::Ccache],
        Surface::Generic => &[Kind::Http],
        Surface::Metro => &[Kind::Metro],
        Surface::Nx => &[Kind::Nx],
        Surface::Turborepo => &[Kind::Turborepo],
        Surface::Webdav => &[Kind::Webdav],
        Surface::Xcode => &[Kind::Xcode],
        Surface::KeyValue => &[Kind::KeyValue],
        Surface::TuistGradle => &[Kind::Gradle],
        Surface::Module => &[Kind::Module],
        Surface::S3 | Surface::Clean | Surface::Admin | Surface::Page => &[],
    };
    assert!(may_be.contains(&named.kind()), "{named:?} through {surface:?}");
    if surface == Surface::Bazel {
        return;
    }
    // The first segment says the surface; what is behind it is decoded.
    let respell = |(at, segment): (usize, &str)| match at {
        0 | 1 => segment.to_owned(),
        _ => key::encode(&key::decode(segment).unwrap()),
    };
    let respelled = path.split('/').enumerate().map(respell).collect::<Vec<_>>().join("/");
    assert_eq!(Surface::of(&respelled), surface);
    let again = surface.scope(&Access::anyone(), &respelled, None).unwrap();
    let again = surface.key(&respelled, None, &again, &settings).unwrap();
    assert_eq!(format!("{named:?}"), format!("{again:?}"), "{path} and {respelled}");
}
