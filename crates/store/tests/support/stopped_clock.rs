//! A machine on which it is always the same millisecond, and which draws the same numbers whatever the seed: what is written then follows from the order of
//! what was asked, and from nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kura_disk::{Runtime, runtime::Task};

/// 2026-01-01.
const NOW: u64 = 1_767_225_600_000;

pub(crate) struct StoppedClock {
    runtime: Arc<dyn Runtime>,
    drawn: AtomicU64,
}

impl StoppedClock {
    pub(crate) fn new(runtime: Arc<dyn Runtime>) -> StoppedClock {
        StoppedClock { runtime, drawn: AtomicU64::new(0) }
    }
}

impl Runtime for StoppedClock {
    /// So slowly that no lease ends a minute later than it began, and yet on, since somebody may wait for it.
    fn monotonic(&self) -> Duration {
        self.runtime.monotonic() / 1024
    }

    fn unix_millis(&self) -> u64 {
        NOW
    }

    fn random(&self) -> u64 {
        (self.drawn.fetch_add(1, Ordering::Relaxed) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn spawn(&self, name: &'static str, task: Task) {
        self.runtime.spawn(name, task);
    }

    fn sleep(&self, duration: Duration) -> Task {
        self.runtime.sleep(duration)
    }

    fn yield_now(&self) -> Task {
        self.runtime.yield_now()
    }

    fn parallelism(&self) -> usize {
        self.runtime.parallelism()
    }
}
