//! Hits, misses and bytes by kind, for metrics and for people.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::artifact::Kind;

/// What happened to artifacts of one kind since the start. Sizes are bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KindStats {
    /// Asked for and served.
    pub hits: u64,
    /// Asked for and not there, or not to be vouched for.
    pub misses: u64,
    /// Of the misses, action results that were there while something that they name was not.
    pub incomplete: u64,
    /// Stored.
    pub stored: u64,
    /// Sent again while they were there: blobs that cost no write.
    pub known: u64,
    /// Bytes of bodies found.
    pub hit_bytes: u64,
    /// Bytes of bodies stored.
    pub stored_bytes: u64,
}

#[derive(Default)]
struct KindCounters {
    hits: AtomicU64,
    misses: AtomicU64,
    incomplete: AtomicU64,
    stored: AtomicU64,
    known: AtomicU64,
    hit_bytes: AtomicU64,
    stored_bytes: AtomicU64,
}

#[derive(Default)]
pub(crate) struct Counters([KindCounters; Kind::ALL.len()]);

fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

impl Counters {
    pub(crate) fn hit(&self, kind: Kind, bytes: u64) {
        let of = &self.0[kind.position()];
        add(&of.hits, 1);
        add(&of.hit_bytes, bytes);
    }

    pub(crate) fn miss(&self, kind: Kind) {
        add(&self.0[kind.position()].misses, 1);
    }

    pub(crate) fn incomplete(&self, kind: Kind) {
        add(&self.0[kind.position()].incomplete, 1);
    }

    pub(crate) fn stored(&self, kind: Kind, bytes: u64) {
        let of = &self.0[kind.position()];
        add(&of.stored, 1);
        add(&of.stored_bytes, bytes);
    }

    pub(crate) fn known(&self, kind: Kind) {
        add(&self.0[kind.position()].known, 1);
    }

    pub(crate) fn snapshot(&self) -> Vec<(Kind, KindStats)> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let stats = |of: &KindCounters| KindStats {
            hits: read(&of.hits),
            misses: read(&of.misses),
            incomplete: read(&of.incomplete),
            stored: read(&of.stored),
            known: read(&of.known),
            hit_bytes: read(&of.hit_bytes),
            stored_bytes: read(&of.stored_bytes),
        };
        Kind::ALL.iter().map(|kind| (*kind, stats(&self.0[kind.position()]))).collect()
    }
}
