//! What all connections share: the cache, once recovery is done, and what is counted and bounded over all of them.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use kura_auth::{Access, Authenticator};
use kura_cache::Cache;
use kura_disk::Runtime;
use kura_store::Progress;

use crate::auth::Door;
use crate::error::Refusal;
use crate::guest::Guest;
use crate::health::Prober;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::request_id::RequestIds;
use crate::settings::ServerSettings;
use crate::surface::s3;
use crate::surface::s3::door::Pairs;
use crate::tenants::Tenants;

pub(crate) struct Site {
    pub(crate) settings: ServerSettings,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) metrics: Metrics,
    pub(crate) memory: Arc<Memory>,
    pub(crate) tenants: Arc<Tenants>,
    pub(crate) prober: Prober,
    pub(crate) request_ids: RequestIds,
    /// Where S3's clients come in that sign with the key pair of the settings.
    s3: Option<s3::Door>,
    /// Where clients come in that say who they are, and those of S3.
    doors: OnceLock<(Door, s3::Door)>,
    guest: OnceLock<Arc<dyn Guest>>,
    cache: OnceLock<Cache>,
    draining: AtomicBool,
    secure: AtomicBool,
}

impl Site {
    pub(crate) fn new(settings: ServerSettings, runtime: Arc<dyn Runtime>, progress: Arc<Progress>) -> Arc<Site> {
        Arc::new(Site {
            memory: Memory::new(settings.memory),
            tenants: Tenants::new(Arc::clone(&runtime)),
            s3: settings.s3.clone().map(|pair| s3::Door::new(Pairs::One(pair))),
            request_ids: RequestIds::from(runtime.random()),
            settings,
            runtime,
            progress,
            metrics: Metrics::default(),
            prober: Prober::default(),
            doors: OnceLock::new(),
            guest: OnceLock::new(),
            cache: OnceLock::new(),
            draining: AtomicBool::new(false),
            secure: AtomicBool::new(false),
        })
    }

    /// The cache, if recovery is done.
    pub(crate) fn cache(&self) -> Option<&Cache> {
        self.cache.get()
    }

    /// The cache, for whoever asks.
    ///
    /// # Errors
    /// 503 while recovery runs.
    pub(crate) fn cache_for(&self, access: &Access) -> Result<Cache, Refusal> {
        Ok(self.recovered()?.by(access.name()))
    }

    /// The cache, for whoever is nobody's in particular.
    ///
    /// # Errors
    /// 503 while recovery runs.
    pub(crate) fn recovered(&self) -> Result<&Cache, Refusal> {
        self.cache().ok_or_else(|| Refusal::unavailable("recovery is under way: see /ready"))
    }

    pub(crate) fn open(&self, cache: Cache) {
        let below = cache.clone();
        if self.cache.set(cache.clone()).is_err() {
            tracing::warn!("the server was given a second cache: it keeps the first");
            return;
        }
        self.memory.share_with(move || below.memory());
        if let Some(guest) = self.guest() {
            guest.open(cache);
        }
    }

    /// What asks clients who they are; nothing, where anyone may do everything.
    pub(crate) fn door(&self) -> Option<&Door> {
        self.doors.get().map(|(door, _)| door)
    }

    /// Where S3's clients come in, if any may. Where tokens are asked for, the key pair of the settings is nobody's.
    pub(crate) fn s3(&self) -> Option<&s3::Door> {
        self.doors.get().map(|(_, door)| door).or(self.s3.as_ref())
    }

    pub(crate) fn authenticate(&self, authenticator: Arc<Authenticator>) {
        let s3 = s3::Door::new(Pairs::OfTokens(Arc::clone(&authenticator)));
        if self.doors.set((Door::new(authenticator), s3)).is_err() {
            tracing::warn!("the server was given a second authenticator: it keeps the first");
        }
    }

    /// What shares the port.
    pub(crate) fn guest(&self) -> Option<&Arc<dyn Guest>> {
        self.guest.get()
    }

    pub(crate) fn welcome(&self, guest: Arc<dyn Guest>) {
        if self.guest.set(guest).is_err() {
            tracing::warn!("the server was given a second guest: it keeps the first");
        }
    }

    /// Whether clients have to speak TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.secure.load(Ordering::Relaxed)
    }

    pub(crate) fn secure(&self) {
        self.secure.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
        if let Some(guest) = self.guest() {
            guest.drain();
        }
    }
}
