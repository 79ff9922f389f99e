//! Overlays: a namespace beside a trusted one, for those who may read the trusted one and must not change what others get from it. What is stored lies in
//! the overlay; what is not there is looked for in the trusted namespace, record by record, so that whatever names others (action results, recipes,
//! artifacts in parts) may name some of either.
//! Invariant: nothing reads an overlay but through a scope that names it.
//! Expiry: what lies in one longer than the operator says is not there any more. Quota: what was sent to one is bounded, and refused beyond; it is counted
//! from the first byte on for as long as an artifact lives, in this process: a restart begins anew.
//! Bound: so many overlays are counted, of which the one is forgotten that was sent to least recently.

use std::num::NonZeroUsize;
use std::time::Duration;

use kura_store::Presence;
use kura_store::key::RecordKey;
use lru::LruCache;
use parking_lot::Mutex;

use crate::artifact::{OVERLAY_MARK, Scope};
use crate::error::Error;
use crate::{Cache, Version};

/// Overlays that are counted.
const COUNTED: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is not zero");

/// What the operator decides about each overlay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverlaySettings {
    /// The most bytes that are taken.
    pub quota: u64,
    /// How long an artifact is there.
    pub age: Duration,
}

impl Default for OverlaySettings {
    fn default() -> OverlaySettings {
        OverlaySettings { quota: 10 << 30, age: Duration::from_secs(14 * 24 * 3600) }
    }
}

/// What was sent to overlays.
pub(crate) struct Sent(Mutex<LruCache<(String, String), Taken>>);

#[derive(Default)]
struct Taken {
    since: Duration,
    bytes: u64,
}

impl Default for Sent {
    fn default() -> Sent {
        Sent(Mutex::new(LruCache::new(COUNTED)))
    }
}

impl Cache {
    /// What is stored under a record of that scope, or else of the trusted one below.
    pub(crate) async fn read(&self, scope: &Scope, record: &RecordKey) -> Result<Option<kura_store::Artifact>, Error> {
        match (self.read_fresh(scope, record).await?, scope.below(record)?) {
            (None, Some(below)) => self.read_fresh(scope, &below).await,
            (found, _) => Ok(found),
        }
    }

    async fn read_fresh(&self, scope: &Scope, record: &RecordKey) -> Result<Option<kura_store::Artifact>, Error> {
        let found = self.inner.store.get(record).await?;
        Ok(found.filter(|found| self.is_fresh(scope, record, found.version)))
    }

    /// Whether it is there, which vouches for it.
    pub(crate) fn look(&self, scope: &Scope, record: &RecordKey) -> Result<Option<Presence>, Error> {
        let fresh = |record: &RecordKey| {
            let found = self.inner.store.contains(record);
            found.filter(|found| self.is_fresh(scope, record, found.version))
        };
        match (fresh(record), scope.below(record)?) {
            (None, Some(below)) => Ok(fresh(&below)),
            (found, _) => Ok(found),
        }
    }

    /// Of what lies in an overlay.
    pub(crate) fn has_expired(&self, version: Version) -> bool {
        self.age(version) > self.inner.settings.overlays.age
    }

    /// Takes so many bytes of what may be sent to the overlay that the record is in, if it is in one.
    ///
    /// # Errors
    /// `Quota`.
    pub(crate) fn charge(&self, record: &RecordKey, bytes: u64) -> Result<(), Error> {
        if !record.namespace().contains(OVERLAY_MARK) {
            return Ok(());
        }
        let (settings, now) = (self.inner.settings.overlays, self.inner.runtime.monotonic());
        let mut all = self.inner.sent.0.lock();
        let overlay = (record.tenant().to_owned(), record.namespace().to_owned());
        let taken = all.get_or_insert_mut(overlay, || Taken { since: now, bytes: 0 });
        if now.saturating_sub(taken.since) > settings.age {
            *taken = Taken { since: now, bytes: 0 };
        }
        let sum = taken.bytes.saturating_add(bytes);
        if sum > settings.quota {
            return Err(Error::Quota { limit: settings.quota });
        }
        taken.bytes = sum;
        Ok(())
    }
}
