//! Who comes in: only requests that are signed with a key pair that is known, as AWS Signature Version 4 has it, in their headers or their query. Whose
//! pair it is says what they may do. A signature that does not hold is a login that fails.
//! What the library would take and is not served here is refused in front of it: forms, whose bodies it gathers before it knows whose they are, and
//! headers that ask for what nothing here does.
//! Invariant: nothing is asked of `calls`, and no byte of a body but a form's is read, before the signature has held.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::{Either, select};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use http::request::Parts;
use http::uri::{PathAndQuery, Uri};
use http::{Extensions, Method, Request, Response, StatusCode};
use kura_auth::{Access, Authenticator, Denied, Identity, Need, Reach, Role, Unidentified};
use kura_cache::Tenant;
use s3s::auth::{S3Auth, SecretKey};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::route::S3Route;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::validation::NameValidation;
use s3s::{Body, HttpRequest, HttpResponse, S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use super::calls::Calls;
use super::chunks::Chunks;
use super::lent::{Lent, lend};
use super::{Visit, below};
use crate::answer::Answer;
use crate::body::Arriving;
use crate::error::Refusal;
use crate::memory::{Class, Held};
use crate::query::parameter;
use crate::settings::S3Key;
use crate::site::Site;

/// The longest list that comes as a body, in bytes: as S3 has it. It has 10,000 parts with their checksums, or 1,000 keys.
const MAX_LIST: u64 = 2 << 20;

/// What a list takes in memory, for each byte of its text: that and what is made of it.
const LIST_MEMORY: u64 = 6;

/// How far a client's clock may be off, in seconds.
const MAX_SKEW: u32 = 15 * 60;

/// How long a signature in a query may hold, in seconds: seven days, as S3 has it.
const MAX_EXPIRY: u64 = 7 * 24 * 60 * 60;

/// What asks for something that nothing here does, by the beginning of its name.
const LEFT_OUT: [&str; 7] = [
    "x-amz-server-side-encryption",
    "x-amz-copy-source",
    "x-amz-grant-",
    "x-amz-object-lock-",
    "x-amz-tagging",
    "x-amz-website-redirect-location",
    "x-amz-write-offset-bytes",
];

/// Access as everybody has it who knows the key pair.
const ACLS: [&[u8]; 2] = [b"private", b"bucket-owner-full-control"];

pub(crate) struct Door(S3Service);

/// Which key pairs there are.
#[derive(Clone)]
pub(crate) enum Pairs {
    /// That of the settings, which may do everything in the default tenant.
    One(S3Key),
    /// Those of tokens.
    OfTokens(Arc<Authenticator>),
}

impl Pairs {
    /// What whoever has signed with the pair of that id may do.
    fn access(&self, id: &str, now: SystemTime) -> Result<Access, Unidentified> {
        match self {
            Pairs::One(pair) if id == pair.id => {
                let (tenant, reach, role) = (Tenant::default(), Reach::All, Role::Admin);
                Ok(Access::of(Arc::new(Identity { tenant, reach, role, overlay: None, name: id.into() })))
            }
            Pairs::One(_) => Err(Unidentified::Unknown),
            Pairs::OfTokens(all) => all.signed(id, now),
        }
    }
}

#[async_trait::async_trait]
impl S3Auth for Pairs {
    async fn get_secret_key(&self, id: &str) -> S3Result<SecretKey> {
        let secret = match self {
            Pairs::One(pair) => (id == pair.id).then(|| pair.secret.clone()),
            Pairs::OfTokens(all) => all.pair_secret(id).map(SecretKey::from),
        };
        secret.ok_or_else(|| S3ErrorCode::InvalidAccessKeyId.into())
    }
}

impl Door {
    pub(crate) fn new(pairs: Pairs) -> Door {
        Door(signed(pairs.clone(), Inside { pairs, calls: builder(Calls).build() }))
    }

    /// # Errors
    /// Whatever is refused before anything is asked.
    pub(super) async fn ask(
        &self,
        site: &Arc<Site>,
        parts: &Parts,
        body: &mut Arriving<'_>,
    ) -> S3Result<Response<Answer>> {
        look(parts)?;
        let chunks = Chunks::of(&parts.headers);
        let _held = hold(site, parts, body, chunks.as_ref())?;
        let brings_a_body = matches!(parts.method, Method::PUT | Method::POST);
        let _announced = if brings_a_body { body.announce()? } else { None };
        let (lent, lender) = Lent::of(body.length().filter(|_| chunks.is_none()));
        let visit = Visit::new(site);
        let mut request = HttpRequest::new(Body::http_body_unsync(lent));
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = parts.uri.clone();
        *request.version_mut() = parts.version;
        *request.headers_mut() = parts.headers.clone();
        request.extensions_mut().insert(visit.clone());
        let lending = pin!(lend(body, lender, chunks));
        let serving = pin!(self.0.call(request));
        match select(serving, lending).await {
            Either::Left((answer, _)) => {
                let answer = answer.map_err(|_| S3ErrorCode::InternalError)?;
                if visit.access.get().is_none() && answer.status() == StatusCode::FORBIDDEN {
                    count(site, parts)?;
                }
                Ok(put_together(visit.told.lock().take(), answer))
            }
            Either::Right((refusal, _)) => Err(refusal.into()),
        }
    }
}

/// Counts a login that failed. Who did not sign has not tried to be somebody.
///
/// # Errors
/// Where there were too many.
fn count(site: &Site, parts: &Parts) -> S3Result<()> {
    let signs =
        parts.headers.contains_key(AUTHORIZATION) || parts.uri.query().is_some_and(|query| query.contains("X-Amz-"));
    if let (true, Some(door), Some(from)) = (signs, site.door(), parts.extensions.get::<IpAddr>())
        && let why @ Unidentified::TooOften = door.count(Unidentified::Unknown, *from, &*site.runtime)
    {
        return Err(Refusal::from(Denied::from(why)).into());
    }
    Ok(())
}

/// Of what the library answers, and what it was not to touch.
pub(super) fn put_together(told: Option<Response<Answer>>, answer: HttpResponse) -> Response<Answer> {
    let (parts, body) = answer.into_parts();
    match told {
        Some(mut told) => {
            told.headers_mut().extend(parts.headers);
            told
        }
        None => {
            let mut response = Response::new(match http_body::Body::is_end_stream(&body) {
                true => Answer::Empty,
                false => Answer::Page(axum::body::Body::new(body)),
            });
            (*response.status_mut(), *response.headers_mut()) = (parts.status, parts.headers);
            response
        }
    }
}

/// Accounts for what is gathered in memory.
fn hold(site: &Arc<Site>, parts: &Parts, body: &Arriving<'_>, chunks: Option<&Chunks>) -> S3Result<Held> {
    let bytes = match parts.method {
        Method::POST => {
            let length = body.length().ok_or(S3ErrorCode::MissingContentLength)?;
            if length > MAX_LIST {
                return Err(S3ErrorCode::MaxMessageLengthExceeded.into());
            }
            LIST_MEMORY * length
        }
        _ => chunks.map_or(0, Chunks::memory),
    };
    let held = site.memory.hold(Class::Request, bytes);
    Ok(held.ok_or_else(|| Refusal::overload("too many requests are under way"))?)
}

/// What can be refused by a request's head alone.
pub(crate) fn look(parts: &Parts) -> S3Result<()> {
    let headers = &parts.headers;
    let is_form = headers
        .get(CONTENT_TYPE)
        .is_some_and(|said| said.as_bytes().trim_ascii().to_ascii_lowercase().starts_with(b"multipart/"));
    if is_form && parts.method == Method::POST {
        return Err(s3_error!(NotImplemented, "objects do not come in forms here: PUT them"));
    }
    for name in headers.keys() {
        if LEFT_OUT.iter().any(|left_out| name.as_str().starts_with(left_out)) {
            return Err(s3_error!(NotImplemented, "{name} asks for what is not done here"));
        }
    }
    if headers.get("x-amz-acl").is_some_and(|acl| !ACLS.contains(&acl.as_bytes())) {
        return Err(s3_error!(NotImplemented, "objects are private here"));
    }
    check_dates(parts)?;
    let expiry = parameter(parts.uri.query(), "X-Amz-Expires").map_err(Refusal::from)?;
    if expiry.and_then(|said| said.parse::<u64>().ok()).is_some_and(|said| said > MAX_EXPIRY) {
        return Err(s3_error!(
            AuthorizationQueryParametersError,
            "X-Amz-Expires: a signature holds for seven days at most"
        ));
    }
    Ok(())
}

/// The library computes with the digits of dates before it looks whether they are some: built with overflow checks, it panics on others.
fn check_dates(parts: &Parts) -> S3Result<()> {
    let in_query = |name| parameter(parts.uri.query(), name).map_err(Refusal::from);
    let in_header = |name| parts.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let dates = [in_header("x-amz-date"), in_query("X-Amz-Date")?];
    let credentials = [in_header("authorization"), in_query("X-Amz-Credential")?];
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_date = |date: String| {
        let (day, time) = date.split_once('T').unwrap_or_default();
        digits(day) && time.strip_suffix('Z').is_some_and(digits)
    };
    // Behind the key's id stands a day.
    let has_day = |credential: String| credential.split('/').nth(1).is_none_or(digits);
    if dates.into_iter().flatten().all(is_date) && credentials.into_iter().flatten().all(has_day) {
        return Ok(());
    }
    Err(s3_error!(
        InvalidRequest,
        "a request's date is such as 20261126T150000Z, and its credential's such as 20261126"
    ))
}

/// What is handed to `inside` only where its signature holds.
pub(crate) fn signed(pairs: Pairs, inside: impl S3Route) -> S3Service {
    let mut outer = builder(Nothing);
    outer.set_auth(pairs);
    outer.set_route(inside);
    outer.build()
}

pub(crate) fn builder(calls: impl S3) -> S3ServiceBuilder {
    let mut config = S3Config::default();
    config.xml_max_body_size = usize::try_from(MAX_LIST).unwrap_or(usize::MAX);
    config.presigned_url_max_skew_time_secs = MAX_SKEW;
    let mut builder = S3ServiceBuilder::new(calls);
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    builder.set_validation(AnyName);
    builder
}

/// Which names buckets may have is for `scope` to say.
struct AnyName;

impl NameValidation for AnyName {
    fn validate_bucket_name(&self, _: &str) -> bool {
        true
    }
}

/// Outside nothing is served.
struct Nothing;

impl S3 for Nothing {}

/// Behind the signature.
struct Inside {
    pairs: Pairs,
    calls: S3Service,
}

#[async_trait::async_trait]
impl S3Route for Inside {
    fn is_match(&self, _: &Method, _: &Uri, _: &HeaderMap, _: &mut Extensions) -> bool {
        true
    }

    async fn call(&self, signed: S3Request<Body>) -> S3Result<S3Response<Body>> {
        // A signature of Version 2 has no region: it holds for ever.
        if signed.service.as_deref() != Some("s3") || signed.region.is_none() {
            return Err(s3_error!(InvalidRequest, "sign with AWS4-HMAC-SHA256, for the service s3 and a region"));
        }
        let visit = Visit::within(&signed.extensions)?;
        let id = signed.credentials.map(|pair| pair.access_key).unwrap_or_default();
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(visit.site.runtime.unix_millis());
        let access = self.pairs.access(&id, now).map_err(|why| Refusal::from(Denied::from(why)))?;
        let _ = visit.access.set(access);
        let need = match signed.method {
            Method::PUT | Method::POST => Need::Write,
            Method::DELETE => Need::Administer,
            _ => Need::Read,
        };
        let _admitted = visit.site.tenants.admit(visit.access()?.tenant(), need).await.map_err(Refusal::from)?;
        let request = Request::builder().method(signed.method).uri(without_signature(&signed.uri)?).body(signed.input);
        let mut request = request.map_err(|_| S3ErrorCode::InvalidURI)?;
        *request.headers_mut() = signed.headers;
        request.headers_mut().remove(AUTHORIZATION);
        *request.extensions_mut() = signed.extensions;
        request.extensions_mut().extend(signed.trailing_headers.map(trailing).unwrap_or_default());
        let answer = self.calls.call(request).await.map_err(|_| S3ErrorCode::InternalError)?;
        let (parts, body) = answer.into_parts();
        Ok(S3Response {
            output: body,
            status: Some(parts.status),
            headers: parts.headers,
            extensions: parts.extensions,
        })
    }
}

fn trailing(headers: s3s::TrailingHeaders) -> Extensions {
    let mut extensions = Extensions::new();
    extensions.insert(headers);
    extensions
}

/// What was signed, without the prefix and the signature.
fn without_signature(uri: &Uri) -> S3Result<Uri> {
    let path = below(uri.path()).ok_or(S3ErrorCode::InvalidURI)?;
    let query = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.starts_with("X-Amz-"));
    let query = query.collect::<Vec<_>>().join("&");
    let path = if path.is_empty() { "/" } else { path };
    let whole = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    let whole = PathAndQuery::try_from(whole).map_err(|_| S3Error::new(S3ErrorCode::InvalidURI))?;
    Ok(Uri::from(whole))
}
