//! The keeper: the one task that makes room. It evicts what was condemned, keeps one spare segment ahead with the space of its successor,
//! reclaims for writers who wait, gives way to neighbours on the filesystem, and compacts what is mostly dead.
//! It is the only one that unlinks segments while the store runs, and does one thing at a time.
//! Not here: how one segment is emptied (`reclaim`); whose is next (`quota`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::select;

use crate::budget::{Category, required_free};
use crate::create::{NotMade, segment_path};
use crate::error::{During, Error};
use crate::format::segment::SegmentKind;
use crate::lanes::Owner;
use crate::log::{Lacking, is_one_of};
use crate::quota::Next;
use crate::segment::Segment;
use crate::store::Inner;
use crate::victim::{Manner, is_mostly_dead};

/// How often the keeper looks around unasked; also how long it waits before it looks again at a filesystem that others filled.
const ROUND: Duration = Duration::from_secs(1);

/// Giving way to neighbours stops where the cache holds no more than this many segments' bytes.
const FLOOR_SEGMENTS: u64 = 8;

/// Readers of unlinked segments may hold this share of the budget, or one artifact if that is larger.
const UNLINKED_DENOMINATOR: u64 = 8;

/// How often reclaim has gone round for one purpose, in the ring or in a lane of it. Once without freeing what is needed, and leases give way; twice, and
/// it gives up for now. What is freed on the way may be used up by the copies it takes, so it is the purpose that counts.
#[derive(Default)]
pub(crate) struct Laps {
    steps: BTreeMap<Next, usize>,
}

impl Laps {
    /// How to treat the next victim, where there are so many segments to go round.
    pub(crate) fn step(&mut self, next: Next, segments: usize) -> Option<Manner> {
        let steps = self.steps.entry(next).or_default();
        *steps += 1;
        let lap = segments + 1;
        match *steps {
            steps if steps <= lap => Some(Manner::Rescue),
            steps if steps <= 2 * lap => Some(Manner::Force),
            _ => None,
        }
    }

    /// There was nothing to reclaim in this lap: on to the next.
    pub(crate) fn skip(&mut self, next: Next, segments: usize) {
        let (steps, lap) = (self.steps.entry(next).or_default(), segments + 1);
        *steps = if *steps <= lap { lap } else { 2 * lap };
    }
}

impl Inner {
    pub(crate) fn wake_keeper(&self) {
        self.wake.notify(1);
    }

    /// Runs until the store closes.
    pub(crate) async fn keep(self: Arc<Self>) {
        let mut next_look = Duration::ZERO;
        // The start has removed the file that was there.
        let mut next_heat = Duration::ZERO;
        while !self.is_closed() {
            let woken = self.wake.listen();
            if let Err(error) = self.round(&mut next_look).await {
                tracing::warn!(%error, "could not make room; trying again");
                // Not at once, whoever asks for it.
                select(self.closing.listen(), self.runtime.sleep(ROUND)).await;
            }
            if self.runtime.monotonic() >= next_heat {
                next_heat = self.runtime.monotonic() + self.settings.heat_interval;
                self.forget_old_vouches();
                if let Err(error) = self.write_heat(false).await {
                    tracing::warn!(%error, "use counters were not saved");
                }
            }
            if self.is_closed() {
                return;
            }
            select(woken, self.runtime.sleep(ROUND)).await;
        }
    }

    /// With durability `interval`: syncs what was acknowledged since the last time. Runs until the store closes.
    pub(crate) async fn sync_at_intervals(self: Arc<Self>, interval: Duration) {
        while !self.is_closed() {
            let closing = self.closing.listen();
            select(closing, self.runtime.sleep(interval)).await;
            // A failure has closed its segment, counted and logged.
            let _ = self.sync_active("records of an interval").await;
        }
    }

