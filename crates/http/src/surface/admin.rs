//! `DELETE /admin/namespaces/{namespace}`: from its answer on nothing is in the namespace any more, or in an overlay of it. `…/{kind}/{key}`: one artifact,
//! through whichever surface it came.

use http::request::Parts;
use http::{Method, Response, StatusCode};
use kura_auth::Access;
use kura_cache::{ArtifactKey, Kind};
use serde_json::{Value, json};

use super::Manner;
use crate::answer::Answer;
use crate::error::Refusal;
use crate::openapi::route::{CHANGE, Given, Operation, Parameter, Route};
use crate::site::Site;
use crate::{key, scope};

pub(super) static MANNER: Manner = Manner { allow: "DELETE", ..Manner::of("application/json") };

pub(super) static ROUTES: &[Route] = &[
    Route::others(
        "/admin/namespaces/{namespace}",
        "All of a namespace, which may be of several parts: `a%2Fb`. Of the query, only the tenant and the overlay count.",
        &[Operation::of("delete", "Empty it", &[Given::nothing(204, "It is empty")]).refuses(CHANGE)],
    )
    .query(OVERLAY),
    Route::others(
        "/admin/namespaces/{namespace}/{kind}/{key}",
        "One artifact, by its kind and its key as `kura inspect` names them; blobs (`cas`) and action results (`action`) by their hash. A key may hold \
         `/`, as it is or as `%2F`.",
        &[Operation::of("delete", "Remove it", &[Given::nothing(204, "It is gone")])
            .refuses(&[400, 401, 403, 404, 429, 500, 503, 507])],
    )
    .query(OVERLAY),
];

const OVERLAY: &[Parameter] =
    &[Parameter::optional("overlay", "An overlay of the namespace, in place of itself", overlay_schema)];

fn overlay_schema() -> Value {
    json!({ "type": "string", "maxLength": 255 })
}

const ROOT: &str = "/admin/namespaces/";

pub(super) fn owns(path: &str) -> bool {
    path.starts_with(ROOT)
}

pub(super) async fn aside(site: &Site, access: &Access, parts: &Parts) -> Result<Option<Response<Answer>>, Refusal> {
    if parts.method != Method::DELETE {
        return Err(Refusal::method(MANNER.allow));
    }
    let rest = parts.uri.path().strip_prefix(ROOT).unwrap_or_default();
    let (namespace, artifact) = match rest.split_once('/') {
        Some((namespace, artifact)) => (namespace, Some(artifact)),
        None => (rest, None),
    };
    let mut named = scope::named(parts.uri.query(), &[])?;
    named.namespace = Some(key::namespace(namespace)?);
    let scope = access.scope(named)?;
    let cache = site.cache_for(access)?;
    match artifact {
        None => cache.clean(&scope).await?,
        Some(artifact) => {
            let (kind, name) = artifact.split_once('/').unwrap_or((artifact, ""));
            let kind = Kind::named(kind).ok_or_else(|| Refusal::bad_request("there is no such kind of artifacts"))?;
            if !cache.delete(&ArtifactKey::named(&scope, kind, &key::path(name)?)?).await? {
                return Err(Refusal::miss());
            }
        }
    }
    Ok(Some(Answer::nothing(StatusCode::NO_CONTENT)))
}
