//! What the store counts, for metrics and for people.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::budget::Category;
use crate::index::Entry;
use crate::store::Store;

/// Upper bounds of the buckets of a latency histogram, in microseconds.
pub const LATENCY_BUCKETS_MICROS: [u64; 12] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_500_000];

#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long something took, by bucket.
#[derive(Default)]
pub(crate) struct Latency {
    buckets: [Counter; LATENCY_BUCKETS_MICROS.len() + 1],
    total_micros: Counter,
}

/// A histogram as it stood when it was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LatencySnapshot {
    /// How many fell into each bucket of [`LATENCY_BUCKETS_MICROS`], and above the last.
    pub buckets: [u64; LATENCY_BUCKETS_MICROS.len() + 1],
    /// The sum of all, in microseconds.
    pub total_micros: u64,
}

impl Latency {
    pub(crate) fn record(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = LATENCY_BUCKETS_MICROS.partition_point(|bound| *bound < micros);
        self.buckets[bucket].add(1);
        self.total_micros.add(micros);
    }

    fn snapshot(&self) -> LatencySnapshot {
        LatencySnapshot {
            buckets: std::array::from_fn(|at| self.buckets[at].get()),
            total_micros: self.total_micros.get(),
        }
    }
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) rotations: Counter,
    pub(crate) solos: Counter,
    pub(crate) evictions: Counter,
    pub(crate) promotions: Counter,
    pub(crate) compactions: Counter,
    pub(crate) swept: Counter,
    pub(crate) damaged: Counter,
    pub(crate) broken_off: Counter,
    pub(crate) failed_segments: Counter,
    pub(crate) bytes_written: Counter,
    pub(crate) scrub_bytes: Counter,
    pub(crate) scrub_passes: Counter,
    pub(crate) scrub_damaged: Counter,
    /// Live bytes that this pass of the scrubber has not come to.
    pub(crate) scrub_left: AtomicU64,
    /// Memory of the lists of records that no footer has yet, as of the keeper's last look.
    pub(crate) lists_bytes: AtomicU64,
    pub(crate) commit_latency: Latency,
    shed_records: Counter,
    shed_bytes: Counter,
    pub(crate) lost_leases: Counter,
    /// Age of the last record that was shed, in milliseconds.
    shed_age_millis: AtomicU64,
}

impl Counters {
    /// A live record was dropped to make room.
    pub(crate) fn shed(&self, entry: &Entry, now_millis: u64, leased: bool) {
        self.shed_records.add(1);
        self.shed_bytes.add(entry.stored_len.0);
        let age = now_millis.saturating_sub(entry.version.unix_millis());
        self.shed_age_millis.store(age, Ordering::Relaxed);
        if leased {
            self.lost_leases.add(1);
        }
    }

    pub(crate) fn shed_age(&self) -> Duration {
        Duration::from_millis(self.shed_age_millis.load(Ordering::Relaxed))
    }
}

/// What a tenant with a quota has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantBytes {
    /// Who.
    pub tenant: String,
    /// Bytes of the segments that are its own, at their full size.
    pub used: u64,
    /// Bytes that it may have.
    pub quota: u64,
}