    async fn round(self: &Arc<Self>, next_look: &mut Duration) -> Result<(), Error> {
        self.weigh_lists();
        self.graveyard.clear().await;
        self.remove_strays().await;
        // What could not be unlinked is tried again before anything else is reclaimed.
        let _ = self.evict_condemned().await;
        self.evict_failed().await?;
        self.break_off_slowest();
        self.provide_spare(next_look).await?;
        self.serve_demand(next_look).await?;
        self.refresh_spare(false).await?;
        if self.runtime.monotonic() >= *next_look {
            self.give_way(self.settings.min_free, next_look).await?;
        }
        self.compact().await?;
        if self.index.bytes() > self.settings.index_limit {
            self.reclaim_oldest(Manner::Force).await?;
        }
        self.hold_to_quotas().await
    }

    /// Looks at what the lists of records take that no footer has yet.
    fn weigh_lists(&self) {
        let weight = |segment: &Arc<Segment>| segment.with_writing(|writing| writing.memory()).unwrap_or(0);
        self.counters.lists_bytes.store(self.ring.in_order().iter().map(weight).sum(), Ordering::Relaxed);
    }

    /// Unlinked segments must not be held for ever by readers that trickle.
    fn break_off_slowest(&self) {
        let limit = (self.budget.limit() / UNLINKED_DENOMINATOR).max(self.max_artifact_size());
        let broken = self.unlinked.keep_within(limit);
        if broken > 0 {
            self.counters.broken_off.add(broken as u64);
            tracing::warn!(
                segments = broken,
                "answers were broken off: their readers held evicted segments for too long"
            );
        }
    }

    /// A segment whose sync failed before anything in it was shown has taken a spare with it. Where that was the last, the oldest segment cannot be
    /// emptied before its bytes are back.
    async fn evict_failed(self: &Arc<Self>) -> Result<(), Error> {
        let is_useless = |segment: &Segment| segment.has_failed() && segment.live() == 0 && !segment.may_hold_more();
        while let Some(failed) = self.ring.oldest(is_useless) {
            // What was shown meanwhile moves.
            self.reclaim(&failed, Manner::Compact).await?;
        }
        Ok(())
    }

    async fn provide_spare(self: &Arc<Self>, next_look: &mut Duration) -> Result<(), Error> {
        let mut laps = Laps::default();
        while !self.is_closed() && !self.is_read_only() {
            if self.log.lacking() == Lacking::Nothing || !self.provide_successor(&mut laps).await? {
                break;
            }
            if self.log.lacking() == Lacking::Spare && !self.make_spare(next_look).await? {
                break;
            }
            self.room.notify(usize::MAX);
        }
        Ok(())
    }

    /// Has the bytes of one more segment reserved. Returns whether the budget has them.
    async fn provide_successor(self: &Arc<Self>, laps: &mut Laps) -> Result<bool, Error> {
        let size = self.geometry().segment();
        while !self.log.has_successor() {
            if !self.free_budget(size, laps).await? {
                return Ok(false);
            }
            // Where a writer was faster, once more.
            if let Ok(reservation) = self.budget.try_reserve(Category::Shared, size) {
                self.log.set_successor(reservation);
            }
        }
        Ok(true)
    }

    /// Makes a spare segment of the bytes that are reserved for one, if need be by giving way. Returns whether the filesystem has them.
    async fn make_spare(self: &Arc<Self>, next_look: &mut Duration) -> Result<bool, Error> {
        let size = self.geometry().segment();
        self.give_way(required_free(size, size), next_look).await?;
        self.spare_from_successor().await
    }

    /// Makes a spare segment of the bytes that are reserved for one; whatever fails on the way, they stay reserved. Returns whether the filesystem has them.
    pub(crate) async fn spare_from_successor(self: &Arc<Self>) -> Result<bool, Error> {
        let size = self.geometry().segment();
        if !self.filesystem_has(size).await? {
            return Ok(false);
        }
        // Only the keeper takes it; were it gone, it would be provided again.
        let Some(reservation) = self.log.take_successor() else { return Ok(true) };
        match self.create_segment(SegmentKind::Shared, Owner::ANYBODY, size, reservation).await {
            Ok(created) => self.log.set_spare(created.take()),
            Err(NotMade { why, reservation }) => {
                reservation.into_iter().for_each(|reservation| self.log.set_successor(reservation));
                return Err(why);
            }
        }
        Ok(true)
    }

