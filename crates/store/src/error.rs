//! What can go wrong, told apart by what the caller can do about it. A miss is not an error.

use std::io;
use std::time::Duration;

use crate::types::{Offset, SegmentNumber};

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Larger than any artifact may be here: do not try again.
    #[error("the artifact is larger than the {limit} bytes that one may have here")]
    TooLarge {
        /// The most bytes that a body may have.
        limit: u64,
    },
    /// Attributes or key do not fit a record: do not try again.
    #[error("{0}")]
    Invalid(&'static str),
    /// The body does not have the length that was declared: send it again, whole.
    #[error("the body has {received} bytes and not the {declared} that were declared")]
    LengthMismatch {
        /// As announced.
        declared: u64,
        /// As received; of a longer body, what had come when it was refused.
        received: u64,
    },
    /// No room at this moment, but reclaim is at work: come back after the hint.
    #[error("busy making room: try again in {} s", .retry_after.as_secs())]
    Busy {
        /// When trying again is worth it.
        retry_after: Duration,
    },
    /// The filesystem is full and giving way did not help: free space, or lower `--capacity`.
    #[error("the filesystem is full: {0}")]
    Full(&'static str),
    /// What has to be written finds no room: records that must be moved, so that their segment stays, or a footer.
    #[error("there is no room for what must be written")]
    NoPlace,
    /// The segment under this upload or answer was reclaimed, or broken off to keep the budget: start again.
    #[error("evicted while it was being written or read: start again")]
    Evicted,
    /// The bytes on disk are not those that were written. The record is dropped; treat it as a miss.
    #[error("damaged: {what} in segment {segment} at {offset}")]
    Corrupt {
        /// The segment's number.
        segment: SegmentNumber,
        /// Where the record starts.
        offset: Offset,
        /// What did not hold.
        what: &'static str,
    },
    /// Two segments in a row could not be synced: what is stored is served, nothing is taken. See the log, mend the device, restart.
    #[error("the device fails: reads are served, writes are refused until a restart")]
    ReadOnly,
    /// The store is shutting down.
    #[error("shutting down")]
    Closed,
    /// Another process owns the data directory.
    #[error("the data directory is in use by {}: stop that process, or give this one another --data-dir", holder(.pid))]
    Locked {
        /// Its process id, where it could be read.
        pid: Option<u32>,
    },
    /// The directory was written by a newer Kura.
    #[error(
        "{path} has format version {found}, and this Kura knows versions up to {known}: run the newer Kura, or use another --data-dir"
    )]
    NewerFormat {
        /// The file.
        path: String,
        /// Its version.
        found: u32,
        /// The newest known.
        known: u32,
    },
    /// The directory holds no `STORE`: nothing was ever stored in it, or not by Kura.
    #[error("there is no store in it")]
    NoStore,
    /// `STORE` is damaged and segments exist that only it can vouch for.
    #[error(
        "both copies in STORE are damaged: restore it from a backup, or move {segments} segments away to start empty"
    )]
    StoreDamaged {
        /// How many segment files there are.
        segments: usize,
    },
    /// The capacity is below what the store can work with.
    #[error("a capacity of {} MiB is below the minimum of {} MiB: raise --capacity", .found >> 20, .minimum >> 20)]
    CapacityTooSmall {
        /// As configured.
        found: u64,
        /// The least possible.
        minimum: u64,
    },
    /// Quotas that this store cannot keep to.
    #[error("quotas of bytes: {0}")]
    Quotas(String),
    /// A file operation failed.
    #[error("{operation}: {source}")]
    Io {
        /// What was being done.
        operation: &'static str,
        /// As the system said, with the path.
        #[source]
        source: io::Error,
    },
}

fn holder(pid: &Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

impl Error {
    /// The same once more, for another who waits for the same sync.
    pub(crate) fn again(&self) -> Error {
        match self {
            Error::Io { operation, source } => Error::Io { operation, source: kura_disk::again(source) },
            _ => Error::Evicted,
        }
    }
}

/// Names the operation that an I/O error belongs to.
pub(crate) trait During<T> {
    fn during(self, operation: &'static str) -> Result<T, Error>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, operation: &'static str) -> Result<T, Error> {
        self.map_err(|source| Error::Io { operation, source })
    }
}
