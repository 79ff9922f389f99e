//! What recovery has done and what is left, for whoever waits for it.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Where a start stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The directory is not locked yet.
    Opening,
    /// Footers are read, and the segments without one scanned.
    Loading,
    /// What is above a lowered budget is reclaimed.
    Shrinking,
    /// Done.
    Ready,
}

/// A start's progress, updated while it runs.
#[derive(Debug, Default)]
pub struct Progress {
    phase: AtomicU8,
    segments: AtomicU64,
    segments_done: AtomicU64,
    over_budget: AtomicU64,
}

/// The progress at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProgressSnapshot {
    /// Where the start stands.
    pub phase: Phase,
    /// Segment files found.
    pub segments: u64,
    /// Of those, how many are loaded.
    pub segments_done: u64,
    /// Bytes that are still to be reclaimed because the budget was lowered.
    pub over_budget: u64,
}

impl Progress {
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    pub(crate) fn found(&self, segments: usize) {
        self.segments.store(segments as u64, Ordering::Relaxed);
    }

    pub(crate) fn loaded_one(&self) {
        self.segments_done.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn over_budget(&self, bytes: u64) {
        self.over_budget.store(bytes, Ordering::Relaxed);
    }

    /// The progress now.
    #[must_use]
    pub fn snapshot(&self) -> ProgressSnapshot {
        let phase = match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Opening,
            1 => Phase::Loading,
            2 => Phase::Shrinking,
            _ => Phase::Ready,
        };
        ProgressSnapshot {
            phase,
            segments: self.segments.load(Ordering::Relaxed),
            segments_done: self.segments_done.load(Ordering::Relaxed),
            over_budget: self.over_budget.load(Ordering::Relaxed),
        }
    }
}
