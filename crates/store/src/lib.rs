//! Everything is a segment: the store that keeps artifacts within a byte budget, whatever it is killed at.
//!
//! Four paths, each readable top to bottom:
//! - WRITE: [`Store::put`] → `upload` (admit, reserve, stream in place) → `commit` (trailer, group commit, index).
//! - READ: [`Store::contains`] → `probe`; [`Store::get`] → `read` (find, vouch) → `body` (checked as it leaves).
//! - RECLAIM: `keeper` (when) → `quota` (whose) → `reclaim` (choose, rescue or promote, sync) → `evict` (unlink).
//! - RECOVERY: [`Store::open`] → `recover` → `identify`, `sweep`, `load`, `scan` → `publish`.
//!
//! Invariants: an index entry leads to a record that is readable; a segment is in the ring until its unlink is durable; every byte on the disk is
//! on the ledger; no lock is held across disk work.
//!
//! Absent on purpose: protocols, async runtimes, clocks and files (all of the last two come through `kura-disk`).

mod body;
pub mod budget;
mod commit;
mod counters;
mod create;
mod doubtful;
mod error;
mod evict;
mod files;
pub mod format;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
pub mod geometry;
mod heat;
mod identify;
pub mod index;
mod keeper;
pub mod key;
mod lanes;
mod lease;
mod list;
mod load;
mod log;
mod look;
#[cfg(test)]
mod models;
mod pressure;
mod probe;
mod progress;
mod publish;
mod queue;
mod quota;
mod read;
mod reclaim;
mod records;
mod recover;
mod rescue;
mod residents;
mod retire;
mod ring;
mod room;
mod scan;
mod scrub;
mod seal;
mod segment;
mod settings;
mod solo;
pub mod stopped;
mod store;
mod sweep;
mod sync;
mod tombstone;
pub mod types;
mod under_way;
mod upload;
mod version;
mod victim;

pub use body::Body;
pub use counters::{LATENCY_BUCKETS_MICROS, LatencySnapshot, Stats, TenantBytes};
pub use error::Error;
pub use lanes::{MAX_QUOTAS, Quota};
pub use probe::{Presence, Probe};
pub use progress::{Phase, Progress, ProgressSnapshot};
pub use read::Artifact;
pub use settings::{Durability, Settings};
pub use store::Store;
pub use upload::{Commit, PutRequest, Upload};
