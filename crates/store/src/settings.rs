//! What an operator decides about a store, checked once when it opens.

use std::time::Duration;

use crate::geometry::Geometry;
use crate::lanes::Quota;

/// What an acknowledged write survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A power cut: every answer waits for a sync that it shares with all who wait.
    Always,
    /// A killed process; a power cut may cost what the last interval acknowledged, never integrity.
    Interval(Duration),
    /// A killed process. The system writes to the device when it likes.
    None,
}

/// How a store behaves. All sizes are bytes.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Sizes that follow from the capacity.
    pub geometry: Geometry,
    /// What acknowledged means.
    pub durability: Durability,
    /// How long an artifact is kept after a client was told that it is there; [`Settings::MAX_LEASE`] where that is less.
    pub lease: Duration,
    /// Free bytes of the filesystem below which the store gives way to its neighbours.
    pub min_free: u64,
    /// The largest artifact taken; a quarter of the budget where that is less.
    pub max_artifact_size: u64,
    /// How long a writer waits for room before it is told to come back.
    pub room_wait: Duration,
    /// The most bytes that the index may occupy: beyond, the oldest segment is reclaimed as if the disk were full.
    pub index_limit: u64,
    /// The most files kept open for reading.
    pub open_files: usize,
    /// How often hints are written: use counters to `heat`, how far the scrubber has come to `scrub`.
    pub heat_interval: Duration,
    /// The most bytes a second that the scrubber reads; zero: there is none.
    pub scrub_rate: u64,
    /// The least time from the beginning of one of its passes to that of the next.
    pub scrub_interval: Duration,
    /// Tenants with a quota of bytes: at most [`crate::MAX_QUOTAS`], each of [`Geometry::least_quota`] or more.
    pub quotas: Vec<Quota>,
    /// For stores that are to share a bucket or a mesh: the seed of their fingerprints. Used only when a store is created.
    pub fingerprint_seed: Option<[u8; 16]>,
}

impl Settings {
    /// The longest lease: within what `heat` remembers (254 hours), and far within what minutes modulo 2^16 can tell apart (45 days).
    pub const MAX_LEASE: Duration = Duration::from_secs(10 * 24 * 60 * 60);

    /// The defaults for a geometry.
    #[must_use]
    pub fn new(geometry: Geometry) -> Settings {
        Settings {
            geometry,
            durability: Durability::Always,
            lease: Duration::from_secs(3 * 60 * 60),
            min_free: 0,
            max_artifact_size: 2 << 30,
            room_wait: Duration::from_secs(20),
            index_limit: u64::MAX,
            open_files: 256,
            heat_interval: Duration::from_secs(180),
            scrub_rate: 0,
            scrub_interval: Duration::from_secs(24 * 60 * 60),
            quotas: Vec::new(),
            fingerprint_seed: None,
        }
    }
}
