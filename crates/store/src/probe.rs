//! READ, without a byte read: whether artifacts are there. A question is one probe of the index, under one shard's lock, and vouches for what it finds.
//! Requests ask for a thousand keys of one group: what these share is hashed once, and the clock is read once.

use crate::index::{Entry, Minutes};
use crate::key::{GroupHasher, KeyGroup, RecordKey};
use crate::store::{Inner, Store};
use crate::types::{Encoding, Fingerprint, RecordType, Version};

/// What the index says of an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presence {
    /// Bytes of the decoded body.
    pub logical_len: u64,
    /// When it was stored.
    pub version: Version,
    /// How the body is encoded.
    pub encoding: Encoding,
}

/// Questions about the keys of one group, asked in one go: all vouch as of when the probe was made.
pub struct Probe<'a> {
    inner: &'a Inner,
    group: GroupHasher,
    now: Minutes,
}

/// A question about one key of the group.
pub struct Asked(Option<Fingerprint>);

impl Store {
    /// Whether the artifact is there, which vouches for it. What a delete or a clean may have ended, though it failed, is not: whoever has it stores it again.
    #[must_use]
    pub fn contains(&self, key: &RecordKey) -> Option<Presence> {
        let inner = &self.inner;
        inner.presence(&inner.identity.seed.of(key), inner.now(), || inner.namespace_fingerprint(key))
    }

    /// Asks about keys of that group.
    #[must_use]
    pub fn probe(&self, group: &KeyGroup) -> Probe<'_> {
        Probe { inner: &self.inner, group: self.inner.identity.seed.of_group(group), now: self.inner.now() }
    }
}

impl Probe<'_> {
    /// The question whether the artifact whose key ends in `key` is there. The group has no keys of other lengths.
    #[must_use]
    pub fn ask(&self, key: &[u8]) -> Asked {
        Asked(self.group.of(key))
    }

    /// Has memory fetch what the answer takes. Some tens of questions are best announced before the first is answered: then they wait side by side.
    pub fn announce(&self, asked: &Asked) {
        asked.0.iter().for_each(|fingerprint| self.inner.index.prefetch(fingerprint));
    }

    /// The answer, which vouches for what is there.
    #[must_use]
    pub fn answer(&self, asked: &Asked) -> Option<Presence> {
        self.inner.presence(asked.0.as_ref()?, self.now, || self.group.namespace)
    }
}

impl Inner {
    fn presence(
        &self,
        fingerprint: &Fingerprint,
        now: Minutes,
        namespace: impl Fn() -> Fingerprint,
    ) -> Option<Presence> {
        let may_have_ended = |entry: &Entry| {
            // The next start may find the tombstone, and not what was vouched for.
            self.tombstones.any_failed() && self.tombstones.may_have_ended(*fingerprint, namespace(), entry.version)
        };
        let is_there = |entry: &Entry| self.is_there(entry, &namespace) && !may_have_ended(entry);
        let Entry { version, logical_len, encoding, .. } =
            self.index.lock(fingerprint).touch(fingerprint, now, false, is_there)?;
        Some(Presence { logical_len: logical_len.0, version, encoding })
    }

    /// Whether the entry is an artifact that nothing has ended: only for these is anybody vouched to.
    pub(crate) fn is_there(&self, entry: &Entry, namespace: impl Fn() -> Fingerprint) -> bool {
        entry.record_type == RecordType::Artifact && !self.is_cleaned(entry.version, namespace)
    }

    /// Whether a clean of its namespace has ended that version.
    pub(crate) fn is_cleaned(&self, version: Version, namespace: impl Fn() -> Fingerprint) -> bool {
        self.tombstones.any_cleans() && self.tombstones.ends(namespace(), version)
    }
}
