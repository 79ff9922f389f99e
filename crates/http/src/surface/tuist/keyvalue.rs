//! What Xcode's compilation cache knows by key: `PUT /api/cache/keyvalue` with the key and its entries, `GET /api/cache/keyvalue/<cas_id>`. The entries
//! are stored as they are told.

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response, StatusCode};
use kura_auth::Access;
use kura_cache::{ArtifactKey, Attributes, InvalidKey, Kind, Scope};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::Manner;
use crate::answer::Answer;
use crate::body::Arriving;
use crate::error::Refusal;
use crate::memory::Class;
use crate::openapi::route::{Content, Given, Operation, Route, TELL};
use crate::site::Site;
use crate::{key, scope};

pub(in crate::surface) static MANNER: Manner = Manner { allow: "GET, HEAD", ..Manner::of("application/json") };

pub(in crate::surface) static ROUTES: &[Route] = &[
    Route::others(
        "/api/cache/keyvalue",
        "The entries of a key.",
        &[Operation::of("put", "Store them", &[Given::nothing(204, "They are stored")])
            .takes(Content::json(saved))
            .refuses(TELL)],
    ),
    Route::artifacts("/api/cache/keyvalue/{cas_id}", "The entries of a key."),
];

fn saved() -> Value {
    let id = json!({ "type": "string", "minLength": 1, "maxLength": 1024 });
    json!({ "type": "object", "properties": { "cas_id": id, "entries": entries() }, "required": ["cas_id", "entries"] })
}

fn entries() -> Value {
    let entry = json!({ "type": "object", "properties": { "value": { "type": "string" } }, "required": ["value"] });
    json!({ "type": "array", "items": entry })
}

const PART: &str = "keyvalue";

/// The longest body, in bytes.
const MAX_BODY: usize = 1 << 20;

/// Memory of one, in bytes: its text, what is made of it, and what is stored, each while it grows. The shortest entry is 13 bytes of text, and 24 in
/// memory.
const BODY_MEMORY: u64 = 9 << 20;

#[derive(Deserialize)]
pub(crate) struct Saved {
    cas_id: String,
    entries: Vec<Entry>,
}

#[derive(Serialize)]
struct Told<'a> {
    entries: &'a [Entry],
}

#[derive(Deserialize, Serialize)]
struct Entry {
    value: String,
}

impl Saved {
    pub(crate) fn parse(body: &[u8]) -> Result<Saved, Refusal> {
        serde_json::from_slice(body).map_err(|error| {
            let form = "{\"cas_id\": \"…\", \"entries\": [{\"value\": \"…\"}]}";
            Refusal::bad_request(format!("no entries, which are {form}: {error}"))
        })
    }

    /// What is told of it.
    pub(crate) fn told(&self) -> Bytes {
        serde_json::to_vec(&Told { entries: &self.entries }).expect("text is always JSON").into()
    }
}

pub(in crate::surface) fn key(path: &str, scope: &Scope) -> Result<ArtifactKey, InvalidKey> {
    keyed(scope, &key::opaque(super::segment(path, PART).ok_or(InvalidKey::Empty)?)?)
}

fn keyed(scope: &Scope, id: &[u8]) -> Result<ArtifactKey, InvalidKey> {
    ArtifactKey::keyed(scope, Kind::KeyValue, id)
}

pub(in crate::surface) async fn aside(
    site: &Site,
    access: &Access,
    parts: &Parts,
    body: &mut Arriving<'_>,
) -> Result<Option<Response<Answer>>, Refusal> {
    match (super::below(parts.uri.path(), PART), &parts.method) {
        (Some("" | "/"), &Method::PUT) => Ok(Some(save(site, access, parts, body).await?)),
        (Some("" | "/"), _) => Err(Refusal::method("PUT")),
        (_, &Method::PUT) => Err(Refusal::method(MANNER.allow)),
        _ => Ok(None),
    }
}

async fn save(
    site: &Site,
    access: &Access,
    parts: &Parts,
    body: &mut Arriving<'_>,
) -> Result<Response<Answer>, Refusal> {
    let cache = site.cache_for(access)?;
    let scope = scope::of_query(access, parts.uri.query())?;
    let held = site.memory.hold_for(&scope.tenant, Class::Request, BODY_MEMORY);
    let _held = held.ok_or_else(|| Refusal::overload("too many entries are under way"))?;
    let saved = Saved::parse(&body.gather(MAX_BODY, "entries have at most 1 MiB together").await?)?;
    let (key, told) = (keyed(&scope, &key::plain(&saved.cas_id)?)?, saved.told());
    let mut upload = cache.put(&key, Attributes::default(), Some(told.len() as u64)).await?;
    upload.write(told).await?;
    upload.commit().await?;
    Ok(Answer::nothing(StatusCode::NO_CONTENT))
}
