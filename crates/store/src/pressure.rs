//! What writers wait for, and what neighbours on the filesystem leave us.
//! Not here: making room (`keeper`); how many free bytes a rotation requires (`budget::required_free`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::lanes::Owner;

#[derive(Default)]
pub(crate) struct Pressure {
    /// Who waits, and for how many bytes. Bounded by the admission of uploads.
    demands: Arc<Mutex<Vec<(Owner, u64)>>>,
    /// The filesystem is full and there is nothing left to give way with.
    stuck: AtomicBool,
}

/// One writer's wait for bytes; over when dropped.
#[must_use]
pub(crate) struct Demand {
    demands: Arc<Mutex<Vec<(Owner, u64)>>>,
    demanded: (Owner, u64),
}

impl Drop for Demand {
    fn drop(&mut self) {
        let mut demands = self.demands.lock();
        if let Some(position) = demands.iter().position(|demanded| *demanded == self.demanded) {
            demands.swap_remove(position);
        }
    }
}

impl Pressure {
    pub(crate) fn demand(&self, owner: Owner, bytes: u64) -> Demand {
        let demanded = (owner, bytes);
        self.demands.lock().push(demanded);
        Demand { demands: Arc::clone(&self.demands), demanded }
    }

    /// Who waits, and for how many bytes.
    pub(crate) fn demands(&self) -> Vec<(Owner, u64)> {
        self.demands.lock().clone()
    }

    /// Bytes that all waiting writers need together.
    pub(crate) fn total(&self) -> u64 {
        self.demands.lock().iter().map(|(_, bytes)| bytes).sum()
    }

    /// The most that one waiting writer needs.
    pub(crate) fn largest(&self) -> u64 {
        self.demands.lock().iter().map(|(_, bytes)| *bytes).max().unwrap_or(0)
    }

    pub(crate) fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Relaxed)
    }

    /// Returns what it was.
    pub(crate) fn set_stuck(&self, stuck: bool) -> bool {
        self.stuck.swap(stuck, Ordering::Relaxed)
    }
}
