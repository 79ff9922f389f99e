//! What is done about an artifact, the same on every surface: read, look, store, remove.
//! Refused before the body is read: what cannot be taken. Answered after the commit: what was stored.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderName,
    HeaderValue, RANGE,
};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use kura_auth::Access;
use kura_cache::{Artifact, ArtifactKey, Attributes, Body, Cache, Kind, Tenant, Version};

use crate::answer::{Answer, STREAM_MEMORY};
use crate::attribute;
use crate::body::Arriving;
use crate::checksum::Check;
use crate::conditional::{self, ETag, Verdict};
use crate::error::Refusal;
use crate::memory::{Class, Held};
use crate::metrics::SurfaceCounters;
use crate::range::{self, Asked};
use crate::site::Site;
use crate::surface::{Manner, Surface};

/// The most that an upload has in memory before it is written: what the store gathers, and what the connection has read ahead.
const UPLOAD_MEMORY: u64 = (1 << 20) + (512 << 10);

/// One request to a surface.
pub(crate) struct Exchange<'a> {
    pub(crate) site: &'a Site,
    pub(crate) cache: &'a Cache,
    pub(crate) parts: &'a Parts,
    pub(crate) key: ArtifactKey,
    pub(crate) manner: &'static Manner,
    pub(crate) counters: &'a Arc<SurfaceCounters>,
}

/// What a surface answers to a request. `body` is left where it stands when it is not wanted.
///
/// # Errors
/// Whatever is refused, as it is to be answered.
pub(crate) async fn answer(
    site: &Arc<Site>,
    access: &Access,
    surface: Surface,
    parts: &Parts,
    body: &mut Arriving<'_>,
) -> Result<Response<Answer>, Refusal> {
    if let Some(answer) = surface.aside(site, access, parts, body).await? {
        return Ok(answer);
    }
    let cache = site.cache_for(access)?;
    let (path, query) = (parts.uri.path(), parts.uri.query());
    let key = surface.key(path, query, &surface.scope(access, path, query)?, &site.settings)?;
    let (manner, counters) = (surface.manner(), site.metrics.of(surface));
    let exchange = Exchange { site, cache: &cache, parts, key, manner, counters };
    match parts.method {
        Method::GET => exchange.get().await,
        Method::HEAD => exchange.head().await,
        // Uploads are long: their state is not carried by every request.
        ref method if method == manner.saves => Box::pin(exchange.put(body)).await,
        Method::DELETE if manner.may_delete => Box::pin(exchange.delete()).await,
        _ => Err(Refusal::method(manner.allow)),
    }
}

