//! Bytes of bodies in memory, over all connections: received and not stored yet, read and not sent yet.
//! Invariant: what is held is at most the limit; who would exceed it is told to come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bodies below this many bytes are not counted: the bound on connections bounds them.
const TOO_SMALL_TO_COUNT: u64 = 16 * 1024;

/// What bodies in memory are accounted for against.
pub struct Memory {
    held: AtomicU64,
    limit: u64,
}

impl Memory {
    /// At most `limit` bytes at a time.
    #[must_use]
    pub fn new(limit: u64) -> Arc<Memory> {
        Arc::new(Memory { held: AtomicU64::new(0), limit })
    }

    /// Takes `bytes` until the answer is dropped; `None` where that would exceed the limit.
    #[must_use]
    pub fn hold(self: &Arc<Self>, bytes: u64) -> Option<Held> {
        if bytes < TOO_SMALL_TO_COUNT {
            return Some(Held(None));
        }
        let room = |held: u64| held.checked_add(bytes).filter(|sum| *sum <= self.limit);
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).ok()?;
        Some(Held(Some((Arc::clone(self), bytes))))
    }

    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }
}

/// Gives the bytes back when dropped.
#[must_use]
#[derive(Default)]
pub struct Held(Option<(Arc<Memory>, u64)>);

impl Held {
    /// Whether it stands for no bytes at all.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.0.is_none()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some((memory, bytes)) = self.0.take() {
            memory.held.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_exceed_the_limit_is_refused_until_some_is_given_back() {
        let memory = Memory::new(100_000);
        let first = memory.hold(60_000).unwrap();
        assert!(memory.hold(60_000).is_none());
        assert!(memory.hold(u64::MAX).is_none());
        let second = memory.hold(40_000).unwrap();
        assert_eq!(memory.held(), 100_000);
        drop(first);
        assert!(memory.hold(60_000).is_some());
        drop(second);
        assert_eq!(memory.held(), 0);
    }
}
