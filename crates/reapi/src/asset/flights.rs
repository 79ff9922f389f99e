//! Fetches from origins that are under way. Who wants what is being fetched waits for that; nothing is fetched twice at once. A fetch goes on when
//! nobody waits for it any more, so that a client which comes again finds what it wanted.
//! Bounds: how many are under way, how many of them transfer, their memory, how long each may take; a blob's size is the cache's to bound.
//! Not here: which addresses may be connected to (`kura-origin`).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bazel_remote_apis::build::bazel::remote::execution::v2 as proto;
use bytes::Bytes;
use kura_cache::{Cache, DigestFunction, Error};
use kura_http::{Class, Memory};
use kura_origin::Origins;
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tonic::{Code, Status};

use super::association::{Association, Name, names, store, timestamp};
use super::checksum::Checksum;
use crate::call::Call;
use crate::counters::Counters;
use crate::limits::{FETCH_MEMORY, FETCHES, FETCHES_AT_A_TIME};
use crate::settings::FetchSettings;
use crate::{digest, status};

/// All of them. Clones share them.
#[derive(Clone)]
pub(crate) struct Flights(Arc<Inner>);

struct Inner {
    origins: Origins,
    timeout: Duration,
    keep: Duration,
    /// By what they fetch.
    under_way: Mutex<HashMap<(Name, DigestFunction), Flight>>,
    turns: Semaphore,
    counters: Arc<Counters>,
}

/// One that is under way, as who waits for it sees it.
#[derive(Clone)]
struct Flight {
    /// When it began, since the Unix epoch.
    since_millis: u64,
    landed: watch::Receiver<Option<Outcome>>,
}

/// What comes of a fetch.
type Outcome = Result<Association, Failure>;

/// Why nothing came of it.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// What an origin answers is no failure of the call.
    Origin(Status),
    Ours(Status),
}

/// What is to be fetched.
#[derive(Clone)]
pub(super) struct Wanted {
    pub(super) name: Name,
    pub(super) uri: String,
    pub(super) function: DigestFunction,
    pub(super) checksum: Option<Checksum>,
}

impl Flights {
    pub(crate) fn new(settings: &FetchSettings, counters: Arc<Counters>) -> Flights {
        Flights(Arc::new(Inner {
            origins: Origins::new(settings.origins.clone()),
            timeout: settings.timeout,
            keep: settings.keep,
            under_way: Mutex::default(),
            turns: Semaphore::new(FETCHES_AT_A_TIME),
            counters,
        }))
    }

    /// Fetches what is wanted, not older than `oldest`: since the Unix epoch. What is fetched from now on is new enough for clocks that are ahead.
    pub(super) async fn fetch(&self, call: &Call, wanted: &Wanted, oldest: u64) -> Outcome {
        let asked = call.runtime.unix_millis();
        let flight = self.board(call, wanted)?;
        let since = flight.since_millis;
        let landed = flight.landed().await;
        if landed.is_err() || since >= oldest.min(asked) {
            return landed;
        }
        self.board(call, wanted)?.landed().await
    }

    /// The fetch that is under way, or else one that begins.
    fn board(&self, call: &Call, wanted: &Wanted) -> Result<Flight, Failure> {
        let key = (wanted.name.clone(), wanted.function);
        let mut under_way = self.0.under_way.lock();
        if let Some(flight) = under_way.get(&key) {
            return Ok(flight.clone());
        }
        if under_way.len() >= FETCHES {
            return Err(Failure::Ours(status::overload("too many fetches are under way")));
        }
        let (sender, landed) = watch::channel(None);
        let flight = Flight { since_millis: call.runtime.unix_millis(), landed };
        under_way.insert(key.clone(), flight.clone());
        let landing = Landing { inner: Arc::clone(&self.0), key };
        let carrying = Carrying {
            cache: call.cache.clone(),
            memory: Arc::clone(&call.memory),
            wanted: wanted.clone(),
            since_millis: flight.since_millis,
        };
        let task = async move {
            let inner = &landing.inner;
            let late = Failure::Origin(Status::deadline_exceeded("the origin took too long"));
            let outcome = timeout(inner.timeout, Box::pin(carrying.run(inner))).await.unwrap_or(Err(late));
            inner.counters.fetched(outcome.is_ok());
            drop(landing);
            sender.send_replace(Some(outcome));
        };
        // What is spawned while the runtime ends is dropped at once, and takes itself from the list.
        drop(under_way);
        call.runtime.spawn("fetch", Box::pin(task));
        Ok(flight)
    }
}

