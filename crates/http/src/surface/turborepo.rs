//! Turborepo's remote cache, version 8: `/v8/artifacts/<hash>`. A signature and a duration come with an artifact and go with it: a signed repository
//! takes one without its signature for a miss. Beside artifacts there are the status, a query about many, events, and the preflight of browsers.
//! The team, by `teamId` or `slug`, is the namespace.

use bytes::Bytes;
use http::header::{ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use kura_auth::{Access, Named};
use kura_cache::{ArtifactKey, Attributes, Cache, InvalidKey, Kind, Scope};
use serde::{Deserialize, Serialize};

use super::Manner;
use crate::answer::Answer;
use crate::body::Arriving;
use crate::error::Refusal;
use crate::memory::Class;
use crate::site::Site;
use crate::{attribute, key, scope};

pub(super) static MANNER: Manner = Manner {
    keeps: &[("x-artifact-tag", attribute::TAG), ("x-artifact-duration", attribute::DURATION)],
    stored: (StatusCode::ACCEPTED, "{\"urls\":[]}"),
    ..Manner::of("application/octet-stream")
};

const ROOT: &str = "/v8/artifacts";

/// What a browser, and a client that acts like one, may send.
const ALLOWED_HEADERS: &str = "Authorization, Content-Type, User-Agent, x-artifact-tag, x-artifact-duration, \
                               x-artifact-client-ci, x-artifact-client-interactive";

/// The most hashes of one query.
const MAX_ASKED: usize = 1000;

/// The longest query, in bytes.
const MAX_QUERY: usize = 256 << 10;

/// Memory of one: its text, what is made of it, and the answer, in bytes.
const QUERY_MEMORY: u64 = 4 << 20;

/// Below [`ROOT`].
fn rest(path: &str) -> Option<&str> {
    path.strip_prefix(ROOT).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

pub(super) fn owns(path: &str) -> bool {
    rest(path).is_some()
}

pub(super) fn named(query: Option<&str>) -> Result<Named, InvalidKey> {
    scope::named(query, &["teamId", "slug"])
}

pub(super) fn key(path: &str, scope: &Scope) -> Result<ArtifactKey, InvalidKey> {
    let hash = rest(path).and_then(|rest| rest.strip_prefix('/')).ok_or(InvalidKey::Empty)?;
    keyed(scope, &key::opaque(hash)?)
}

fn keyed(scope: &Scope, hash: &[u8]) -> Result<ArtifactKey, InvalidKey> {
    ArtifactKey::keyed(scope, Kind::Turborepo, hash)
}

pub(super) async fn aside(
    site: &Site,
    access: &Access,
    parts: &Parts,
    body: &mut Arriving<'_>,
) -> Result<Option<Response<Answer>>, Refusal> {
    match (&parts.method, rest(parts.uri.path())) {
        (&Method::OPTIONS, _) => Ok(Some(preflight())),
        (&Method::GET, Some("/status")) => Ok(Some(json(Bytes::from_static(b"{\"status\":\"enabled\"}")))),
        // What was used and how: nothing is made of it.
        (&Method::POST, Some("/events")) => Ok(Some(Response::new(Answer::Empty))),
        (&Method::POST, Some("" | "/")) => {
            let held = site.memory.hold(Class::Request, QUERY_MEMORY);
            let _held = held.ok_or_else(|| Refusal::overload("too many queries are under way"))?;
            let scope = access.scope(named(parts.uri.query())?)?;
            let asked = read(body).await?;
            Ok(Some(query(&site.cache_for(access)?, &scope, &asked).await?))
        }
        _ => Ok(None),
    }
}

fn preflight() -> Response<Answer> {
    let mut response = Response::new(Answer::Empty);
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, PUT, POST, OPTIONS"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED_HEADERS));
    response
}

fn json(body: Bytes) -> Response<Answer> {
    let mut response = Response::new(Answer::whole(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[derive(Deserialize)]
struct Asked {
    hashes: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    size: u64,
    task_duration_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
}

/// The body of a query.
async fn read(body: &mut Arriving<'_>) -> Result<Asked, Refusal> {
    const TOO_LARGE: &str = "a query has at most 256 KiB and 1000 hashes";
    let read = body.gather(MAX_QUERY, TOO_LARGE).await?;
    let asked: Asked = serde_json::from_slice(&read)
        .map_err(|error| Refusal::bad_request(format!("no query, which is {{\"hashes\": [...]}}: {error}")))?;
    if asked.hashes.len() > MAX_ASKED {
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE));
    }
    Ok(asked)
}

/// What is there of each: `null` for what is not.
async fn query(cache: &Cache, scope: &Scope, asked: &Asked) -> Result<Response<Answer>, Refusal> {
    let mut told = serde_json::Map::new();
    for hash in &asked.hashes {
        let found = cache.get(&keyed(scope, &key::plain(hash)?)?).await.map_err(Refusal::of_read)?;
        let found = found.map(|found| Told {
            size: found.length,
            task_duration_ms: text(&found.attributes, attribute::DURATION).and_then(|it| it.parse().ok()).unwrap_or(0),
            tag: text(&found.attributes, attribute::TAG),
        });
        told.insert(hash.clone(), serde_json::json!(found));
    }
    Ok(json(serde_json::Value::Object(told).to_string().into()))
}

fn text(attributes: &Attributes, name: kura_cache::AttributeName) -> Option<String> {
    attributes.get(name).and_then(|value| std::str::from_utf8(value).ok()).map(str::to_owned)
}
