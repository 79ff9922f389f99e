//! Where the next shared record goes: the active segment of its lane, one spare behind all of them, and the space of the spare's successor.
//! Rotation: the full segment drains, the spare becomes active in its place, the keeper makes the next. A writer may rotate only while the successor's
//! space is reserved, so reclaim always finds the last spare for what it rescues, or that space to make it of. Until there is another, that one takes copies
//! only, and what comes back goes to the next spare: no writer takes the place that a copy needs. Should its sync fail, all that it took is where it was,
//! and its bytes come back.
//! Locks: its own, and under it the lanes', the ring's and a segment's; never across disk work.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::budget::Reservation;
use crate::error::Error;
use crate::key::NamespaceId;
use crate::lanes::{Lanes, Owner, Quota};
use crate::ring::Ring;
use crate::segment::{Allotted, Segment};
use crate::store::Inner;
use crate::types::SegmentNumber;

/// After this many segments in a row whose sync failed, the store only reads.
const FAILED_SEGMENTS_BEFORE_READ_ONLY: u32 = 2;

/// An active segment spans at most this share of what its lane may have, so that what was just written is never next to be reclaimed.
const STALE_DENOMINATOR: u64 = 4;

pub(crate) struct Log {
    state: Mutex<State>,
    /// Bytes of all segments made so far: how far the ring has moved.
    made: AtomicU64,
    budget: u64,
}

#[derive(Default)]
struct State {
    /// Bounded by the quotas, and those that have gone while their segment is active still: until it is the oldest.
    lanes: BTreeMap<Owner, Lane>,
    spare: Option<Arc<Segment>>,
    successor: Option<Reservation>,
    /// The last spare is active: it takes what reclaim moves, and until there is another, nothing takes anything else.
    last_resort: bool,
    /// Segments in a row whose sync failed, and the last of them.
    failures: u32,
    last_failed: Option<SegmentNumber>,
    /// What had been made when the spare got its number.
    spare_at: u64,
}

#[derive(Default)]
struct Lane {
    active: Option<Arc<Segment>>,
    /// Bytes of the lane's segments made so far, and when the active one got its number.
    made: u64,
    active_at: u64,
    /// The active segment lies in front of what could not be read: nothing new is written to it.
    copies_only: bool,
}

impl State {
    /// The spare takes over in that lane; returns the segment that was active in it. `made` is what has been made in all lanes.
    fn rotate(&mut self, owner: Owner, made: u64, ring: &Ring) -> Option<Arc<Segment>> {
        self.last_resort = self.successor.is_none();
        let spare = self.spare.take().inspect(|spare| ring.give(spare, owner));
        let lane = self.lanes.entry(owner).or_default();
        lane.made += spare.as_ref().map_or(0, |spare| spare.length());
        // How long the spare has waited tells of the lane only where that is nearly all there is.
        let waited = if owner == Owner::ANYBODY { made - self.spare_at } else { 0 };
        lane.active_at = lane.made.saturating_sub(waited);
        lane.copies_only = false;
        std::mem::replace(&mut lane.active, spare)
    }

    fn active(&self, owner: Owner) -> Option<&Arc<Segment>> {
        self.lanes.get(&owner)?.active.as_ref()
    }

    /// The lane in which that segment is active.
    fn lane_of_active(&self, segment: &Segment) -> Option<Owner> {
        let is_it = |lane: &Lane| lane.active.as_ref().is_some_and(|active| active.slot == segment.slot);
        self.lanes.iter().find(|(_, lane)| is_it(lane)).map(|(owner, _)| *owner)
    }
}

/// Who asks for a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Write,
    /// To a place behind that segment, from which it is copied.
    Copy {
        behind: SegmentNumber,
    },
    /// The same of what must not be dropped: where there is no such place, to any. If that is in another lane, both go in order of the ring from then on.
    LastCopy {
        behind: SegmentNumber,
    },
}

