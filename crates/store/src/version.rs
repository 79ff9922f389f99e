//! The one counter that versions and segment numbers come from.
//! Strictly increasing, whatever the wall clock does; started above everything found on disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kura_disk::Runtime;

use crate::types::{SegmentNumber, Version};

pub(crate) struct VersionClock {
    runtime: Arc<dyn Runtime>,
    last: AtomicU64,
}

impl VersionClock {
    pub(crate) fn new(runtime: Arc<dyn Runtime>) -> VersionClock {
        VersionClock { runtime, last: AtomicU64::new(0) }
    }

    /// Everything taken from now on is above `seen`.
    pub(crate) fn start_above(&self, seen: u64) {
        self.last.fetch_max(seen, Ordering::SeqCst);
    }

    pub(crate) fn next_version(&self) -> Version {
        Version(self.next())
    }

    pub(crate) fn next_number(&self) -> SegmentNumber {
        SegmentNumber(self.next())
    }

    fn next(&self) -> u64 {
        let now = self.runtime.unix_millis() << 16;
        let step = |last: u64| Some(now.max(last + 1));
        match self.last.fetch_update(Ordering::SeqCst, Ordering::SeqCst, step) {
            Ok(last) | Err(last) => now.max(last + 1),
        }
    }
}
