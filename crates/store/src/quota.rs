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
use crate::segment::Segment;
use crate::store::{Inner, Store};

/// The spare, and the space of its successor: nobody's share.
const AHEAD_SEGMENTS: u64 = 2;

/// Whose segment is the next victim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
            let mut laps = Laps::new(self.ring.len());
            while self.used_by_lanes().get(&lane).is_some_and(|used| *used > quota.bytes) && !self.is_closed() {
                if self.next_lane() == Next::InRing {
                    return Ok(());
                }
                let Some(manner) = laps.next() else { break };
                if !self.reclaim_oldest_of(Next::OfLane(lane), manner).await? {
                    laps.skip();
                }
            }
        }
        Ok(())
    }

    /// Where the next victim is.
    pub(crate) fn next_lane(&self) -> Next {
        if !self.lanes.are_several() {
            return Next::InRing;
        }
        let is_there = |segment: &Segment| segment.is_finished() && !segment.is_untouched();
        if self.ring.oldest(is_there).is_none_or(|oldest| self.lanes.is_mixed(oldest.number())) {
            return Next::InRing;
        }
        let owned = self.log.owned();
        let is_victim = |segment: &Segment| segment.is_finished() && !is_one_of(&owned, segment);
        let mut used = self.used_by_lanes();
        used.retain(|lane, _| {
            self.ring.oldest(|segment| is_victim(segment) && self.lanes.of(segment) == *lane).is_some()
        });
        self.lanes.furthest_over(&used, self.share_of_all_others()).map_or(Next::InRing, Next::OfLane)
    }

    /// Bytes of each lane's segments, but for those of uploads that are under way.
    fn used_by_lanes(&self) -> BTreeMap<Owner, u64> {
        let mut used = BTreeMap::new();
        self.ring.for_each(|segment| {
            if segment.is_finished() && !segment.is_untouched() {
                *used.entry(self.lanes.of(segment)).or_default() += segment.length();
            }
        });
        used
    }

    /// What quotas leave to those who have none.
    fn share_of_all_others(&self) -> u64 {
        let geometry = self.geometry();
        let taken = geometry.overhead() + AHEAD_SEGMENTS * geometry.segment();
        let taken = self.lanes.quotas().iter().fold(taken, |taken, (_, quota)| taken.saturating_add(quota.bytes));
        geometry.budget().saturating_sub(taken).max(geometry.least_quota())
    }

    pub(crate) fn is_in(&self, segment: &Segment, next: Next) -> bool {
        match next {
            Next::InRing => true,
            Next::OfLane(lane) => self.lanes.of(segment) == lane,
        }
    }

    pub(crate) fn tenants_bytes(&self) -> Vec<TenantBytes> {
        let quotas = self.lanes.quotas();
        let used = if quotas.is_empty() { BTreeMap::new() } else { self.used_by_lanes() };
        let of_tenant = |(lane, quota): (Owner, Quota)| TenantBytes {
            tenant: quota.tenant,
            used: used.get(&lane).copied().unwrap_or(0),
            quota: quota.bytes,
        };
        quotas.into_iter().map(of_tenant).collect()
    }
}