impl Purpose {
    fn behind(self) -> Option<SegmentNumber> {
        match self {
            Purpose::Write => None,
            Purpose::Copy { behind } | Purpose::LastCopy { behind } => Some(behind),
        }
    }
}

/// What the keeper has to provide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lacking {
    Spare,
    Successor,
    Nothing,
}

/// A place in a segment. Dropping it leaves a hole, and lets a drained segment be sealed.
#[must_use]
pub(crate) struct Ticket {
    pub(crate) inner: Arc<Inner>,
    pub(crate) segment: Arc<Segment>,
    pub(crate) at: Allotted,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let drained = self.segment.with_writing(|writing| {
            writing.outstanding -= 1;
            writing.outstanding == 0 && writing.mode == crate::segment::Mode::Draining
        });
        if drained == Some(true) {
            self.inner.seal_in_background(&self.segment);
        }
    }
}

impl Log {
    pub(crate) fn new(budget: u64) -> Log {
        Log { state: Mutex::default(), made: AtomicU64::new(0), budget }
    }

    /// A segment of so many bytes was made, in that lane if it is known.
    pub(crate) fn made(&self, bytes: u64, lane: Option<Owner>) {
        self.made.fetch_add(bytes, Ordering::Relaxed);
        if let Some(lane) = lane {
            self.state.lock().lanes.entry(lane).or_default().made += bytes;
        }
    }

    /// The active segments and the spare: none is reclaimed as it is.
    pub(crate) fn owned(&self) -> Vec<Arc<Segment>> {
        let state = self.state.lock();
        let actives = state.lanes.values().filter_map(|lane| lane.active.clone());
        actives.chain(state.spare.clone()).collect()
    }

    /// Those that are active and lie in front of `number`.
    pub(crate) fn actives_before(&self, number: SegmentNumber) -> Vec<Arc<Segment>> {
        let state = self.state.lock();
        let actives = state.lanes.values().filter_map(|lane| lane.active.as_ref());
        actives.filter(|active| active.number() < number).cloned().collect()
    }

    pub(crate) fn spare(&self) -> Option<Arc<Segment>> {
        self.state.lock().spare.clone()
    }

    pub(crate) fn is_active(&self, segment: &Segment) -> bool {
        self.state.lock().lane_of_active(segment).is_some()
    }

    /// Has that segment be active no more, if there is a spare for what comes next. Returns whether it was.
    pub(crate) fn retire(&self, active: &Segment, lanes: &Lanes) -> bool {
        let mut state = self.state.lock();
        let Some(owner) = state.lane_of_active(active).filter(|_| state.spare.is_some()) else { return false };
        if lanes.lane(owner) == owner {
            state.lanes.entry(owner).or_default().active = None;
        } else {
            // Its tenant has no quota any more.
            state.lanes.remove(&owner);
        }
        true
    }

    /// Has these quotas hold. Where they are of other tenants, records of what are several lanes now may lie in each segment up to the newest of several
    /// artifacts, for which `newest` is asked while nothing gets a place.
    pub(crate) fn begin_anew(&self, lanes: &Lanes, quotas: Vec<Quota>, newest: impl FnOnce() -> Option<SegmentNumber>) {
        let mut state = self.state.lock();
        if !lanes.are_of(&quotas) {
            newest().into_iter().for_each(|newest| lanes.mix(newest));
        }
        lanes.replace(quotas);
        state.lanes.retain(|owner, lane| lane.active.is_some() || lanes.lane(*owner) == *owner);
    }

    /// Lets `renumber` give the spare a new number, while nothing can be placed in it: if `always`, or if the ring has moved on
    /// by a quarter of what makes a segment stale.
    pub(crate) fn refresh_spare(&self, always: bool, renumber: impl FnOnce(&Arc<Segment>)) {
        let mut state = self.state.lock();
        let made = self.made.load(Ordering::Relaxed);
        if !always && made - state.spare_at < self.budget / STALE_DENOMINATOR / 4 {
            return;
        }
        let Some(spare) = state.spare.clone() else { return };
        state.spare_at = made;
        renumber(&spare);
    }

