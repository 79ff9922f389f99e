//! What a namespace holds: `GET /http/{namespace}`, in order, a page at a time. Each artifact is told by the path that it is asked for at, which can spell
//! any key. Of an overlay that is what it reads, what is trusted below it included.
//! A page goes on where the one before it ended, as S3's do (`s3::list`), and shows what is there when it is asked for.

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, Response};
use kura_auth::Access;
use kura_cache::{Cache, Kind, Listed, Listing, Presence};
use serde_json::{Value, json};

use super::super::Surface;
use super::super::s3::list::Token;
use crate::answer::Answer;
use crate::error::Refusal;
use crate::key;
use crate::memory::Class;
use crate::openapi::route::{Content, Given, Operation, Parameter, READ};
use crate::query::parameter;
use crate::site::Site;

/// The most artifacts on a page.
const MAX_KEYS: usize = 1000;

/// What a page takes in memory at most, in bytes: 1,000 keys of 1 KiB, each of whose bytes may be spelled with three.
const PAGE_MEMORY: u64 = 8 << 20;

pub(super) const QUERY: &[Parameter] = &[
    Parameter::optional("prefix", "What the keys begin with", || json!({ "type": "string", "maxLength": 1024 })),
    Parameter::optional("page", "`next` of the page before", || json!({ "type": "string" })),
];

pub(super) const OPERATION: Operation =
    Operation::of("get", "List it, in order of keys", &[Given::content(200, "A page", Content::json(told))])
        .refuses(READ);

fn told() -> Value {
    let artifact = json!({
        "type": "object",
        "properties": {
            "path": { "type": "string", "description": "Where it is" },
            "size": { "type": "integer", "description": "In bytes" },
            "stored": { "type": "integer", "description": "When, in seconds since 1970" },
        },
        "required": ["path", "size", "stored"],
    });
    json!({
        "type": "object",
        "properties": {
            "artifacts": { "type": "array", "items": artifact, "maxItems": MAX_KEYS },
            "next": { "type": "string", "description": "The next page, where there is one" },
        },
        "required": ["artifacts"],
    })
}

pub(in crate::surface) async fn answer(
    site: &Site,
    access: &Access,
    parts: &Parts,
) -> Result<Response<Answer>, Refusal> {
    if parts.method != Method::GET {
        return Err(Refusal::method("GET"));
    }
    let (path, query) = (parts.uri.path(), parts.uri.query());
    let scope = Surface::Generic.scope(access, path, query)?;
    let prefix = parameter(query, "prefix")?.unwrap_or_default();
    let token = parameter(query, "page")?.map(|text| Token::decode(&text));
    let token = token.map(|token| token.ok_or_else(|| Refusal::bad_request("page is none that was told here")));
    let held = site.memory.hold_for(&scope.tenant, Class::Request, PAGE_MEMORY);
    let held = held.ok_or_else(|| Refusal::overload("too many lists are under way"))?;
    let of = Listing { scope: &scope, kind: Kind::Http, prefix: prefix.as_bytes() };
    let page = page(site.recovered()?, of, token.transpose()?).await?;
    let mut response = Response::new(Answer::held(page, held));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// The page that begins there, as it is told.
async fn page(cache: &Cache, of: Listing<'_>, token: Option<Token>) -> Result<Bytes, Refusal> {
    let root = format!("/http/{}/", key::encode(of.scope.namespace.as_str().as_bytes()));
    let (mut told, mut count) = (String::from("{\"artifacts\":["), 0);
    let (mut id, mut after) = token.map_or((None, Vec::new()), |token| (Some(token.id), token.after));
    let next = loop {
        let remembered = id.take().and_then(|id| Some((cache.list_again(of, id, &after)?, id)));
        let (window, id) = match remembered {
            Some(found) => found,
            None => cache.list(of, &after).await?,
        };
        let (mut listed, mut last) = (cache.listed(of, &window, &after), &after[..]);
        for one in listed.by_ref().take(MAX_KEYS - count) {
            let comma = if count == 0 { "" } else { "," };
            let _ = write!(told, "{comma}{}", artifact(&root, &one));
            (count, last) = (count + 1, one.key);
        }
        if listed.next().is_some() {
            break Some(Token { id, after: last.to_vec() });
        }
        drop(listed);
        match window.last() {
            Some(last) if !window.ends() => after = last.to_vec(),
            _ => break None,
        }
    };
    let next = next.map_or_else(String::new, |token| format!(",\"next\":\"{}\"", token.encode()));
    let _ = writeln!(told, "]{next}}}");
    Ok(told.into())
}

fn artifact(root: &str, one: &Listed<'_>) -> String {
    // A key is a path: its slashes stay.
    let path = format!("{root}{}", key::encode(one.key).replace("%2F", "/"));
    let Presence { length, version } = one.presence;
    let stored = version.unix_millis() / 1000;
    format!("{{\"path\":\"{path}\",\"size\":{length},\"stored\":{stored}}}")
}
