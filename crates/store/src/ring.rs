//! The ring: all live segments in order of number, and the slots by which index entries name them.
//! Invariant: a segment is in the ring from before its first record can be found until its unlink is durable.
//! Locks: its own, held for a lookup; never across disk work.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::index::SegmentSlot;
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

    pub(crate) fn len(&self) -> usize {
        self.inner.read().by_number.len()
    }

    /// The segments from the oldest to the newest.
    pub(crate) fn in_order(&self) -> Vec<Arc<Segment>> {
        self.inner.read().by_number.values().cloned().collect()
    }

    pub(crate) fn for_each(&self, visit: impl FnMut(&Arc<Segment>)) {
        self.inner.read().by_number.values().for_each(visit);
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
