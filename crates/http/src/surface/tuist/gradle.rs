//! Gradle's build cache through Tuist: `/api/cache/gradle/<key>`, the same artifacts as under `/cache/`. What was not there before is told by 201.

use http::StatusCode;
use kura_cache::{ArtifactKey, InvalidKey, Kind, Scope};

use super::super::{Manner, gradle};
use crate::key;
use crate::openapi::route::Route;

pub(in crate::surface) static MANNER: Manner = Manner {
    created: Some(StatusCode::CREATED),
    not_for_readers: gradle::MANNER.not_for_readers,
    ..Manner::of(gradle::MANNER.content_type)
};

pub(in crate::surface) static ROUTES: &[Route] =
    &[Route::artifacts("/api/cache/gradle/{key}", "What a task made: the same as under `/cache/`.")];

pub(in crate::surface) fn key(path: &str, scope: &Scope) -> Result<ArtifactKey, InvalidKey> {
    ArtifactKey::keyed(scope, Kind::Gradle, &key::opaque(super::segment(path, "gradle").ok_or(InvalidKey::Empty)?)?)
}
