//! Xcode's compilation cache: `/api/cache/cas/<id>`, saved by POST. Its ids are its own: nothing is checked against them, but a body that says its
//! checksum is held against that, and gives it back.

use http::StatusCode;
use kura_cache::{ArtifactKey, InvalidKey, Kind, Scope};

use super::super::Manner;
use crate::openapi::route::Route;
use crate::{attribute, key};

const CHECKSUM: &str = "tuist-checksum-sha256";

pub(in crate::surface) static MANNER: Manner = Manner {
    keeps: &[(CHECKSUM, attribute::CHECKSUM)],
    allow: "GET, HEAD, POST",
    saves: "POST",
    checksum: Some(CHECKSUM),
    stored: (StatusCode::NO_CONTENT, ""),
    ..Manner::of("application/octet-stream")
};

pub(in crate::surface) static ROUTES: &[Route] = &[Route::artifacts("/api/cache/cas/{id}", "What a compilation made.")];

pub(in crate::surface) fn key(path: &str, scope: &Scope) -> Result<ArtifactKey, InvalidKey> {
    ArtifactKey::keyed(scope, Kind::Xcode, &key::opaque(super::segment(path, "cas").ok_or(InvalidKey::Empty)?)?)
}
