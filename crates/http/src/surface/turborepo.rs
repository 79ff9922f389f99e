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
use serde_json::{Value, json};

use super::Manner;
use crate::answer::Answer;
use crate::body::Arriving;
use crate::error::Refusal;
use crate::memory::Class;
use crate::openapi::route::{Content, Given, Operation, Parameter, Route};
use crate::site::Site;
use crate::{attribute, key, scope};

pub(super) static MANNER: Manner = Manner {
    keeps: &[("x-artifact-tag", attribute::TAG), ("x-artifact-duration", attribute::DURATION)],
    stored: (StatusCode::ACCEPTED, "{\"urls\":[]}"),
    ..Manner::of("application/octet-stream")
};

pub(super) static ROUTES: &[Route] = &[
    Route { others: &[PREFLIGHT], ..Route::artifacts("/v8/artifacts/{hash}", "What a task made.") }.query(TEAM),
    Route {
        is_scoped: false,
        ..Route::others(
            "/v8/artifacts/status",
            "Whether there is a cache.",
            &[
                Operation::of("get", "Ask", &[Given::content(200, "There is", Content::json(enabled))]).refuses(&[429]),
                PREFLIGHT,
            ],
        )
    },
    Route {
        is_scoped: false,
        ..Route::others(
            "/v8/artifacts/events",
            "What was used.",
            &[
                Operation::of("post", "Tell: nothing is made of it", &[Given::nothing(200, "As you say")])
                    .takes(Content::bytes(Content::ANY))
                    .refuses(&[429]),
                PREFLIGHT,
            ],
        )
    },
    Route::others(
        "/v8/artifacts",
        "Many artifacts.",
        &[
            Operation::of(
                "post",
                "Ask what is there of them",
                &[Given::content(200, "What is there of each; `null` for what is not", Content::json(told))],
            )
            .takes(Content::json(asked))
            .refuses(&[400, 404, 408, 413, 429, 503]),
            PREFLIGHT,
        ],
    )
    .query(TEAM),
];

/// What a team is named by.
const TEAM: &[Parameter] = &[
    Parameter::optional("teamId", "The namespace, where `namespace_id` is missing", text_schema),
    Parameter::optional("slug", "The same, where `teamId` is missing", text_schema),
];

fn text_schema() -> Value {
    json!({ "type": "string", "maxLength": 255 })
}

fn enabled() -> Value {
    json!({ "type": "object", "properties": { "status": { "const": "enabled" } }, "required": ["status"] })
}

fn asked() -> Value {
    let hash = json!({ "type": "string", "minLength": 1, "maxLength": 1024 });
    let hashes = json!({ "type": "array", "items": hash, "maxItems": MAX_ASKED });
    json!({ "type": "object", "properties": { "hashes": hashes }, "required": ["hashes"] })
}

fn told() -> Value {
    json!({ "type": "object", "additionalProperties": { "type": ["object", "null"] } })
}

const PREFLIGHT: Operation =
    Operation::of("options", "A browser's preflight", &[Given::nothing(200, "What may be sent")]);

const ROOT: &str = "/v8/artifacts";

/// What a browser, and a client that acts like one, may send.
const ALLOWED_HEADERS: &str = "Authorization, Content-Type, User-Agent, x-artifact-tag, x-artifact-duration, \
                               x-artifact-client-ci, x-artifact-client-interactive";

/// The most hashes of one query.
pub(crate) const MAX_ASKED: usize = 1000;

/// The longest query, in bytes.
const MAX_QUERY: usize = 256 << 10;

const TOO_LARGE: &str = "a query has at most 256 KiB and 1000 hashes";

/// Memory of one: its text, what is made of it, and the answer, in bytes.
const QUERY_MEMORY: u64 = 4 << 20;

/// Below [`ROOT`].
fn rest(path: &str) -> Option<&str> {
    path.strip_prefix(ROOT).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

pub(super) fn owns(path: &str) -> bool {
    rest(path).is_some()
}

pub(crate) fn named(query: Option<&str>) -> Result<Named, InvalidKey> {
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
            let asked = Asked::parse(&body.gather(MAX_QUERY, TOO_LARGE).await?)?;
            Ok(Some(query(&site.cache_for(access)?, &scope, &asked).await?))
        }
        (_, Some("" | "/" | "/events")) => Err(Refusal::method("POST, OPTIONS")),
        (_, Some("/status")) => Err(Refusal::method("GET, OPTIONS")),
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
pub(crate) struct Asked {
    pub(crate) hashes: Vec<String>,
}

impl Asked {
    pub(crate) fn parse(body: &[u8]) -> Result<Asked, Refusal> {
        let asked: Asked = serde_json::from_slice(body)
            .map_err(|error| Refusal::bad_request(format!("no query, which is {{\"hashes\": [...]}}: {error}")))?;
        if asked.hashes.len() > MAX_ASKED {
            return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE));
        }
        Ok(asked)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    size: u64,
    task_duration_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
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
        told.insert(hash.clone(), json!(found));
    }
    Ok(json(Value::Object(told).to_string().into()))
}

fn text(attributes: &Attributes, name: kura_cache::AttributeName) -> Option<String> {
    attributes.get(name).and_then(|value| std::str::from_utf8(value).ok()).map(str::to_owned)
}
