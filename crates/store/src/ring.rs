//! The ring: all live segments in order of number, the slots by which index entries name them, and what each owner's take.
//! Invariant: a segment is in the ring from before its first record can be found until its unlink is durable.
//! Locks: its own, held for a lookup; never across disk work.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::index::SegmentSlot;
use crate::lanes::Owner;
use crate::segment::Segment;
use crate::types::SegmentNumber;

/// Index entries have 24 bits for a slot.
const MAX_SLOTS: usize = 1 << 24;

#[derive(Default)]
pub(crate) struct Ring {
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    by_number: BTreeMap<SegmentNumber, Arc<Segment>>,
    slots: Vec<Option<Arc<Segment>>>,
    free: Vec<u32>,
    /// By owner. No entry where there is no segment.
    used: BTreeMap<Owner, Used>,
}

/// What segments take together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) segments: usize,
    /// Their full sizes.
    pub(crate) bytes: u64,
}

impl Inner {
    fn count(&mut self, owner: Owner, bytes: u64) {
        let used = self.used.entry(owner).or_default();
        used.segments += 1;
        used.bytes += bytes;
    }

    fn discount(&mut self, owner: Owner, bytes: u64) {
        if let Some(used) = self.used.get_mut(&owner) {
            used.segments -= 1;
            used.bytes -= bytes;
            if used.segments == 0 {
                self.used.remove(&owner);
            }
        }
    }
}

impl Ring {
    /// Adds the segment that `make` builds for its slot; `None` if every slot is taken.
    pub(crate) fn add(&self, make: impl FnOnce(SegmentSlot) -> Segment) -> Option<Arc<Segment>> {
        let mut inner = self.inner.write();
        let slot = match inner.free.pop() {
            Some(slot) => slot,
            None if inner.slots.len() < MAX_SLOTS => {
                inner.slots.push(None);
                u32::try_from(inner.slots.len() - 1).expect("below MAX_SLOTS")
            }
            None => return None,
        };
        let segment = Arc::new(make(SegmentSlot(slot)));
        inner.slots[slot as usize] = Some(Arc::clone(&segment));
        inner.count(segment.owner(), segment.length());
        let displaced = inner.by_number.insert(segment.number(), Arc::clone(&segment));
        assert!(displaced.is_none(), "two segments of one number");
        Some(segment)
    }

    pub(crate) fn get(&self, slot: SegmentSlot) -> Option<Arc<Segment>> {
        self.inner.read().slots.get(slot.0 as usize).cloned().flatten()
    }

    /// Takes the segment out: its unlink is durable and no index entry names its slot.
    pub(crate) fn remove(&self, segment: &Segment) {
        let mut inner = self.inner.write();
        inner.by_number.remove(&segment.number());
        inner.discount(segment.owner(), segment.length());
        inner.slots[segment.slot.0 as usize] = None;
        inner.free.push(segment.slot.0);
    }

    /// Moves a promoted segment to `number`.
    pub(crate) fn renumber(&self, segment: &Arc<Segment>, number: SegmentNumber) {
        let mut inner = self.inner.write();
        inner.by_number.remove(&segment.number());
        segment.set_number(number);
        inner.by_number.insert(number, Arc::clone(segment));
    }

    /// From here on the segment takes records of that lane.
    pub(crate) fn give(&self, segment: &Segment, lane: Owner) {
        self.change(segment, || segment.set_owner(lane));
    }

    /// From here on the segment has that length.
    pub(crate) fn resize(&self, segment: &Segment, length: u64) {
        self.change(segment, || segment.set_length(length));
    }

    fn change(&self, segment: &Segment, change: impl FnOnce()) {
        let mut inner = self.inner.write();
        // It may have been evicted.
        let is_here = inner.by_number.get(&segment.number()).is_some_and(|at| at.slot == segment.slot);
        if is_here {
            inner.discount(segment.owner(), segment.length());
        }
        change();
        if is_here {
            inner.count(segment.owner(), segment.length());
        }
    }

    /// What the segments of each owner take.
    pub(crate) fn used(&self) -> BTreeMap<Owner, Used> {
        self.inner.read().used.clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.inner.read().by_number.len()
    }

    /// The segments from the oldest to the newest.
    pub(crate) fn in_order(&self) -> Vec<Arc<Segment>> {
        self.inner.read().by_number.values().cloned().collect()
    }

    /// The oldest segment that `wanted` accepts.
    pub(crate) fn oldest(&self, wanted: impl Fn(&Segment) -> bool) -> Option<Arc<Segment>> {
        self.inner.read().by_number.values().find(|segment| wanted(segment)).cloned()
    }

    /// Whether one that could not be read has a number above `number`.
    pub(crate) fn any_unread_above(&self, number: SegmentNumber) -> bool {
        self.inner.read().by_number.range(number..).any(|(_, segment)| segment.is_unread())
    }

    /// Whether `wanted` accepts one behind `segment`.
    pub(crate) fn any_behind(&self, segment: &Segment, wanted: impl Fn(&Segment) -> bool) -> bool {
        let inner = self.inner.read();
        inner.by_number.range(segment.number()..).any(|(_, other)| other.slot != segment.slot && wanted(other))
    }

    /// The newest segment that `wanted` accepts.
    pub(crate) fn newest(&self, wanted: impl Fn(&Segment) -> bool) -> Option<Arc<Segment>> {
        self.inner.read().by_number.values().rev().find(|segment| wanted(segment)).cloned()
    }
}