/// The store's figures at one moment. All sizes are bytes; counts are since the start.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Artifacts and tombstones in the index.
    pub index_entries: u64,
    /// The artifacts among them; those of a cleaned namespace until reclaim comes to them.
    pub artifacts: u64,
    /// What the index occupies in memory.
    pub index_bytes: u64,
    /// What the lists of records do that no footer has yet.
    pub lists_bytes: u64,
    /// Segments in the ring, and of those the solo ones.
    pub segments: u64,
    /// Segments of one artifact each.
    pub solo_segments: u64,
    /// Segments that the start could not read.
    pub unread_segments: u64,
    /// Bytes of records that can be read.
    pub live_bytes: u64,
    /// The most that the data directory may occupy.
    pub budget: u64,
    /// What the ledger counts, by category.
    pub used: Vec<(&'static str, u64)>,
    /// Those of tenants that have a quota.
    pub tenants: Vec<TenantBytes>,
    /// Segments unlinked.
    pub evictions: u64,
    /// Live records dropped to make room, and their bytes.
    pub shed_records: u64,
    /// Bytes of those.
    pub shed_bytes: u64,
    /// How old the last of them was.
    pub shed_age: Duration,
    /// Of those, how many a client had been told were there, within the lease: above zero, the budget is too small.
    pub lost_leases: u64,
    /// Full segments that a new one took over from.
    pub rotations: u64,
    /// Large artifacts kept by renaming.
    pub promotions: u64,
    /// Mostly dead segments emptied.
    pub compactions: u64,
    /// Leftovers of a crash removed at the start.
    pub swept: u64,
    /// Records that did not hold.
    pub damaged: u64,
    /// Evicted segments that were taken from slow readers to keep the budget.
    pub broken_off: u64,
    /// Segments whose sync failed.
    pub failed_segments: u64,
    /// Body bytes acknowledged.
    pub bytes_written: u64,
    /// How long commits took: one for each batch that shared a sync, and for each large artifact with a segment of its own.
    pub commit_latency: LatencySnapshot,
    /// Bytes that the scrubber has read.
    pub scrub_bytes: u64,
    /// Passes over everything that it has ended.
    pub scrub_passes: u64,
    /// Records that it found not to hold.
    pub scrub_damaged: u64,
    /// Bytes of live records that its present pass has still to come to.
    pub scrub_left_bytes: u64,
    /// Whether writes are refused after failed syncs.
    pub read_only: bool,
    /// Whether neighbours have filled the filesystem and nothing is left to give way with.
    pub filesystem_full: bool,
}

impl Store {
    /// Bytes of memory that grow with what is stored: the index, and the lists of records that no footer has yet.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.inner.index.bytes() + self.inner.counters.lists_bytes.load(Ordering::Relaxed)
    }

    /// The figures of this moment.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let inner = &self.inner;
        let counters = &inner.counters;
        let segments = inner.ring.in_order();
        Stats {
            index_entries: inner.index.len() as u64,
            artifacts: (inner.index.len() as u64).saturating_sub(inner.index.tombstones()),
            index_bytes: inner.index.bytes(),
            lists_bytes: counters.lists_bytes.load(Ordering::Relaxed),
            segments: segments.len() as u64,
            solo_segments: segments.iter().filter(|segment| segment.is_solo()).count() as u64,
            unread_segments: segments.iter().filter(|segment| segment.is_unread()).count() as u64,
            live_bytes: segments.iter().map(|segment| segment.live()).sum(),
            budget: inner.budget.limit(),
            used: Category::ALL.iter().map(|category| (category.name(), inner.budget.used_by(*category))).collect(),
            tenants: inner.tenants_bytes(),
            evictions: counters.evictions.get(),
            shed_records: counters.shed_records.get(),
            shed_bytes: counters.shed_bytes.get(),
            shed_age: counters.shed_age(),
            lost_leases: counters.lost_leases.get(),
            rotations: counters.rotations.get(),
            promotions: counters.promotions.get(),
            compactions: counters.compactions.get(),
            swept: counters.swept.get(),
            damaged: counters.damaged.get(),
            broken_off: counters.broken_off.get(),
            failed_segments: counters.failed_segments.get(),
            bytes_written: counters.bytes_written.get(),
            commit_latency: counters.commit_latency.snapshot(),
            scrub_bytes: counters.scrub_bytes.get(),
            scrub_passes: counters.scrub_passes.get(),
            scrub_damaged: counters.scrub_damaged.get(),
            scrub_left_bytes: counters.scrub_left.load(Ordering::Relaxed),
            read_only: inner.is_read_only(),
            filesystem_full: inner.pressure.is_stuck(),
        }
    }
}