    pub(crate) fn lacking(&self) -> Lacking {
        let state = self.state.lock();
        match (&state.spare, &state.successor) {
            (None, _) => Lacking::Spare,
            (_, None) => Lacking::Successor,
            _ => Lacking::Nothing,
        }
    }

    /// Whether there is no spare, but the space of one.
    pub(crate) fn may_have_spare(&self) -> bool {
        let state = self.state.lock();
        state.spare.is_none() && state.successor.is_some()
    }

    /// Whether what comes back first has to become a spare.
    pub(crate) fn takes_copies_only(&self) -> bool {
        self.state.lock().last_resort
    }

    pub(crate) fn has_successor(&self) -> bool {
        self.state.lock().successor.is_some()
    }

    pub(crate) fn take_successor(&self) -> Option<Reservation> {
        self.state.lock().successor.take()
    }

    pub(crate) fn set_successor(&self, successor: Reservation) {
        let replaced = self.state.lock().successor.replace(successor);
        drop(replaced);
    }

    pub(crate) fn set_spare(&self, spare: Arc<Segment>) {
        let mut state = self.state.lock();
        state.spare = Some(spare);
        state.last_resort = false;
        state.spare_at = self.made.load(Ordering::Relaxed);
    }

    /// What is active at the start was the last spare, or may be: there is no room for another.
    pub(crate) fn keep_for_copies(&self) {
        self.state.lock().last_resort = true;
    }

    pub(crate) fn set_active(&self, active: Arc<Segment>) {
        let owner = active.owner();
        self.state.lock().lanes.entry(owner).or_default().active = Some(active);
    }

    /// As [`Log::set_active`], for what reclaim moves and nothing else, for as long as it is active.
    pub(crate) fn set_active_for_copies(&self, active: Arc<Segment>) {
        let owner = active.owner();
        self.set_active(active);
        self.state.lock().lanes.entry(owner).or_default().copies_only = true;
    }

    /// Whether a segment is active in that lane.
    pub(crate) fn has_active(&self, lane: Owner) -> bool {
        self.state.lock().active(lane).is_some()
    }

    /// The segment was filled, and no sync of it has failed. Less would not end a row: each segment that fails takes a spare with it, and there must be
    /// one left for what reclaim has to move.
    pub(crate) fn succeeded(&self, segment: &Segment) {
        let mut state = self.state.lock();
        if state.last_failed.is_none_or(|failed| failed < segment.number()) {
            state.failures = 0;
        }
    }

    /// A sync of `segment` failed: it takes nothing more. Returns whether the store must stop writing.
    pub(crate) fn failed(&self, segment: &Segment) -> bool {
        let mut state = self.state.lock();
        if let Some(owner) = state.lane_of_active(segment) {
            state.lanes.entry(owner).or_default().active = None;
        }
        state.failures += 1;
        state.last_failed = state.last_failed.max(Some(segment.number()));
        state.failures >= FAILED_SEGMENTS_BEFORE_READ_ONLY
    }

