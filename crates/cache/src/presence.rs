//! Whether artifacts are there. A question is a probe of the index, and vouches for what it finds.

use kura_store::key::RecordKey;

use crate::artifact::{self, ArtifactKey, Meaning, Scope};
use crate::digest::Digest;
use crate::error::Error;
use crate::limits::PROBES_BETWEEN_YIELDS;
use crate::{Cache, Version};

/// The version of the empty blob, which nobody wrote.
pub(crate) const EMPTY_BLOB_VERSION: Version = Version(1);

/// What is known of an artifact without reading it. Being told vouches for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presence {
    /// Bytes of its content.
    pub length: u64,
    /// When it was stored.
    pub version: Version,
}

impl Cache {
    /// Whether the artifact's bytes are there. Of an action result this says nothing about what it names: ask with [`Cache::get`].
    ///
    /// # Errors
    /// As for reading a blob.
    pub async fn present(&self, key: &ArtifactKey) -> Result<Option<Presence>, Error> {
        match &key.meaning {
            Meaning::Blob(digest) => Probe::new(self, &key.scope).find(digest).await,
            Meaning::Action(_) | Meaning::Keyed(_) => Ok(self.inner.store.contains(&key.record).map(Presence::of)),
        }
    }

    /// Those of the blobs that are not there, in the order in which they were asked for.
    ///
    /// # Errors
    /// As [`Cache::present`]; `Key` where the scope does not fit a record.
    pub async fn missing(&self, scope: &Scope, digests: &[Digest]) -> Result<Vec<Digest>, Error> {
        let mut probe = Probe::new(self, scope);
        let mut missing = Vec::new();
        for digest in digests {
            if probe.find(digest).await?.is_none() {
                missing.push(*digest);
            }
        }
        Ok(missing)
    }
}

impl Presence {
    fn of(found: kura_store::Presence) -> Presence {
        Presence { length: found.logical_len, version: found.version }
    }
}

/// One request's questions about blobs: other tasks run now and then, however many there are.
pub(crate) struct Probe<'a> {
    cache: &'a Cache,
    scope: &'a Scope,
    asked: u32,
}

impl<'a> Probe<'a> {
    pub(crate) fn new(cache: &'a Cache, scope: &'a Scope) -> Probe<'a> {
        Probe { cache, scope, asked: 0 }
    }

    /// Whether the blob is there.
    ///
    /// # Errors
    /// `Key` where the scope does not fit a record.
    pub(crate) async fn find(&mut self, digest: &Digest) -> Result<Option<Presence>, Error> {
        match self.look(digest).await? {
            Some((_, found)) => Ok(Some(Presence::of(found))),
            None => Ok(digest.is_empty_blob().then_some(Presence { length: 0, version: EMPTY_BLOB_VERSION })),
        }
    }

    /// What the index has under that digest.
    async fn look(&mut self, digest: &Digest) -> Result<Option<(RecordKey, kura_store::Presence)>, Error> {
        self.asked = self.asked.wrapping_add(1);
        if self.asked.is_multiple_of(PROBES_BETWEEN_YIELDS) {
            self.cache.inner.runtime.yield_now().await;
        }
        let key = artifact::blob_record(self.scope, digest)?;
        let found = self.cache.inner.store.contains(&key);
        let found = found.filter(|found| digest.size().is_none_or(|size| size == found.logical_len));
        Ok(found.map(|found| (key, found)))
    }
}