    /// What a victim gave back becomes the next spare, where its copies took the last: without one the next cannot be emptied.
    async fn restock(self: &Arc<Self>) -> Result<(), Error> {
        if self.log.lacking() != Lacking::Spare {
            return Ok(());
        }
        if !self.log.has_successor()
            && let Ok(reservation) = self.budget.try_reserve(Category::Shared, self.geometry().segment())
        {
            self.log.set_successor(reservation);
        }
        self.spare_from_successor().await.map(drop)
    }

    /// Reclaims for writers who wait for bytes.
    async fn serve_demand(self: &Arc<Self>, next_look: &mut Duration) -> Result<(), Error> {
        let largest = self.pressure.largest();
        if largest == 0 || self.log.takes_copies_only() {
            return Ok(());
        }
        self.give_way(required_free(self.geometry().segment(), largest), next_look).await?;
        self.free_budget(self.pressure.total().min(self.budget.limit() / 2), &mut Laps::default()).await?;
        self.room.notify(usize::MAX);
        Ok(())
    }

    /// Reclaims until the ledger has `bytes` free. Returns false where it gives up for now.
    async fn free_budget(self: &Arc<Self>, bytes: u64, laps: &mut Laps) -> Result<bool, Error> {
        loop {
            self.break_off_slowest();
            self.evict_condemned().await?;
            self.graveyard.clear().await;
            if self.budget.free() >= bytes {
                return Ok(true);
            }
            if self.is_closed() || !self.reclaim_next(laps).await? {
                return Ok(false);
            }
        }
    }

    /// Evicts until the filesystem has `wanted` bytes free again; what was unlinked counts as free, and the filesystem is looked
    /// at again after a while. Stops where the cache is down to its floor.
    async fn give_way(self: &Arc<Self>, wanted: u64, next_look: &mut Duration) -> Result<(), Error> {
        let space = self.disk.space().await.during("asking the filesystem for its free space")?;
        let lacking = wanted.saturating_sub(space.available);
        if lacking == 0 {
            if self.pressure.set_stuck(false) {
                tracing::info!("the filesystem has room again");
            }
            return Ok(());
        }
        if self.runtime.monotonic() < *next_look {
            return Ok(());
        }
        *next_look = self.runtime.monotonic() + ROUND;
        let floor = FLOOR_SEGMENTS * self.geometry().segment();
        let before = self.held();
        let mut laps = Laps::default();
        while before.saturating_sub(self.held()) < lacking && self.held() > floor && !self.is_closed() {
            if !self.reclaim_next(&mut laps).await? {
                break;
            }
        }
        let given = before.saturating_sub(self.held());
        tracing::warn!(lacking, given, "the filesystem is short of space: gave way");
        if given < lacking && !self.pressure.set_stuck(true) {
            tracing::error!(
                "the filesystem is full and the cache is down to its floor: writes are refused until others free space"
            );
        }
        Ok(())
    }

    /// Bytes of segments in the ring.
    fn held(&self) -> u64 {
        self.budget.used_by(Category::Shared) + self.budget.used_by(Category::Solo)
    }

