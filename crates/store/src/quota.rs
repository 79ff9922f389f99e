//! Quotas: whose segment goes next, and that nobody keeps more than they may.
//! Promise: what a tenant stores beyond its quota evicts nothing of another, as long as quotas and what is stored without one fit the budget; where they do
//! not, who is furthest over their share of it loses first.
//! Not here: which segments a lane has (`lanes`); how one is emptied (`reclaim`).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::counters::TenantBytes;
use crate::error::Error;
use crate::keeper::Laps;
use crate::lanes::{Owner, Quota, check};
use crate::log::is_one_of;
use crate::ring::Used;
use crate::segment::Segment;
use crate::store::{Inner, Store};

/// Whose segment is the next victim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Next {
    /// The oldest of all.
    InRing,
    /// The oldest of that lane.
    OfLane(Owner),
}

impl Store {
    /// Has these quotas hold from here on. Of what a tenant has stored before it had one, the oldest goes with that of all others.
    ///
    /// # Errors
    /// `Quotas`: those that held hold still.
    pub fn set_quotas(&self, quotas: Vec<Quota>) -> Result<(), Error> {
        let inner = &self.inner;
        check(&quotas, inner.geometry())?;
        let is_written = |segment: &Segment| !segment.is_solo() && !segment.is_untouched();
        inner.log.begin_anew(&inner.lanes, quotas, || inner.ring.newest(is_written).map(|newest| newest.number()));
        inner.wake_keeper();
        Ok(())
    }
}

impl Inner {
    /// A tenant over its quota loses its own oldest, also where the budget has room; what is there from before it had one goes first, and only for
    /// what others need.
    pub(crate) async fn hold_to_quotas(self: &Arc<Self>) -> Result<(), Error> {
        for (lane, quota) in self.lanes.quotas() {
            let (mut laps, next) = (Laps::default(), Next::OfLane(lane));
            while self.ring.used().get(&lane).is_some_and(|used| used.bytes > quota.bytes) && !self.is_closed() {
                if self.is_any_mixed() {
                    return Ok(());
                }
                let segments = self.segments_of(next);
                let Some(manner) = laps.step(next, segments) else { break };
                if !self.reclaim_oldest_of(next, manner).await? {
                    laps.skip(next, segments);
                }
            }
        }
        Ok(())
    }

    /// Where the next victim is.
    pub(crate) fn next_lane(&self) -> Next {
        if !self.lanes.are_several() || self.is_any_mixed() {
            return Next::InRing;
        }
        let owned = self.log.owned();
        let is_victim = |segment: &Segment| segment.is_finished() && !is_one_of(&owned, segment);
        let has_victim =
            |lane: Owner| self.ring.oldest(|segment| self.lanes.of(segment) == lane && is_victim(segment)).is_some();
        let mut wanted = self.used_by_lanes();
        for (owner, bytes) in self.pressure.demands() {
            wanted.entry(self.lanes.lane(owner)).or_default().bytes += bytes;
        }
        let mut wanted: BTreeMap<Owner, u64> = wanted.into_iter().map(|(lane, used)| (lane, used.bytes)).collect();
        // Where there is room for all quotas, and nobody is over theirs, it is those without one who need more.
        let is_over = |(lane, bytes): (&Owner, &u64)| self.lanes.quota(*lane).is_some_and(|quota| *bytes > quota);
        if self.all_fit() && !wanted.iter().any(is_over) && has_victim(Owner::ANYBODY) {
            return Next::OfLane(Owner::ANYBODY);
        }
        while let Some(lane) = self.lanes.furthest_over(&wanted, self.share_of_all_others()) {
            if has_victim(lane) {
                return Next::OfLane(lane);
            }
            wanted.remove(&lane);
        }
        Next::InRing
    }

    /// Whether anything is there that goes in order of the ring.
    fn is_any_mixed(&self) -> bool {
        let is_there = |segment: &Segment| segment.is_finished() && !segment.is_untouched();
        self.ring.oldest(is_there).is_some_and(|oldest| self.lanes.is_mixed(oldest.number()))
    }

    /// What each lane's segments take, the spare with the common one's.
    fn used_by_lanes(&self) -> BTreeMap<Owner, Used> {
        let mut by_lane: BTreeMap<Owner, Used> = BTreeMap::new();
        for (owner, used) in self.ring.used() {
            let of_lane = by_lane.entry(self.lanes.lane(owner)).or_default();
            of_lane.segments += used.segments;
            of_lane.bytes += used.bytes;
        }
        by_lane
    }

    /// How many segments there are to go round.
    pub(crate) fn segments_of(&self, next: Next) -> usize {
        match next {
            Next::InRing => self.ring.len(),
            Next::OfLane(lane) => self.used_by_lanes().get(&lane).map_or(0, |used| used.segments),
        }
    }

    /// What quotas leave to those who have none.
    fn left_by_quotas(&self) -> u64 {
        let geometry = self.geometry();
        let taken = geometry.overhead() + geometry.segment();
        let taken = self.lanes.quotas().iter().fold(taken, |taken, (_, quota)| taken.saturating_add(quota.bytes));
        geometry.budget().saturating_sub(taken)
    }

    /// Whether that is as much as the least quota.
    fn all_fit(&self) -> bool {
        self.left_by_quotas() >= self.geometry().least_quota()
    }

    fn share_of_all_others(&self) -> u64 {
        self.left_by_quotas().max(self.geometry().least_quota())
    }

    pub(crate) fn is_in(&self, segment: &Segment, next: Next) -> bool {
        match next {
            Next::InRing => true,
            Next::OfLane(lane) => self.lanes.of(segment) == lane,
        }
    }

    pub(crate) fn tenants_bytes(&self) -> Vec<TenantBytes> {
        let used = self.ring.used();
        let of_tenant = |(lane, quota): (Owner, Quota)| TenantBytes {
            tenant: quota.tenant,
            used: used.get(&lane).map_or(0, |used| used.bytes),
            quota: quota.bytes,
        };
        self.lanes.quotas().into_iter().map(of_tenant).collect()
    }
}
