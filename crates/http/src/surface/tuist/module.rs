//! Tuist's modules, which come in parts: `POST /api/cache/module/start`, `…/part` and `…/complete`, then `GET` and `HEAD /api/cache/module/<id>`. A module
//! is named by its category, hash and name, all of them in the query; the id in the path says nothing beside these.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use kura_auth::Access;
use kura_cache::{
    ArtifactKey, Attributes, Cache, InvalidKey, Kind, Multipart, Part, PartLimits, PartNumber, Scope, UploadId,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{Manner, Surface};
use crate::answer::Answer;
use crate::body::Arriving;
use crate::error::Refusal;
use crate::exchange::hold_for_upload;
use crate::memory::Class;
use crate::openapi::route::{CHANGE, Content, Given, Link, Operation, Parameter, READ, Route};
use crate::query::parameter;
use crate::site::Site;
use crate::{checksum, key, scope};

pub(in crate::surface) static MANNER: Manner = Manner { allow: "GET, HEAD", ..Manner::of("application/octet-stream") };

pub(in crate::surface) static ROUTES: &[Route] =
    &[
        Route::others(
            "/api/cache/module/start",
            "An upload in parts.",
            &[Operation::of(
                "post",
                "Begin one",
                &[Given::content(200, "The upload; `null`: the module is there already", Content::json(begun)).links(
                    &[
                        Link { operation: "post-api-cache-module-part", parameter: "upload_id" },
                        Link { operation: "post-api-cache-module-complete", parameter: "upload_id" },
                    ],
                )],
            )
            .refuses(CHANGE)],
        )
        .query(NAMED),
        Route::others(
            "/api/cache/module/part",
            "A part of an upload, of at most 10 MiB.",
            &[Operation::of("post", "Store it, or store it again", &[Given::nothing(204, "It is stored")])
                .takes(Content::bytes(Content::ANY))
                .refuses(OF_UPLOADS)],
        )
        .query(&[UPLOAD, Parameter::required("part_number", "The part's place among the others", part_number)]),
        Route::others(
            "/api/cache/module/complete",
            "The end of an upload.",
            &[Operation::of("post", "Make a module of its parts", &[Given::nothing(204, "The module is there")])
                .takes(Content::json(list))
                .refuses(OF_UPLOADS)],
        )
        .query(&[UPLOAD]),
        Route {
            others: &[
                Operation::of("head", "Ask whether it is there", &[Given::nothing(204, "It is there")]).refuses(READ)
            ],
            ..Route::artifacts(
                "/api/cache/module/{id}",
                "A module, which the query names; the id says nothing beside it.",
            )
        }
        .query(NAMED),
    ];

const OF_UPLOADS: &[u16] = &[400, 404, 408, 413, 422, 429, 500, 503, 507];

const PART: &str = "module";

/// The parameters that name a module.
const NAMED: &[Parameter] = &[
    Parameter::required("hash", "Of what it was made from", some_text),
    Parameter::required("name", "Its name", some_text),
    Parameter::optional("cache_category", "`builds` where nothing says it", some_text),
];

const UPLOAD: Parameter = Parameter::required("upload_id", "As its beginning was answered", some_text);

fn begun() -> Value {
    let id = json!({ "type": ["string", "null"] });
    json!({ "type": "object", "properties": { "upload_id": id }, "required": ["upload_id"] })
}

fn list() -> Value {
    let parts = json!({ "type": "array", "items": part_number() });
    let checksum = json!({ "type": ["string", "null"], "pattern": "^[0-9a-f]{64}$" });
    json!({ "type": "object", "properties": { "parts": parts, "checksum_sha256": checksum }, "required": ["parts"] })
}

fn part_number() -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": 10000 })
}

fn some_text() -> Value {
    json!({ "type": "string", "minLength": 1 })
}

/// The category of a module that names none.
const CATEGORY: &str = "builds";

const LIMITS: PartLimits = PartLimits { part: 10 << 20, whole: 2 << 30 };

/// The longest list of parts, in bytes: of as many as there may be it has some 60,000.
const MAX_LIST: usize = 256 << 10;

/// Memory of one: its text and what is made of it, in bytes. The shortest number is two bytes of text and eight in memory.
const LIST_MEMORY: u64 = 2 << 20;

pub(in crate::surface) fn key(path: &str, query: Option<&str>, scope: &Scope) -> Result<ArtifactKey, InvalidKey> {
    key::opaque(super::segment(path, PART).ok_or(InvalidKey::Empty)?)?;
    named(query, scope)
}

/// The module that a query names.
fn named(query: Option<&str>, scope: &Scope) -> Result<ArtifactKey, InvalidKey> {
    let said = |name| parameter(query, name);
    let category = said("cache_category")?.unwrap_or_else(|| CATEGORY.to_owned());
    let (hash, name) = (said("hash")?.unwrap_or_default(), said("name")?.unwrap_or_default());
    let mut whole = Vec::new();
    for (at, part) in [&category, &hash, &name].into_iter().enumerate() {
        whole.extend(std::iter::repeat_n(b'/', usize::from(at > 0)));
        whole.extend_from_slice(&key::plain(part)?);
    }
    ArtifactKey::keyed(scope, Kind::Module, &whole)
}

