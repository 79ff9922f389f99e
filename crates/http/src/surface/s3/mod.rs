//! S3, for tools that speak nothing else: `/s3/BUCKET/KEY…`, path-style. A bucket is a namespace of whoever signs, and is always there.
//!
//! The protocol is `s3s`'s: signatures, XML, which request is which operation. A request goes through it twice, since a signature covers the whole
//! path and a bucket is what comes behind `/s3`: `door` has it checked, takes the prefix and the signature off and hands it to `calls`, one
//! function for each operation that is served. All others answer `NotImplemented`.
//!
//! A server that asks for tokens takes the key pair of each of them, which may do what the token may; another takes the one pair of its settings, which
//! may do everything in the default tenant, and without one serves nobody.
//!
//! - `object`: one object, beside which `kept` keeps headers, and whose checksums `claim` checks; `parts`: one that comes in parts; `list`: all.
//! - `lent`: a body on its way through the library, which wants to own it; `chunks` keeps bodies in signed chunks out of memory.
//! - `error`: refusals as S3 spells them.

mod calls;
pub(crate) mod chunks;
pub(crate) mod claim;
pub(crate) mod door;
mod error;
pub(crate) mod kept;
mod lent;
pub(crate) mod list;
mod object;
pub(crate) mod parts;

use std::sync::{Arc, OnceLock};

use http::request::Parts;
use http::{Extensions, Response};
use kura_auth::{Access, Named, Need};
use kura_cache::{ArtifactKey, Cache, Kind, Namespace, Scope};
use parking_lot::Mutex;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Result};

use super::{Manner, Surface};
use crate::answer::Answer;
use crate::body::Arriving;
use crate::error::Refusal;
use crate::metrics::SurfaceCounters;
use crate::site::Site;
use crate::{attribute, key};

pub(crate) use door::Door;

pub(super) static MANNER: Manner = Manner {
    keeps: &[("content-type", attribute::TYPE), ("content-encoding", attribute::ENCODING)],
    describe: kept::describe,
    ..Manner::deletable("binary/octet-stream")
};

const ROOT: &str = "/s3";

/// What is behind [`ROOT`]: empty, or from its `/` on.
fn below(path: &str) -> Option<&str> {
    path.strip_prefix(ROOT).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

pub(super) fn owns(path: &str) -> bool {
    below(path).is_some()
}

pub(super) async fn answer(
    site: &Arc<Site>,
    parts: &Parts,
    body: &mut Arriving<'_>,
) -> Result<Response<Answer>, Refusal> {
    let answered = match site.s3() {
        Some(door) => door.ask(site, parts, body).await,
        None => Err(S3Error::with_message(
            S3ErrorCode::AccessDenied,
            "S3 is not served here: start the server with --auth, or with --s3-key-id and a secret",
        )),
    };
    Ok(answered.unwrap_or_else(error::told))
}

/// What goes along with a request through the library.
#[derive(Clone)]
struct Visit {
    site: Arc<Site>,
    /// Of whoever signed, once that signature has held.
    access: Arc<OnceLock<Access>>,
    /// An answer that the library is not to touch.
    told: Arc<Mutex<Option<Response<Answer>>>>,
}

impl Visit {
    fn new(site: &Arc<Site>) -> Visit {
        Visit { site: Arc::clone(site), access: Arc::default(), told: Arc::default() }
    }

    /// That of a request, of somebody who may do what needs that.
    fn of<T>(request: &S3Request<T>, need: Need) -> S3Result<Visit> {
        let visit = Visit::within(&request.extensions)?;
        visit.access()?.permits(need).map_err(Refusal::from)?;
        Ok(visit)
    }

    fn within(extensions: &Extensions) -> S3Result<Visit> {
        extensions.get::<Visit>().cloned().ok_or_else(|| S3Error::new(S3ErrorCode::InternalError))
    }

    fn access(&self) -> S3Result<&Access> {
        self.access.get().ok_or_else(|| S3Error::new(S3ErrorCode::AccessDenied))
    }

    /// The cache, for whoever signed.
    fn cache(&self) -> S3Result<Cache> {
        Ok(self.site.cache_for(self.access()?)?)
    }

    fn counters(&self) -> &Arc<SurfaceCounters> {
        self.site.metrics.of(Surface::S3)
    }

    /// The namespace that a bucket is.
    fn scope(&self, bucket: &str) -> S3Result<Scope> {
        let namespace = Namespace::parse(bucket.to_owned()).map_err(|_| S3ErrorCode::InvalidBucketName)?;
        let named = Named { namespace: Some(namespace), ..Named::default() };
        Ok(self.access()?.scope(named).map_err(Refusal::from)?)
    }

    /// The artifact that an object is.
    fn key(&self, bucket: &str, key: &str) -> S3Result<ArtifactKey> {
        let key = key::plain_path(key).map_err(Refusal::from)?;
        Ok(ArtifactKey::keyed(&self.scope(bucket)?, Kind::S3, &key).map_err(Refusal::from)?)
    }
}
