//! A machine whose clocks a test may set while it runs: time that passes without anything else happening, and a wall clock that jumps.

use std::sync::Arc;
use std::time::Duration;

use kura_disk::{Runtime, runtime::Task};
use parking_lot::Mutex;

/// How far the clocks are from those of the machine.
#[derive(Default)]
pub(crate) struct Skew {
    passed: Mutex<Duration>,
    wall_millis: Mutex<i64>,
}

impl Skew {
    /// Time passes.
    pub(crate) fn pass(&self, time: Duration) {
        *self.passed.lock() += time;
    }

    /// The wall clock is set; no time passes.
    pub(crate) fn set_wall_clock(&self, by_millis: i64) {
        *self.wall_millis.lock() += by_millis;
    }
}

pub(crate) struct SkewedClock {
    runtime: Arc<dyn Runtime>,
    skew: Arc<Skew>,
}

impl SkewedClock {
    pub(crate) fn new(runtime: Arc<dyn Runtime>, skew: Arc<Skew>) -> SkewedClock {
        SkewedClock { runtime, skew }
    }
}

impl Runtime for SkewedClock {
    fn monotonic(&self) -> Duration {
        self.runtime.monotonic() + *self.skew.passed.lock()
    }

    fn unix_millis(&self) -> u64 {
        let passed = u64::try_from(self.skew.passed.lock().as_millis()).unwrap();
        (self.runtime.unix_millis() + passed).saturating_add_signed(*self.skew.wall_millis.lock())
    }

    fn random(&self) -> u64 {
        self.runtime.random()
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