    /// Reclaims whose turn it is in these laps: the lane that is furthest over its share, and where that gave up, the oldest of all. Returns false where
    /// all have given up.
    async fn reclaim_next(self: &Arc<Self>, laps: &mut Laps) -> Result<bool, Error> {
        for next in [self.next_lane(), Next::InRing] {
            let segments = self.segments_of(next);
            if let Some(manner) = laps.step(next, segments) {
                if !self.reclaim_oldest_of(next, manner).await? {
                    laps.skip(next, segments);
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reclaims the oldest segment of the lane that is furthest over its share. Returns false if there is none.
    pub(crate) async fn reclaim_oldest(self: &Arc<Self>, manner: Manner) -> Result<bool, Error> {
        self.reclaim_oldest_of(self.next_lane(), manner).await
    }

    /// An upload into a segment of its own is as new as its end will be: it goes when nothing else is left.
    pub(crate) async fn reclaim_oldest_of(self: &Arc<Self>, next: Next, manner: Manner) -> Result<bool, Error> {
        self.retire_active_if_oldest(next).await?;
        self.evict_condemned().await?;
        let owned = self.log.owned();
        let fit =
            |segment: &Segment| !segment.is_condemned() && !is_one_of(&owned, segment) && self.is_in(segment, next);
        let finished = |segment: &Segment| fit(segment) && segment.is_finished();
        let is_last_resort = next == Next::InRing && manner == Manner::Force;
        let last_resort = || if is_last_resort { self.ring.oldest(fit) } else { None };
        let Some(victim) = self.ring.oldest(finished).or_else(last_resort) else {
            return Ok(false);
        };
        let bytes = self.reclaim(&victim, manner).await?;
        tracing::debug!(segment = %victim.number(), ?next, ?manner, bytes, "reclaimed");
        self.restock().await?;
        self.room.notify(usize::MAX);
        Ok(true)
    }

    /// One order: where large artifacts have made an active segment the oldest, it is retired to be the next victim.
    async fn retire_active_if_oldest(self: &Arc<Self>, next: Next) -> Result<(), Error> {
        let Some(spare) = self.log.spare() else { return Ok(()) };
        let is_next =
            |segment: &Segment| segment.is_finished() && segment.slot != spare.slot && self.is_in(segment, next);
        let Some(oldest) = self.ring.oldest(is_next).filter(|oldest| self.log.is_active(oldest)) else { return Ok(()) };
        if oldest.is_untouched() || self.ring.len() <= 2 {
            return Ok(());
        }
        self.refresh_spare(true).await?;
        if self.log.retire(&oldest, &self.lanes) {
            self.drain(&oldest);
        }
        Ok(())
    }

    /// Gives the spare a new number where the ring has moved on since it was made: what will be written to it is newer.
    pub(crate) async fn refresh_spare(self: &Arc<Self>, always: bool) -> Result<(), Error> {
        let mut refreshed = None;
        self.log.refresh_spare(always, |spare| {
            self.ring.renumber(spare, self.versions.next_number());
            refreshed = Some(Arc::clone(spare));
        });
        let Some(spare) = refreshed else { return Ok(()) };
        self.rename_after_number(&spare).await.during("renaming the spare segment")
    }

    /// Gives the file of a segment that has a new place in the ring its new name. No sync: the next unlink's covers the rename, and until then the old
    /// name is as good.
    pub(crate) async fn rename_after_number(&self, segment: &Segment) -> std::io::Result<()> {
        let number = segment.number();
        self.disk.rename(&segment.path(), &segment_path(number)).await?;
        segment.set_name(number);
        Ok(())
    }

    /// Moves what little is live out of segments that are mostly dead.
    async fn compact(self: &Arc<Self>) -> Result<(), Error> {
        let mostly_dead = |segment: &Segment| {
            !segment.is_solo()
                && segment.is_sealed()
                // What a start may find in it again must not be left without what lies in front of it.
                && !segment.may_hold_more()
                && is_mostly_dead(segment.live(), segment.payload())
        };
        self.evict_condemned().await?;
        // One a round: reclaim for writers comes first.
        if let Some(victim) = self.ring.oldest(mostly_dead) {
            self.reclaim(&victim, Manner::Compact).await?;
            self.counters.compactions.add(1);
            self.wake_keeper();
        }
        Ok(())
    }
}
