//! Records whose commit failed: nobody knows whether they are on the disk, and a start that scans their segment may find them.
//! Invariant: while that may be, what the key has that is newer is moved and never dropped, and a delete of the key leaves a tombstone.
//! It is over once they are wiped, before their segment is sealed (a footer that does not list them can be lost, and then it is scanned), or once it is gone.
//! Not here: solo segments, which are unlinked at once; tombstones that failed (`tombstone`).

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::index::SegmentSlot;
use crate::publish::Spot;
use crate::types::{Fingerprint, Offset, Version};

#[derive(Default)]
pub(crate) struct Doubtful {
    /// By key. Bounded by the places that were given in segments that are not sealed.
    records: Mutex<HashMap<Fingerprint, Vec<Spot>>>,
}

impl Doubtful {
    pub(crate) fn add(&self, key: Fingerprint, at: Spot) {
        self.records.lock().entry(key).or_default().push(at);
    }

    /// Where they lie in a segment, in order: a simulation repeats from its seed.
    pub(crate) fn of(&self, segment: SegmentSlot) -> Vec<Offset> {
        let records = self.records.lock();
        let here = records.values().flatten().filter(|at| at.slot == segment);
        let mut offsets: Vec<Offset> = here.map(|at| at.offset).collect();
        offsets.sort_unstable_by_key(|offset| offset.0);
        offsets
    }

    /// They were wiped, or the segment is gone.
    pub(crate) fn forget(&self, segment: SegmentSlot) {
        self.records.lock().retain(|_, records| {
            records.retain(|at| at.slot != segment);
            !records.is_empty()
        });
    }

    pub(crate) fn contains(&self, key: Fingerprint) -> bool {
        self.records.lock().contains_key(&key)
    }

    /// Whether one of the key may be on the disk that is older than `version`.
    pub(crate) fn holds_older(&self, key: Fingerprint, version: Version) -> bool {
        self.records.lock().get(&key).is_some_and(|records| records.iter().any(|at| at.version < version))
    }
}
