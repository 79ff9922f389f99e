//! Metro's `HttpStore`: `/metro/<key>`, and `/api/metro/cache/<key>` for those who come from another server. It uploads in chunks, without a type.

use kura_cache::{ArtifactKey, InvalidKey, Kind, Scope};

use super::Manner;
use crate::key;
use crate::openapi::route::Route;

pub(super) static MANNER: Manner = Manner::of("application/octet-stream");

pub(super) static ROUTES: &[Route] = &[
    Route::artifacts("/metro/{key}", "A transformed file."),
    Route::artifacts("/api/metro/cache/{key}", "The same, by another path."),
];

const PREFIXES: [&str; 2] = ["/metro/", "/api/metro/cache/"];

/// One segment: deeper paths are Bazel's.
fn segment(path: &str) -> Option<&str> {
    PREFIXES.iter().find_map(|prefix| path.strip_prefix(prefix)).filter(|key| !key.contains('/'))
}

pub(super) fn owns(path: &str) -> bool {
    segment(path).is_some()
}

pub(super) fn key(path: &str, scope: &Scope) -> Result<ArtifactKey, InvalidKey> {
    ArtifactKey::keyed(scope, Kind::Metro, &key::opaque(segment(path).ok_or(InvalidKey::Empty)?)?)
}
