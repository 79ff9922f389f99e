//! The one counter that versions and segment numbers come from.
//! Strictly increasing, whatever the wall clock does; started above everything of this store's that is found on disk, and above what a segment can hold
//! that could not be read. Names that others gave are stepped over, however high: a stray file must not use up the numbers.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kura_disk::Runtime;
use parking_lot::Mutex;

use crate::types::{SegmentNumber, Version};

/// How far versions in a segment may be above its number and above the time of its last change, as the filesystem has it: that is written out lazily,
/// a day late at most, and a power cut loses what was not.
const UNREAD_MARGIN: u64 = (2 * 24 * 60 * 60 * 1000) << 16;

/// No clock gets that far: what is above was not numbered by a store.
const ABSURD: u64 = 1 << 63;

/// Above every version in a segment that could not be read, known by its number and its last change; `None` where these are no store's. Versions run
/// ahead of the wall clock where that was set back; then the number is as far ahead.
pub(crate) fn above_unread(number: SegmentNumber, modified_unix_millis: u64) -> Option<u64> {
    let newest = number.0.max(modified_unix_millis.saturating_mul(1 << 16));
    (newest < ABSURD).then(|| newest + UNREAD_MARGIN)
}

pub(crate) struct VersionClock {
    runtime: Arc<dyn Runtime>,
    last: AtomicU64,
    /// Numbers that files have which are not this store's segments. Bounded by the files found at the start.
    taken: Mutex<HashSet<SegmentNumber>>,
}

impl VersionClock {
    pub(crate) fn new(runtime: Arc<dyn Runtime>) -> VersionClock {
        VersionClock { runtime, last: AtomicU64::new(0), taken: Mutex::default() }
    }

    /// Everything taken from now on is above `seen`.
    pub(crate) fn start_above(&self, seen: u64) {
        self.last.fetch_max(seen, Ordering::SeqCst);
    }

    /// No segment gets this number.
    pub(crate) fn step_over(&self, number: SegmentNumber) {
        self.taken.lock().insert(number);
    }

    pub(crate) fn next_version(&self) -> Version {
        Version(self.next())
    }

    pub(crate) fn next_number(&self) -> SegmentNumber {
        let taken = self.taken.lock();
        loop {
            let number = SegmentNumber(self.next());
            if !taken.contains(&number) {
                return number;
            }
        }
    }

    fn next(&self) -> u64 {
        let now = self.runtime.unix_millis() << 16;
        let step = |last: u64| Some(now.max(last + 1));
        match self.last.fetch_update(Ordering::SeqCst, Ordering::SeqCst, step) {
            Ok(last) | Err(last) => now.max(last + 1),
        }
    }
}
