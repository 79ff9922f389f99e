//! Gradle's build cache: `/cache/<key>`.

use http::StatusCode;
use kura_cache::{ArtifactKey, InvalidKey, Kind, Scope};

use super::Manner;
use crate::key;
use crate::openapi::route::Route;

pub(super) static MANNER: Manner = Manner {
    // After any other refusal a build does without the cache to its end; this one Gradle calls no error, if not in all of its versions.
    not_for_readers: StatusCode::PAYLOAD_TOO_LARGE,
    ..Manner::of("application/vnd.gradle.build-cache-artifact.v1")
};

pub(super) static ROUTES: &[Route] = &[Route::artifacts("/cache/{key}", "What a task made.")];

/// One segment below `/cache/`: deeper paths are Bazel's, under the prefix `/cache`.
fn segment(path: &str) -> Option<&str> {
    path.strip_prefix("/cache/").filter(|key| !key.contains('/'))
}

pub(super) fn owns(path: &str) -> bool {
    segment(path).is_some()
}

pub(super) fn key(path: &str, scope: &Scope) -> Result<ArtifactKey, InvalidKey> {
    let segment = segment(path).ok_or(InvalidKey::Empty)?;
    ArtifactKey::keyed(scope, Kind::Gradle, &key::opaque(segment)?)
}
