//! `DELETE /api/cache/clean`: from its answer on the project's cache is empty, uploads that are under way included.

use http::request::Parts;
use http::{Method, Response, StatusCode};
use kura_auth::Access;

use super::super::Manner;
use crate::answer::Answer;
use crate::error::Refusal;
use crate::openapi::route::{CHANGE, Given, Operation, Route};
use crate::scope;
use crate::site::Site;

pub(in crate::surface) static MANNER: Manner = Manner { allow: "DELETE", ..Manner::of("application/json") };

pub(in crate::surface) static ROUTES: &[Route] = &[Route::others(
    "/api/cache/clean",
    "All of a namespace.",
    &[Operation::of("delete", "Empty it", &[Given::nothing(204, "It is empty")]).refuses(CHANGE)],
)];

pub(in crate::surface) async fn aside(
    site: &Site,
    access: &Access,
    parts: &Parts,
) -> Result<Option<Response<Answer>>, Refusal> {
    if super::below(parts.uri.path(), "clean") != Some("") {
        return Err(Refusal::miss());
    }
    if parts.method != Method::DELETE {
        return Err(Refusal::method(MANNER.allow));
    }
    site.cache_for(access)?.clean(&scope::of_query(access, parts.uri.query())?).await?;
    Ok(Some(Answer::nothing(StatusCode::NO_CONTENT)))
}
