//! WebDAV as caches use it (sccache, and others over the same libraries): `/webdav/{key…}`. There are files and nothing else: a collection is whatever
//! ends in `/`. It is always there, which spares clients the walk down to where they write, and lists nothing.
//! Source: RFC 4918.

use std::time::SystemTime;

use http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};
use kura_auth::Access;
use kura_cache::{ArtifactKey, InvalidKey, Kind, Presence, Scope};

use super::Manner;
use crate::answer::Answer;
use crate::date::stored_at;
use crate::error::Refusal;
use crate::openapi::route::{Given, Operation, Route};
use crate::page::escaped;
use crate::site::Site;
use crate::{key, scope};

pub(super) static MANNER: Manner = Manner {
    allow: "OPTIONS, GET, HEAD, PUT, DELETE, PROPFIND, MKCOL",
    stored: (StatusCode::CREATED, ""),
    ..Manner::deletable("application/octet-stream")
};

pub(super) static ROUTES: &[Route] = &[Route {
    others: &[Operation::of("options", "What may be done", &[Given::nothing(200, "The header `Allow` lists it")])],
    ..Route::artifacts(
        "/webdav/{key}",
        "A file. A key may hold `/`. PROPFIND tells a file's properties with 207; MKCOL answers 201: a path that ends in `/` is always a collection.",
    )
}];

const ROOT: &str = "/webdav";

const DAV: HeaderName = HeaderName::from_static("dav");

fn rest(path: &str) -> Option<&str> {
    path.strip_prefix(ROOT).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

pub(super) fn owns(path: &str) -> bool {
    rest(path).is_some()
}

pub(super) fn key(path: &str, scope: &Scope) -> Result<ArtifactKey, InvalidKey> {
    let key = key::path(rest(path).and_then(|rest| rest.strip_prefix('/')).ok_or(InvalidKey::Empty)?)?;
    if key.ends_with(b"/") {
        return Err(InvalidKey::Forbidden("a path that ends in '/' is a collection"));
    }
    ArtifactKey::keyed(scope, Kind::Webdav, &key)
}

/// What a path is, other than a file's.
///
/// # Errors
/// For one that leads elsewhere.
pub(crate) fn is_collection(path: &str) -> Result<bool, InvalidKey> {
    let Some(inner) = rest(path).and_then(|rest| rest.strip_prefix('/')).filter(|inner| !inner.is_empty()) else {
        return Ok(true);
    };
    Ok(key::path(inner)?.ends_with(b"/"))
}

pub(super) async fn aside(site: &Site, access: &Access, parts: &Parts) -> Result<Option<Response<Answer>>, Refusal> {
    let path = parts.uri.path();
    match parts.method.as_str() {
        "OPTIONS" => Ok(Some(options())),
        "PROPFIND" if is_collection(path)? => Ok(Some(found(path, None))),
        "PROPFIND" => {
            let key = key(path, &scope::of_query(access, parts.uri.query())?)?;
            let presence = site.cache_for(access)?.present(&key).await.map_err(Refusal::of_read)?;
            Ok(Some(found(path, Some(presence.ok_or_else(Refusal::miss)?))))
        }
        "MKCOL" => {
            is_collection(path)?;
            let mut response = Response::new(Answer::Empty);
            *response.status_mut() = StatusCode::CREATED;
            Ok(Some(response))
        }
        _ => Ok(None),
    }
}

fn options() -> Response<Answer> {
    let mut response = Response::new(Answer::Empty);
    response.headers_mut().insert(DAV, HeaderValue::from_static("1"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(MANNER.allow));
    response
}

fn found(path: &str, file: Option<Presence>) -> Response<Answer> {
    let mut response = Response::new(Answer::whole(properties(path, file).into()));
    *response.status_mut() = StatusCode::MULTI_STATUS;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml; charset=utf-8"));
    response
}

/// The properties of what is there: of a collection, or of a file.
pub(crate) fn properties(path: &str, file: Option<Presence>) -> String {
    let (sort, since) = match file {
        None => ("<D:resourcetype><D:collection/></D:resourcetype>".to_owned(), SystemTime::UNIX_EPOCH),
        Some(file) => (
            format!("<D:resourcetype/><D:getcontentlength>{}</D:getcontentlength>", file.length),
            stored_at(file.version),
        ),
    };
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:multistatus xmlns:D=\"DAV:\"><D:response><D:href>{}</D:href><D:propstat>\
         <D:prop>{sort}<D:getlastmodified>{}</D:getlastmodified></D:prop><D:status>HTTP/1.1 200 OK</D:status>\
         </D:propstat></D:response></D:multistatus>\n",
        escaped(path),
        httpdate::fmt_http_date(since),
    )
}