    /// A place in the active segment of the namespace's lane, rotating if it is full and rotation is allowed.
    fn allot(
        &self,
        total: u64,
        namespace: &NamespaceId,
        purpose: Purpose,
        (lanes, ring): (&Lanes, &Ring),
    ) -> Allotment {
        let mut state = self.state.lock();
        let owner = lanes.of_tenant(namespace.tenant());
        let is_behind = |active: &&Arc<Segment>| purpose.behind().is_none_or(|victim| active.number() > victim);
        let is_last = matches!(purpose, Purpose::LastCopy { .. });
        let has_spare = state.spare.as_ref().filter(|spare| is_last || is_behind(spare)).is_some();
        let may_rotate = has_spare && (purpose != Purpose::Write || state.successor.is_some());
        if state.last_resort && purpose == Purpose::Write {
            return Allotment { placed: None, rotated: false, full: None };
        }
        let stale_after = lanes.quota(owner).unwrap_or(self.budget) / STALE_DENOMINATOR;
        let is_moved_past = || state.lanes.get(&owner).is_some_and(|lane| lane.made - lane.active_at > stale_after);
        // What is written from now on need not go with what was there before the lanes were.
        let is_stale = |active: &Segment| is_moved_past() || (lanes.are_several() && lanes.is_mixed(active.number()));
        let is_open = |_: &&Arc<Segment>| {
            purpose != Purpose::Write || !state.lanes.get(&owner).is_some_and(|lane| lane.copies_only)
        };
        let active =
            state.active(owner).filter(is_behind).filter(is_open).filter(|active| !(may_rotate && is_stale(active)));
        let placed = active.and_then(|active| place_in(active, total, namespace));
        if placed.is_some() {
            return Allotment { placed, rotated: false, full: None };
        }
        if !may_rotate {
            let all = || state.lanes.values().filter_map(|lane| lane.active.as_ref());
            let mut best_first = all().filter(is_behind).chain(all());
            let placed = match purpose {
                Purpose::LastCopy { .. } => best_first.find_map(|active| place_in(active, total, namespace)),
                Purpose::Write | Purpose::Copy { .. } => None,
            };
            placed
                .iter()
                .filter(|(active, _)| active.owner() != owner)
                .for_each(|(active, _)| lanes.mix(active.number()));
            return Allotment { placed, rotated: false, full: None };
        }
        let full = state.rotate(owner, self.made.load(Ordering::Relaxed), ring);
        let placed = state.active(owner).and_then(|active| place_in(active, total, namespace));
        Allotment { placed, rotated: true, full }
    }
}

/// Whether a segment is among these, which are not to be reclaimed.
pub(crate) fn is_one_of(owned: &[Arc<Segment>], segment: &Segment) -> bool {
    owned.iter().any(|own| own.slot == segment.slot)
}

/// A place, if there was one, whether the spare was taken for it, and the segment that turned out to be full.
struct Allotment {
    placed: Option<(Arc<Segment>, Allotted)>,
    rotated: bool,
    full: Option<Arc<Segment>>,
}

fn place_in(segment: &Arc<Segment>, total: u64, namespace: &NamespaceId) -> Option<(Arc<Segment>, Allotted)> {
    segment.allot(total, namespace).map(|at| (Arc::clone(segment), at))
}

impl Inner {
    /// A place for `total` bytes in an active segment, or `None` if there is no spare to rotate into.
    pub(crate) fn allot(self: &Arc<Self>, total: u64, namespace: &NamespaceId, purpose: Purpose) -> Option<Ticket> {
        let Allotment { placed, rotated, full } = self.log.allot(total, namespace, purpose, (&self.lanes, &self.ring));
        if rotated {
            self.wake_keeper();
        }
        if let Some(full) = full {
            self.drain(&full);
        }
        placed.map(|(segment, at)| Ticket { inner: Arc::clone(self), segment, at })
    }

    /// The segment is active no more: it is sealed once its last upload has ended.
    pub(crate) fn drain(self: &Arc<Self>, full: &Arc<Segment>) {
        self.counters.rotations.add(1);
        self.wake_keeper();
        if full.begin_draining() {
            self.seal_in_background(full);
        }
    }

    /// As [`Inner::allot`] for a writer: waits a bounded time for the keeper to make room.
    ///
    /// # Errors
    /// `Busy` or `Full` when no room came in time; `ReadOnly`, `Closed`.
    pub(crate) async fn place(self: &Arc<Self>, total: u64, namespace: &NamespaceId) -> Result<Ticket, Error> {
        let mut wait = self.wait_for_room();
        loop {
            let listener = self.room.listen();
            self.check_writable()?;
            if let Some(ticket) = self.allot(total, namespace, Purpose::Write) {
                return Ok(ticket);
            }
            wait.on(listener).await?;
        }
    }
}

#[cfg(test)]
mod tests;
