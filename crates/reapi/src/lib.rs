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
//!
//! What is not served, remote execution above all, is UNIMPLEMENTED.
//!
//! Absent on purpose: storage decisions, the listener, and HTTP/2 itself.

mod action_cache;
mod blob;
mod byte_stream;
mod call;
mod capabilities;
mod cas;
mod counters;
mod digest;
mod grpc;
mod limits;
mod message;
mod metadata;
mod method;
mod resource;
mod scope;
mod settings;
mod status;

use std::sync::{Arc, OnceLock};

use http::Request;
use hyper::body::Incoming;
use kura_cache::Cache;
use kura_http::{Answering, Exposition, Guest, Memory};

pub use settings::ReapiSettings;

use byte_stream::Unfinished;
use counters::Counters;

/// What speaks gRPC on a server's port. Let in with [`kura_http::Server::welcome`].
pub struct Reapi {
    settings: Arc<ReapiSettings>,
    memory: Arc<Memory>,
    counters: Arc<Counters>,
    unfinished: Arc<Unfinished>,
    cache: OnceLock<Cache>,
}

impl Reapi {
    /// `memory` is what all bodies on the port are accounted for against.
    #[must_use]
    pub fn new(settings: ReapiSettings, memory: Arc<Memory>) -> Arc<Reapi> {
        Arc::new(Reapi {
            unfinished: Unfinished::new(&settings),
            settings: Arc::new(settings),
            memory,
            counters: Arc::new(Counters::default()),
            cache: OnceLock::new(),
        })
    }
}

impl Guest for Reapi {
    fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answering {
        Box::pin(call::answer(self, request))
    }

    fn open(&self, cache: Cache) {
        // A second one cannot come: the server keeps the first.
        let _ = self.cache.set(cache);
    }

    fn drain(&self) {}

    fn requests(&self) -> u64 {
        self.counters.total_calls()
    }

    fn expose(&self, to: &mut Exposition) {
        self.counters.expose(to);
    }
}
