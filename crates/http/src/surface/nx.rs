//! Nx's self-hosted cache: `/v1/cache/<hash>`. The strictest of all clients: what is stored answers exactly 200, and what is there is never written
//! again, which answers 409.

use kura_cache::{ArtifactKey, InvalidKey, Kind, Scope};

use super::Manner;
use crate::key;
use crate::openapi::route::Route;

pub(super) static MANNER: Manner = Manner { may_overwrite: false, ..Manner::of("application/octet-stream") };

pub(super) static ROUTES: &[Route] =
    &[Route::artifacts("/v1/cache/{key}", "What a task made. It is never written again.")];

const PREFIX: &str = "/v1/cache/";

/// One segment: deeper paths are Bazel's.
fn segment(path: &str) -> Option<&str> {
    path.strip_prefix(PREFIX).filter(|key| !key.contains('/'))
}

pub(super) fn owns(path: &str) -> bool {
    segment(path).is_some()
}

pub(super) fn key(path: &str, scope: &Scope) -> Result<ArtifactKey, InvalidKey> {
    ArtifactKey::keyed(scope, Kind::Nx, &key::opaque(segment(path).ok_or(InvalidKey::Empty)?)?)
}
