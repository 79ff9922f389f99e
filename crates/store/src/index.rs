//! The index: from a key's fingerprint to its record, in memory, in independently locked shards. A pure data structure: which record wins is
//! `publish`'s to say.
//! Memory: 48 bytes a slot, 54.9 bytes an entry at the highest load of 7/8; each shard grows alone, by a quarter.

mod many;
mod shard;
mod slot;

use std::sync::atomic::{AtomicU64, Ordering};

use crate::sync::{Mutex, MutexGuard};
use crate::types::{Encoding, Fingerprint, LogicalLen, Offset, Ordinal, RecordType, StoredLen, Version};

pub use crate::types::Minutes;
use shard::Shard;

/// A segment as an entry names it: 24 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SegmentSlot(pub u32);

/// The most shards that an index may have: a fingerprint's lowest byte tells them apart.
const MOST_SHARDS: usize = 256;

/// What the index knows of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Of its key.
    pub fingerprint: Fingerprint,
    /// When it was committed.
    pub version: Version,
    /// Its segment.
    pub slot: SegmentSlot,
    /// Where it starts there.
    pub offset: Offset,
    /// Its place in the segment's commit order.
    pub ordinal: Ordinal,
    /// Bytes of the body as stored.
    pub stored_len: StoredLen,
    /// Bytes of the body as its reader knows it.
    pub logical_len: LogicalLen,
    /// Bytes of the head: a multiple of 64, below 16 KiB.
    pub head_len: u64,
    /// A record that it won against lies later in the ring.
    pub shadowing: bool,
    /// What it is.
    pub record_type: RecordType,
    /// How the body is encoded.
    pub encoding: Encoding,
    /// Uses since it was written or last moved.
    pub uses: u8,
    /// When a client was last told that it is there.
    pub vouched: Option<Minutes>,
}

/// All shards.
pub struct Index {
    shards: Box<[Mutex<Shard>]>,
    len: AtomicU64,
    tombstones: AtomicU64,
    bytes: AtomicU64,
}

/// One locked shard. Hold it for a probe, or some tens where they come together, never across disk work.
pub struct ShardGuard<'a> {
    shard: MutexGuard<'a, Shard>,
    index: &'a Index,
}

impl Index {
    /// An empty index of `shards` (a power of two, at most 256) shards.
    #[must_use]
    pub fn new(shards: usize) -> Index {
        assert!(shards.is_power_of_two() && shards <= MOST_SHARDS);
        let shards: Box<[Mutex<Shard>]> = (0..shards).map(|_| Mutex::new(Shard::default())).collect();
        Index { shards, len: AtomicU64::new(0), tombstones: AtomicU64::new(0), bytes: AtomicU64::new(0) }
    }

    /// Locks the shard of a fingerprint.
    pub fn lock(&self, fingerprint: &Fingerprint) -> ShardGuard<'_> {
        ShardGuard { shard: self.shards[self.shard_of(fingerprint)].lock(), index: self }
    }

    /// The lowest bits choose the shard, the highest the position in it.
    fn shard_of(&self, fingerprint: &Fingerprint) -> usize {
        fingerprint.0 as usize & (self.shards.len() - 1)
    }

    /// Entries.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::try_from(self.len.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
    }

    /// Of those, how many end something.
    #[must_use]
    pub fn tombstones(&self) -> u64 {
        self.tombstones.load(Ordering::Relaxed)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the slots occupy.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Forgets the vouches that are `over`, one shard's lock at a time.
    pub fn forget_vouches(&self, over: impl Fn(Minutes) -> bool) {
        for shard in &self.shards {
            shard.lock().forget_vouches(&over);
        }
    }

    /// Visits every entry, one shard's lock at a time.
    pub fn for_each(&self, mut visit: impl FnMut(&Entry)) {
        for shard in &self.shards {
            shard.lock().for_each(&mut visit);
        }
    }
}

impl ShardGuard<'_> {
    /// Asks memory for where the entry of a fingerprint stands, or would: a hint, so that a later probe need not wait.
    fn prefetch(&self, fingerprint: &Fingerprint) {
        self.shard.prefetch(*fingerprint);
    }

    /// The entry of a fingerprint.
    #[must_use]
    pub fn get(&self, fingerprint: &Fingerprint) -> Option<Entry> {
        self.shard.get(*fingerprint)
    }

    /// Puts an entry in; returns the one that it replaces.
    pub fn insert(&mut self, entry: Entry) -> Option<Entry> {
        let before = self.changing(|shard| shard.insert(&entry));
        self.count_tombstones(Some(&entry), before.as_ref());
        before
    }

    /// Takes an entry out.
    pub fn remove(&mut self, fingerprint: &Fingerprint) -> Option<Entry> {
        let before = self.changing(|shard| shard.remove(*fingerprint));
        self.count_tombstones(None, before.as_ref());
        before
    }

    /// Changes an entry in place, all but its fingerprint.
    pub fn update(&mut self, fingerprint: &Fingerprint, change: impl FnOnce(&mut Entry)) {
        self.shard.update(*fingerprint, change);
    }

    /// Marks an entry as vouched for now, and as used if `used`, where it is what was asked for; returns it then.
    #[inline]
    pub fn touch(
        &mut self,
        fingerprint: &Fingerprint,
        now: Minutes,
        used: bool,
        is_there: impl FnOnce(&Entry) -> bool,
    ) -> Option<Entry> {
        self.shard.touch(*fingerprint, now, used, is_there)
    }

    fn count_tombstones(&self, come: Option<&Entry>, gone: Option<&Entry>) {
        let count = |entry: Option<&Entry>| u64::from(entry.is_some_and(|of| of.record_type != RecordType::Artifact));
        self.index.tombstones.fetch_add(count(come).wrapping_sub(count(gone)), Ordering::Relaxed);
    }

    fn changing(&mut self, change: impl FnOnce(&mut Shard) -> Option<Entry>) -> Option<Entry> {
        let (len, bytes) = (self.shard.len(), self.shard.bytes());
        let before = change(&mut self.shard);
        self.index.len.fetch_add((self.shard.len() as u64).wrapping_sub(len as u64), Ordering::Relaxed);
        self.index.bytes.fetch_add(self.shard.bytes().wrapping_sub(bytes), Ordering::Relaxed);
        before
    }
}

#[cfg(test)]
mod tests;
