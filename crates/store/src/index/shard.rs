//! An open-addressing table with linear probing, kept in order of fingerprint (robin hood), so that growing is a merge and deleting shifts back.
//! Position: the fingerprint's high 64 bits scaled to the capacity, which so need not be a power of two.

use super::Entry;
use super::slot::Slot;
use crate::types::{Fingerprint, Minutes};

/// Slots of the smallest table.
const MIN_CAPACITY: usize = 16;

/// Behind the last position there is room for a run to spill, so that probing never wraps.
const SPILL: usize = 8;

/// Slots from a fingerprint's home on that are fetched ahead: 192 bytes, where most probes end.
const PREFETCHED: usize = 4;

#[derive(Default)]
pub(super) struct Shard {
    slots: Vec<Slot>,
    /// Positions; `slots` is longer by the spill.
    capacity: usize,
    len: usize,
}

impl Shard {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn bytes(&self) -> u64 {
        (self.slots.capacity() * size_of::<Slot>()) as u64
    }

    /// Probing starts at a fingerprint's home, and goes on for three or four slots on average where the table is as full as it may be.
    pub(super) fn prefetch(&self, fingerprint: Fingerprint) {
        let home = self.home((fingerprint.0 >> 64) as u64);
        self.slots.iter().skip(home).take(PREFETCHED).for_each(prefetch);
    }

    pub(super) fn get(&self, fingerprint: Fingerprint) -> Option<Entry> {
        self.find(fingerprint).ok().map(|at| self.slots[at].unpack())
    }

    /// Inlined, so that a question about presence does not unpack what it does not look at.
    #[inline]
    pub(super) fn touch(
        &mut self,
        fingerprint: Fingerprint,
        now: Minutes,
        used: bool,
        is_there: impl FnOnce(&Entry) -> bool,
    ) -> Option<Entry> {
        let at = self.find(fingerprint).ok()?;
        let slot = &mut self.slots[at];
        if !is_there(&slot.unpack()) {
            return None;
        }
        slot.touch(now, used);
        Some(slot.unpack())
    }

    pub(super) fn update(&mut self, fingerprint: Fingerprint, change: impl FnOnce(&mut Entry)) {
        if let Ok(at) = self.find(fingerprint) {
            let mut entry = self.slots[at].unpack();
            change(&mut entry);
            entry.fingerprint = fingerprint;
            self.slots[at] = Slot::pack(&entry);
        }
    }

    pub(super) fn insert(&mut self, entry: &Entry) -> Option<Entry> {
        debug_assert!(entry.version.0 != 0, "version zero is an empty slot");
        if (self.len + 1) * 8 > self.capacity * 7 {
            self.resize((self.capacity + self.capacity / 4).max(MIN_CAPACITY));
        }
        loop {
            match self.find(entry.fingerprint) {
                Ok(at) => {
                    let old = self.slots[at].unpack();
                    self.slots[at] = Slot::pack(entry);
                    return Some(old);
                }
                Err(at) => match self.slots[at.min(self.slots.len())..].iter().position(Slot::is_empty) {
                    Some(run) => {
                        self.slots.copy_within(at..at + run, at + 1);
                        self.slots[at] = Slot::pack(entry);
                        self.len += 1;
                        return None;
                    }
                    // The last run has spilled over: a larger table spreads it.
                    None => self.resize(self.capacity + (self.capacity / 8).max(1)),
                },
            }
        }
    }

    pub(super) fn remove(&mut self, fingerprint: Fingerprint) -> Option<Entry> {
        let at = self.find(fingerprint).ok()?;
        let old = self.slots[at].unpack();
        // Shift back what stands behind, up to an entry at its own position.
        let behind = &self.slots[at + 1..];
        let run = behind
            .iter()
            .enumerate()
            .position(|(step, slot)| slot.is_empty() || self.home(slot.high()) == at + 1 + step);
        let run = run.unwrap_or(behind.len());
        self.slots.copy_within(at + 1..at + 1 + run, at);
        self.slots[at + run] = Slot::default();
        self.len -= 1;
        if self.capacity > MIN_CAPACITY && self.len * 4 < self.capacity {
            self.resize((self.capacity / 2).max(MIN_CAPACITY));
        }
        Some(old)
    }

    pub(super) fn forget_vouches(&mut self, over: &impl Fn(Minutes) -> bool) {
        self.slots.iter_mut().for_each(|slot| slot.forget_vouch(over));
    }

    pub(super) fn for_each(&self, visit: &mut impl FnMut(&Entry)) {
        self.slots.iter().filter(|slot| !slot.is_empty()).for_each(|slot| visit(&slot.unpack()));
    }

    /// Where an entry would stand if nothing were in its way.
    fn home(&self, high: u64) -> usize {
        ((u128::from(high) * self.capacity as u128) >> 64) as usize
    }

    /// Where the fingerprint stands, or else where it belongs: entries are in order.
    fn find(&self, fingerprint: Fingerprint) -> Result<usize, usize> {
        let high = (fingerprint.0 >> 64) as u64;
        let mut at = self.home(high);
        while let Some(slot) = self.slots.get(at).filter(|slot| !slot.is_empty()) {
            if slot.high() >= high {
                let standing = slot.fingerprint();
                if standing == fingerprint {
                    return Ok(at);
                }
                if standing > fingerprint {
                    return Err(at);
                }
            }
            at += 1;
        }
        Err(at)
    }

    /// Moves everything to a table of another capacity: in order, so each entry goes behind the last.
    fn resize(&mut self, capacity: usize) {
        let old = std::mem::take(&mut self.slots);
        self.capacity = capacity;
        self.slots.reserve_exact(capacity + SPILL);
        let mut next = 0;
        for slot in old.iter().filter(|slot| !slot.is_empty()) {
            let at = self.home(slot.high()).max(next);
            self.slots.resize(at, Slot::default());
            self.slots.push(*slot);
            next = at + 1;
        }
        let length = (capacity + SPILL).max(next + 1);
        self.slots.resize(length, Slot::default());
    }
}

#[cfg(target_arch = "x86_64")]
fn prefetch(slot: &Slot) {
    safe_arch::prefetch_t0(slot);
}

#[cfg(not(target_arch = "x86_64"))]
fn prefetch(_: &Slot) {}