pub(in crate::surface) async fn aside(
    site: &Site,
    access: &Access,
    parts: &Parts,
    body: &mut Arriving<'_>,
) -> Result<Option<Response<Answer>>, Refusal> {
    let query = parts.uri.query();
    match (&parts.method, super::below(parts.uri.path(), PART)) {
        (&Method::POST, Some("/start")) => Ok(Some(start(site, access, query).await?)),
        (&Method::POST, Some("/part")) => Ok(Some(take(site, access, query, body).await?)),
        (&Method::POST, Some("/complete")) => Ok(Some(complete(site, access, query, body).await?)),
        (_, Some("/start" | "/part" | "/complete")) => Err(Refusal::method("POST")),
        (&Method::HEAD, _) => {
            let key = key(parts.uri.path(), query, &scope::of_query(access, query)?)?;
            let found = site.cache_for(access)?.present(&key).await.map_err(Refusal::of_read)?;
            found.map(|_| Some(Answer::nothing(StatusCode::NO_CONTENT))).ok_or_else(Refusal::miss)
        }
        (&Method::GET, _) => Ok(None),
        _ => Err(Refusal::method(MANNER.allow)),
    }
}

/// Where the module is there already, there is no upload to go on with.
async fn start(site: &Site, access: &Access, query: Option<&str>) -> Result<Response<Answer>, Refusal> {
    let cache = site.cache_for(access)?;
    let key = named(query, &scope::of_query(access, query)?)?;
    let id = match cache.present(&key).await? {
        Some(_) => None,
        None => Some(cache.start_multipart(&key, Attributes::default()).await?.id().to_string()),
    };
    let told = Bytes::from(json!({ "upload_id": id }).to_string());
    let mut response = Response::new(Answer::whole(told));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// The upload that a query names.
async fn upload(cache: &Cache, access: &Access, query: Option<&str>) -> Result<Multipart, Refusal> {
    let unknown = || Refusal::from(kura_cache::Error::UnknownUpload);
    let said = parameter(query, "upload_id")?.ok_or_else(|| Refusal::bad_request("upload_id is missing"))?;
    let id = UploadId::parse(&said).ok_or_else(unknown)?;
    let found = cache.multipart(&scope::of_query(access, query)?, &id).await?;
    // Another surface's uploads are none here.
    found.filter(|found| found.target().kind() == Kind::Module).ok_or_else(unknown)
}

async fn take(
    site: &Site,
    access: &Access,
    query: Option<&str>,
    body: &mut Arriving<'_>,
) -> Result<Response<Answer>, Refusal> {
    let cache = site.cache_for(access)?;
    let number = parameter(query, "part_number")?.and_then(|said| PartNumber::new(said.parse().ok()?));
    let number = number.ok_or_else(|| Refusal::bad_request("part_number is a number from 1 to 10000"))?;
    let upload = upload(&cache, access, query).await?;
    let _held = hold_for_upload(site, &upload.target().scope().tenant, body.length())?;
    let _announced = body.announce()?;
    let mut part = upload.put_part(number, body.length(), LIMITS).await?;
    let counters = site.metrics.of(Surface::Module);
    while let Some(piece) = body.next().await? {
        counters.received(piece.len() as u64);
        part.write(piece).await?;
    }
    part.commit().await?;
    Ok(Answer::nothing(StatusCode::NO_CONTENT))
}

#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    pub(crate) parts: Vec<u64>,
    pub(crate) checksum_sha256: Option<String>,
}

impl Asked {
    pub(crate) fn parse(body: &[u8]) -> Result<Asked, Refusal> {
        serde_json::from_slice(body)
            .map_err(|error| Refusal::bad_request(format!("no list of parts, which is {{\"parts\": [1, 2]}}: {error}")))
    }

    /// Whether these are just the parts that are there.
    fn are(&self, there: &[Part]) -> bool {
        self.parts.iter().copied().eq(there.iter().map(|part| u64::from(part.number.get())))
    }
}

async fn complete(
    site: &Site,
    access: &Access,
    query: Option<&str>,
    body: &mut Arriving<'_>,
) -> Result<Response<Answer>, Refusal> {
    let cache = site.cache_for(access)?;
    let held = site.memory.hold(Class::Request, LIST_MEMORY);
    let _held = held.ok_or_else(|| Refusal::overload("too many uploads are under way"))?;
    let upload = upload(&cache, access, query).await?;
    let asked = Asked::parse(&body.gather(MAX_LIST, "a list of parts has at most 256 KiB").await?)?;
    let expected = asked.checksum_sha256.as_ref().map(|said| checksum::parse(said.as_bytes())).transpose()?;
    let there = match upload.completed() {
        Some(_) => upload.made_of().await?.ok_or(kura_cache::Error::UnknownUpload)?,
        None => upload.parts().await?,
    };
    if !asked.are(&there) {
        return Err(kura_cache::Error::OtherParts.into());
    }
    upload.complete(there, expected.as_ref(), LIMITS).await.map_err(checksum::refused)?;
    Ok(Answer::nothing(StatusCode::NO_CONTENT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_named_by_its_query() {
        let named = |query| named(Some(query), &Scope::default()).map(|key| format!("{key:?}"));
        assert_eq!(named("hash=h&name=n"), named("name=n&hash=h&cache_category=builds"));
        assert_ne!(named("hash=h&name=n"), named("hash=h&name=n&cache_category=tests"));
        for bad in ["", "hash=h", "name=n", "hash=a%2Fb&name=n", "hash=h&name=..", "hash=h&name=n&cache_category="] {
            assert!(named(bad).is_err(), "{bad}");
        }
    }
}
