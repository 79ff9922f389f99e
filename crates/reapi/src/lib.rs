//! The gRPC adapter: it parses, translates and streams; what a build cache means is decided below (`kura-cache`).
//!
//! A call comes from the port that HTTP has (`kura-http`, whose guest this is) → `call`, which does the same for all of them: recovery, deadline,
//! counting → its method. `grpc` frames messages both ways.
//!
//! | service | methods |
//! |---|---|
//! | `Capabilities` | `capabilities` |
//! | `ActionCache` | `action_cache` |
//! | `ContentAddressableStorage` | `cas` |
//! | `google.bytestream.ByteStream` | `byte_stream` |
//! | Remote Asset's `Fetch` and `Push` | `asset` |
//! | LLVM's `CASDBService` and `KeyValueDB` | `llvm` |
//! | health, server reflection | `health`, `reflection` |
//!
//! What is not served, remote execution above all, is UNIMPLEMENTED.
//!
//! Absent on purpose: storage decisions, the listener, and HTTP/2 itself.

mod action_cache;
mod asset;
mod blob;
mod byte_stream;
mod call;
mod capabilities;
mod cas;
mod counters;
mod digest;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod grpc;
mod health;
mod limits;
mod llvm;
mod message;
mod metadata;
mod method;
mod reflection;
mod resource;
mod scope;
mod settings;
mod status;

use std::sync::{Arc, OnceLock};

use http::Request;
use kura_auth::Access;
use kura_cache::Cache;
use kura_disk::Runtime;
use kura_http::{Answering, Exposition, Guest, Incoming, Memory, Tenants, Window};
use tokio::sync::watch;
use tonic::Status;

pub use settings::{FetchSettings, ReapiSettings};

use asset::Flights;
use byte_stream::Unfinished;
use call::{Call, Head};
use counters::Counters;
use health::Stage;

/// What speaks gRPC on a server's port. Let in with [`kura_http::Server::welcome`].
pub struct Reapi {
    settings: Arc<ReapiSettings>,
    memory: Arc<Memory>,
    tenants: Arc<Tenants>,
    runtime: Arc<dyn Runtime>,
    counters: Arc<Counters>,
    unfinished: Arc<Unfinished>,
    flights: Option<Flights>,
    cache: OnceLock<Cache>,
    stage: watch::Sender<Stage>,
}

impl Reapi {
    /// `memory` is what all bodies on the port are accounted for against, and `tenants` what each may take of it.
    #[must_use]
    pub fn new(
        settings: ReapiSettings,
        memory: Arc<Memory>,
        tenants: Arc<Tenants>,
        runtime: Arc<dyn Runtime>,
    ) -> Arc<Reapi> {
        let counters = Arc::new(Counters::default());
        let flights = settings.fetch.as_ref().map(|fetch| Flights::new(fetch, Arc::clone(&counters)));
        Arc::new(Reapi {
            unfinished: Unfinished::new(&settings),
            flights,
            settings: Arc::new(settings),
            memory,
            tenants,
            runtime,
            counters,
            cache: OnceLock::new(),
            stage: watch::Sender::new(Stage::Recovering),
        })
    }

    fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    fn stages(&self) -> watch::Receiver<Stage> {
        self.stage.subscribe()
    }

    /// A call, for a method that needs the cache.
    ///
    /// # Errors
    /// `UNAVAILABLE` while recovery runs.
    fn call(&self, incoming: grpc::Incoming, head: Head) -> Result<Call, Status> {
        let cache = self.cache.get().ok_or_else(|| status::unavailable("recovery is under way: see /ready"))?;
        Ok(Call {
            cache: cache.by(head.access.name()),
            head,
            memory: Arc::clone(&self.memory),
            runtime: Arc::clone(&self.runtime),
            unfinished: Arc::clone(&self.unfinished),
            flights: self.flights.clone(),
            incoming,
        })
    }
}

impl Guest for Reapi {
    fn answer(self: Arc<Self>, request: Request<Incoming>, access: Access, window: Arc<Window>) -> Answering {
        Box::pin(call::answer(self, request, access, window))
    }

    fn open(&self, cache: Cache) {
        // A second one cannot come: the server keeps the first.
        let _ = self.cache.set(cache);
        self.stage.send_if_modified(|stage| {
            let opened = *stage == Stage::Recovering;
            *stage = if opened { Stage::Serving } else { *stage };
            opened
        });
    }

    fn drain(&self) {
        self.stage.send_replace(Stage::Draining);
    }

    fn requests(&self) -> u64 {
        self.counters.total_calls()
    }

    fn expose(&self, to: &mut Exposition) {
        self.counters.expose(to);
    }
}
