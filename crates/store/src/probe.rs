//! READ, without a byte read: whether artifacts are there. A question is one probe of the index, under one shard's lock, and vouches for what it finds.
//! Requests ask for a thousand keys of one group: what these share is hashed once, the clock is read once, and the index is asked shard by shard.

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
    /// What the artifact is asked for by whose key ends in `rest`. The group has no keys of other lengths.
    #[must_use]
    pub fn fingerprint(&self, rest: &[u8]) -> Fingerprint {
        self.group.of(rest)
    }

    /// Whether the artifact is there, which vouches for it.
    #[must_use]
    pub fn answer(&self, asked: &Fingerprint) -> Option<Presence> {
        self.inner.presence(asked, self.now, || self.group.namespace)
    }

    /// The same for many, a thousand at most for others' sake: `tell` is told the place in `asked`, and the answer. In no order.
    pub fn answer_all(&self, asked: &[Fingerprint], mut tell: impl FnMut(usize, Option<Presence>)) {
        let vouches = |entry: &Entry| self.inner.vouches(entry, || self.group.namespace);
        self.inner.index.touch_all(asked, self.now, vouches, |at, found| tell(at, found.map(Presence::of)));
    }
}

impl Presence {
    fn of(entry: Entry) -> Presence {
        Presence { logical_len: entry.logical_len.0, version: entry.version, encoding: entry.encoding }
    }
}

impl Inner {
    fn presence(
        &self,
        fingerprint: &Fingerprint,
        now: Minutes,
        namespace: impl Fn() -> Fingerprint,
    ) -> Option<Presence> {
        let vouches = |entry: &Entry| self.vouches(entry, namespace);
        self.index.lock(fingerprint).touch(fingerprint, now, false, vouches).map(Presence::of)
    }

    /// Whether a client may be told that it is there.
    fn vouches(&self, entry: &Entry, namespace: impl Fn() -> Fingerprint) -> bool {
        // The next start may find the tombstone, and not what was vouched for.
        let may_have_ended = || {
            self.tombstones.any_failed()
                && self.tombstones.may_have_ended(entry.fingerprint, namespace(), entry.version)
        };
        self.is_there(entry, &namespace) && !may_have_ended()
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
