//! The rules by which records of one key meet in the index: at commit, copy and recovery alike.
//! - The higher version wins; of equal ones (copies) the later place.
//! - Where the loser lies later in the ring, the winner is *shadowing*: were it dropped, a restart would show the loser.
//! - The mark passes to what replaces the winner; a move to the newest place of its lane clears it, and a move back sets it.
//!
//! Locks: one index shard, and under it the ring's for a look.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::format::record::Layout;
use crate::index::{Entry, SegmentSlot, ShardGuard};
use crate::residents::Resident;
use crate::segment::Segment;
use crate::store::Inner;
use crate::types::{Fingerprint, Offset, Place, Version};

/// A record's place as index entries have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) slot: SegmentSlot,
    pub(crate) offset: Offset,
    pub(crate) version: Version,
}

impl Spot {
    pub(crate) fn of(entry: &Entry) -> Spot {
        Spot { slot: entry.slot, offset: entry.offset, version: entry.version }
    }
}

impl Inner {
    /// Lets a committed record of `segment` meet what the index has of its key. `namespace` is what a clean may have ended.
    pub(crate) fn publish(&self, mut entry: Entry, segment: &Arc<Segment>, namespace: Fingerprint) {
        let place = segment.place(entry.offset);
        tracing::trace!(key = %entry.fingerprint, version = %entry.version, %place, "publish");
        let mut shard = self.index.lock(&entry.fingerprint);
        let known = shard.get(&entry.fingerprint);
        let displaced = match known {
            None if self.tombstones.ends(namespace, entry.version) => return,
            None => None,
            Some(old) => {
                let old_place = self.place_of(&old);
                if (entry.version, Some(place)) > (old.version, old_place) {
                    entry.shadowing |= old.shadowing || old_place > Some(place);
                    entry.vouched = entry.vouched.or(old.vouched);
                    Some(old)
                } else {
                    self.lose(&mut shard, &old, place);
                    return;
                }
            }
        };
        segment.add_live(record_bytes(&entry, segment.block));
        shard.insert(entry);
        let emptied = displaced.and_then(|old| self.forget_bytes(&old));
        drop(shard);
        self.condemn_if_solo(emptied);
    }

    /// Lets a copy of the record at `from`, now durable in `segment`, take its place in the index, if that record is still the live one.
    pub(crate) fn publish_copy(&self, from: Spot, copy: Entry, segment: &Arc<Segment>) -> bool {
        let place = segment.place(copy.offset);
        tracing::trace!(key = %copy.fingerprint, version = %copy.version, %place, "publish copy");
        let mut shard = self.index.lock(&copy.fingerprint);
        let Some(old) = shard.get(&copy.fingerprint) else {
            // What was copied was dropped meanwhile, as damaged. The copy is there all the same, and the next start finds it.
            segment.hide();
            return false;
        };
        if Spot::of(&old) != from {
            self.lose(&mut shard, &old, place);
            return false;
        }
        // What a restart may find behind it of the key: also what lay in front of the original, if the copy lies in front of that.
        let is_further_back = self.place_of(&old) > Some(place);
        let may_lose = |other: &Segment| !other.is_untouched() && self.lanes.may_share(segment, other);
        let shadowing = (old.shadowing || is_further_back) && self.ring.any_behind(segment, may_lose);
        if is_further_back {
            self.taken_back.fetch_add(1, Ordering::Relaxed);
        }
        segment.add_live(record_bytes(&copy, segment.block));
        shard.insert(Entry { shadowing, uses: 0, vouched: old.vouched, ..copy });
        let emptied = self.forget_bytes(&old);
        drop(shard);
        self.condemn_if_solo(emptied);
        true
    }

    /// Lets a record of `segment` take the place of its copy, if that is the live one and lies in a segment whose sync has failed.
    pub(crate) fn publish_original(&self, original: &Resident, segment: &Arc<Segment>) {
        let mut shard = self.index.lock(&original.fingerprint);
        let is_copy = |entry: &Entry| {
            let is_same = (entry.version, entry.record_type) == (original.spot.version, original.record_type);
            let has_failed = |copies: Arc<Segment>| copies.slot != segment.slot && copies.has_failed();
            is_same && self.ring.get(entry.slot).is_some_and(has_failed)
        };
        let Some(copy) = shard.get(&original.fingerprint).filter(is_copy) else { return };
        let Spot { slot, offset, .. } = original.spot;
        tracing::trace!(key = %copy.fingerprint, version = %copy.version, place = %segment.place(offset), "publish original");
        segment.add_live(record_bytes(&copy, segment.block));
        shard.insert(Entry { slot, offset, ordinal: original.ordinal, shadowing: true, ..copy });
        self.taken_back.fetch_add(1, Ordering::Relaxed);
        self.forget_bytes(&copy);
    }

    fn lose(&self, shard: &mut ShardGuard<'_>, winner: &Entry, loser: Place) {
        if !winner.shadowing && Some(loser) > self.place_of(winner) {
            shard.update(&winner.fingerprint, |entry| entry.shadowing = true);
        }
    }

    /// Takes the entry out if it still is the record at `at`. Returns whether it was.
    pub(crate) fn unpublish(&self, fingerprint: &Fingerprint, at: Spot) -> bool {
        let mut shard = self.index.lock(fingerprint);
        let Some(entry) = shard.get(fingerprint).filter(|entry| Spot::of(entry) == at) else {
            return false;
        };
        if let Some(segment) = self.ring.get(entry.slot) {
            segment.hide();
        }
        shard.remove(fingerprint);
        let emptied = self.forget_bytes(&entry);
        drop(shard);
        self.condemn_if_solo(emptied);
        true
    }

    fn place_of(&self, entry: &Entry) -> Option<Place> {
        self.ring.get(entry.slot).map(|segment| segment.place(entry.offset))
    }

    /// Counts a record as dead; returns its segment if that holds nothing live any more.
    pub(crate) fn forget_bytes(&self, entry: &Entry) -> Option<Arc<Segment>> {
        let segment = self.ring.get(entry.slot)?;
        let left = segment.subtract_live(record_bytes(entry, segment.block));
        (left == 0).then_some(segment)
    }

    /// A solo segment whose record was overwritten or deleted goes at once.
    fn condemn_if_solo(&self, emptied: Option<Arc<Segment>>) {
        if let Some(segment) = emptied.filter(|segment| segment.is_solo()) {
            self.condemn(segment);
        }
    }
}

/// Bytes that the record of `entry` takes in its segment.
pub(crate) fn record_bytes(entry: &Entry, block: u32) -> u64 {
    Layout::new(entry.head_len, entry.stored_len.0, block).total
}