impl Flight {
    async fn landed(mut self) -> Outcome {
        match self.landed.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone()) {
            Some(outcome) => outcome,
            None => Err(Failure::Ours(status::unavailable("the fetch was given up"))),
        }
    }
}

/// Takes a fetch from the list, whatever became of it.
struct Landing {
    inner: Arc<Inner>,
    key: (Name, DigestFunction),
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.inner.under_way.lock().remove(&self.key);
    }
}

/// A fetch, with what it needs.
struct Carrying {
    cache: Cache,
    memory: Arc<Memory>,
    wanted: Wanted,
    since_millis: u64,
}

impl Carrying {
    async fn run(&self, inner: &Inner) -> Outcome {
        let overload = || Failure::Ours(status::overload("too many fetches are under way"));
        let _turn = inner.turns.acquire().await.map_err(|_| overload())?;
        let _held = self.memory.hold(Class::Background, FETCH_MEMORY).ok_or_else(overload)?;
        let found = self.transfer(inner).await?;
        // What has a checksum is the same whenever it is fetched.
        let until = self.since_millis.saturating_add(u64::try_from(inner.keep.as_millis()).unwrap_or(u64::MAX));
        let association = Association {
            names: names(vec![found.clone()], Vec::new()),
            digest: Some(found),
            digest_function: self.wanted.function as i32,
            since_millis: self.since_millis,
            expire_at: self.wanted.checksum.is_none().then(|| timestamp(until)),
        };
        store(&self.cache, &self.wanted.name, Bytes::from(association.encode_to_vec())).await?;
        Ok(association)
    }

    /// The blob, from its origin into the cache.
    async fn transfer(&self, inner: &Inner) -> Result<proto::Digest, Failure> {
        let Wanted { name, uri, function, checksum } = &self.wanted;
        let mut download = inner.origins.get(uri).await?;
        let limit = self.cache.max_artifact_size();
        if download.length().is_some_and(|length| length > limit) {
            return Err(Error::TooLarge { limit }.into());
        }
        let mut blob = self.cache.put_unnamed(&name.scope, *function);
        let mut verifier = checksum.as_ref().map(Checksum::verifier);
        while let Some(piece) = download.next().await? {
            if let Some(verifier) = &mut verifier {
                verifier.update(&piece);
            }
            blob.write(&piece).await?;
        }
        if let (Some(checksum), Some(verifier)) = (checksum, verifier)
            && !checksum.is_of(verifier)
        {
            return Err(Failure::Origin(Status::aborted("what the origin has is of another checksum")));
        }
        let digest = blob.commit().await?;
        inner.counters.fetched_bytes(digest.size().unwrap_or_default());
        tracing::info!(uri = uri.split(['?', '#']).next(), ?digest, "fetched from its origin");
        Ok(digest::to_message(&digest))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let status = status::of(&error);
        match error {
            // More than is taken is what the origin has: another may have it in less.
            Error::TooLarge { .. } | Error::Invalid(_) => Failure::Origin(status),
            _ => Failure::Ours(status),
        }
    }
}

impl From<kura_origin::Error> for Failure {
    fn from(error: kura_origin::Error) -> Failure {
        use kura_origin::Error as Origin;
        let code = match &error {
            Origin::NotFetchable(_) => Code::InvalidArgument,
            Origin::NotFound(_) => Code::NotFound,
            Origin::Denied(_) | Origin::Closed(_) => Code::PermissionDenied,
            Origin::Unavailable(_) => Code::Unavailable,
            Origin::Slow(_) => Code::DeadlineExceeded,
            Origin::Unusable(_) => Code::Aborted,
        };
        Failure::Origin(Status::new(code, error.to_string()))
    }
}