impl Exchange<'_> {
    pub(crate) async fn get(&self) -> Result<Response<Answer>, Refusal> {
        let found = self.cache.get(&self.key).await.map_err(Refusal::of_read)?.ok_or_else(Refusal::miss)?;
        let headers = &self.parts.headers;
        let etag = ETag::of(found.version);
        let mut response = Response::new(Answer::Empty);
        self.describe(response.headers_mut(), found.version, &found.attributes);
        match conditional::verdict(headers, Some(etag)) {
            Verdict::Proceed => {}
            Verdict::Unchanged => {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                return Ok(response);
            }
            Verdict::Failed => return Err(precondition_failed()),
        }
        match headers.get(RANGE).filter(|_| conditional::range_holds(headers, etag)) {
            None => *response.body_mut() = self.send(found.body)?,
            Some(range) => self.send_range(&mut response, range, found)?,
        }
        Ok(response)
    }

    fn send_range(&self, response: &mut Response<Answer>, range: &HeaderValue, found: Artifact) -> Result<(), Refusal> {
        let length = found.length;
        match range::asked(range.as_bytes(), length) {
            Asked::Whole => *response.body_mut() = self.send(found.body)?,
            Asked::Part(part) => {
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                set(response.headers_mut(), CONTENT_RANGE, &format!("bytes {}-{}/{length}", part.start, part.end - 1));
                *response.body_mut() = self.send(found.body.select(part))?;
            }
            Asked::Unsatisfiable => {
                *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
                set(response.headers_mut(), CONTENT_RANGE, &format!("bytes */{length}"));
            }
        }
        Ok(())
    }

    /// A body as an answer, accounted for in memory.
    fn send(&self, body: Body) -> Result<Answer, Refusal> {
        let overload = || Refusal::overload("too many answers are under way");
        match body {
            Body::Whole(bytes) => {
                let held = self.hold(Class::Answer, bytes.len() as u64).ok_or_else(overload)?;
                self.counters.sent(bytes.len() as u64);
                Ok(Answer::held(bytes, held))
            }
            Body::Pieces(body) => {
                let held = self.hold(Class::Answer, body.remaining().min(STREAM_MEMORY)).ok_or_else(overload)?;
                Ok(Answer::stream(body, held, Arc::clone(self.counters)))
            }
        }
    }

    pub(crate) async fn head(&self) -> Result<Response<Answer>, Refusal> {
        // What has attributes, or depends on other artifacts, has to be read; for the rest the index knows enough.
        let (length, version, attributes) = if !self.manner.keeps.is_empty() || self.key.kind() == Kind::Action {
            let found = self.cache.get(&self.key).await.map_err(Refusal::of_read)?.ok_or_else(Refusal::miss)?;
            (found.length, found.version, found.attributes)
        } else {
            let found = self.cache.present(&self.key).await.map_err(Refusal::of_read)?.ok_or_else(Refusal::miss)?;
            (found.length, found.version, Attributes::default())
        };
        let etag = ETag::of(version);
        let mut response = Response::new(Answer::Empty);
        self.describe(response.headers_mut(), version, &attributes);
        match conditional::verdict(&self.parts.headers, Some(etag)) {
            Verdict::Proceed => drop(response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length))),
            Verdict::Unchanged => *response.status_mut() = StatusCode::NOT_MODIFIED,
            Verdict::Failed => return Err(precondition_failed()),
        }
        Ok(response)
    }

    fn describe(&self, headers: &mut HeaderMap, version: Version, attributes: &Attributes) {
        headers.reserve(4 + self.manner.keeps.len());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.manner.content_type));
        for (header, name) in self.manner.keeps {
            if let Some(Ok(kept)) = attributes.get(*name).map(HeaderValue::from_bytes) {
                headers.insert(HeaderName::from_static(header), kept);
            }
        }
        (self.manner.describe)(headers, version, attributes);
        headers.insert(ETAG, ETag::of(version).header());
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    }

    async fn put(&self, body: &mut Arriving<'_>) -> Result<Response<Answer>, Refusal> {
        let attributes = self.attributes()?;
        self.check_conditions().await?;
        let length = body.length();
        let mut check = match self.manner.checksum {
            Some(header) => Check::of(&self.parts.headers, header)?,
            None => None,
        };
        let _held = hold_for_upload(self.site, &self.key.scope().tenant, length)?;
        let _announced = body.announce()?;
        let mut upload = self.cache.put(&self.key, attributes, length).await?;
        if let Some(version) = upload.known().filter(|_| body.expects_continue()) {
            // The client has not sent a byte yet, and need not.
            return Ok(self.stored(version));
        }
        while let Some(piece) = body.next().await? {
            self.counters.received(piece.len() as u64);
            check.iter_mut().for_each(|check| check.update(&piece));
            upload.write(piece).await?;
        }
        check.map_or(Ok(()), Check::finish)?;
        if !self.manner.may_overwrite {
            // The body may have taken long: somebody else's may have been stored meanwhile.
            self.check_conditions().await?;
        }
        let created = match self.manner.created {
            Some(status) if self.cache.present(&self.key).await?.is_none() => Some(status),
            _ => None,
        };
        let mut response = self.stored(upload.commit().await?.version);
        created.into_iter().for_each(|status| *response.status_mut() = status);
        Ok(response)
    }

    fn hold(&self, class: Class, bytes: u64) -> Option<Held> {
        self.site.memory.hold_for(&self.key.scope().tenant, class, bytes)
    }

    fn stored(&self, version: Version) -> Response<Answer> {
        let (status, body) = self.manner.stored;
        let mut response = Response::new(Answer::whole(Bytes::from_static(body.as_bytes())));
        *response.status_mut() = status;
        if !body.is_empty() {
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        response.headers_mut().insert(ETAG, ETag::of(version).header());
        response
    }

    /// What is kept beside the body.
    fn attributes(&self) -> Result<Attributes, Refusal> {
        let said = |name: &str| {
            let value = self.parts.headers.get(name)?.as_bytes();
            (CONTENT_ENCODING != name || !value.eq_ignore_ascii_case(b"identity")).then_some(value)
        };
        if said(CONTENT_ENCODING.as_str()).is_some()
            && !self.manner.keeps.iter().any(|(kept, _)| CONTENT_ENCODING == *kept)
        {
            return Err(Refusal::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "bodies are taken without a content encoding here",
            ));
        }
        let mut attributes = Attributes::default();
        for (header, name) in self.manner.keeps {
            let Some(value) = said(header) else { continue };
            if value.len() > attribute::MAX_LEN {
                return Err(Refusal::bad_request(format!("{header} has at most {} bytes", attribute::MAX_LEN)));
            }
            attributes = attributes.with(*name, value).map_err(|error| Refusal::bad_request(error.to_string()))?;
        }
        Ok(attributes)
    }

    /// Weighs a write's conditions at the door. Of two writers that come in together both may pass: the last one wins.
    async fn check_conditions(&self) -> Result<(), Refusal> {
        if self.manner.may_overwrite && !conditional::is_conditional(&self.parts.headers) {
            return Ok(());
        }
        let present = self.cache.present(&self.key).await?.map(|found| ETag::of(found.version));
        if present.is_some() && !self.manner.may_overwrite {
            return Err(Refusal::new(StatusCode::CONFLICT, "it is there already, and is never written again"));
        }
        match conditional::verdict(&self.parts.headers, present) {
            Verdict::Proceed => Ok(()),
            Verdict::Unchanged | Verdict::Failed => Err(precondition_failed()),
        }
    }

    async fn delete(&self) -> Result<Response<Answer>, Refusal> {
        self.check_conditions().await?;
        if !self.cache.delete(&self.key).await? {
            return Err(Refusal::miss());
        }
        let mut response = Response::new(Answer::Empty);
        *response.status_mut() = StatusCode::NO_CONTENT;
        Ok(response)
    }
}

/// Accounts for a body on its way to the disk.
///
/// # Errors
/// 429.
pub(crate) fn hold_for_upload(site: &Site, tenant: &Tenant, length: Option<u64>) -> Result<Held, Refusal> {
    let bytes = length.unwrap_or(u64::MAX).min(UPLOAD_MEMORY);
    site.memory
        .hold_for(tenant, Class::Upload, bytes)
        .ok_or_else(|| Refusal::overload("too many uploads are under way"))
}

fn precondition_failed() -> Refusal {
    Refusal::new(StatusCode::PRECONDITION_FAILED, "what is there is not what the request expects")
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
