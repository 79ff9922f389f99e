//! Where the next shared record goes: the active segment, one spare behind it, and the space of the spare's successor.
//! Rotation: the full segment drains, the spare becomes active, the keeper makes the next. A writer may rotate only while the successor's
//! space is reserved, so reclaim always finds the last spare for what it rescues, or that space to make it of. Until there is another, that one takes copies
//! only, and what comes back goes to the next spare: no writer takes the place that a copy needs. Should its sync fail, all that it took is where it was,
//! and its bytes come back.
//! Locks: its own, and under it the active segment's; never across disk work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::budget::Reservation;
use crate::error::Error;
use crate::key::NamespaceId;
use crate::segment::{Allotted, Segment};
use crate::store::Inner;
use crate::types::SegmentNumber;

/// After this many segments in a row whose sync failed, the store only reads.
const FAILED_SEGMENTS_BEFORE_READ_ONLY: u32 = 2;

pub(crate) struct Log {
    state: Mutex<State>,
    /// Bytes of all segments made so far: how far the ring has moved.
    made: AtomicU64,
    /// The active segment rotates, full or not, when the ring has moved on by this much: its newest records must not share
    /// the fate of its oldest.
    stale_after: u64,
}

#[derive(Default)]
struct State {
    active: Option<Arc<Segment>>,
    spare: Option<Arc<Segment>>,
    successor: Option<Reservation>,
    /// The active segment was the last spare: it takes what reclaim moves, and nothing else.
    last_resort: bool,
    /// Segments in a row whose sync failed, and the last of them.
    failures: u32,
    last_failed: Option<SegmentNumber>,
    /// What had been made when the active segment and the spare got their numbers.
    active_at: u64,
    spare_at: u64,
}

impl State {
    /// The spare takes over; returns the segment that was active.
    fn rotate(&mut self) -> Option<Arc<Segment>> {
        self.last_resort = self.successor.is_none();
        self.active_at = self.spare_at;
        std::mem::replace(&mut self.active, self.spare.take())
    }
}

/// Who asks for a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Write,
    Rescue,
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
    pub(crate) fn new(stale_after: u64) -> Log {
        Log { state: Mutex::default(), made: AtomicU64::new(0), stale_after }
    }

    /// A segment of so many bytes was made.
    pub(crate) fn made(&self, bytes: u64) {
        self.made.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The active segment and the spare: neither is reclaimed as it is.
    pub(crate) fn owned(&self) -> [Option<Arc<Segment>>; 2] {
        let state = self.state.lock();
        [state.active.clone(), state.spare.clone()]
    }

    /// Makes the spare active and returns the segment that was, if there is a spare.
    pub(crate) fn retire_active(&self) -> Option<Arc<Segment>> {
        let mut state = self.state.lock();
        state.spare.as_ref()?;
        state.rotate()
    }

    /// Lets `renumber` give the spare a new number, while nothing can be placed in it: if `always`, or if the ring has moved on
    /// by a quarter of what makes a segment stale.
    pub(crate) fn refresh_spare(&self, always: bool, renumber: impl FnOnce(&Arc<Segment>)) {
        let mut state = self.state.lock();
        let made = self.made.load(Ordering::Relaxed);
        if !always && made - state.spare_at < self.stale_after / 4 {
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
        self.state.lock().active = Some(active);
    }

    pub(crate) fn active(&self) -> Option<Arc<Segment>> {
        self.state.lock().active.clone()
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
        if state.active.as_ref().is_some_and(|active| active.slot == segment.slot) {
            state.active = None;
        }
        state.failures += 1;
        state.last_failed = state.last_failed.max(Some(segment.number()));
        state.failures >= FAILED_SEGMENTS_BEFORE_READ_ONLY
    }

    /// A place in the active segment, rotating if it is full and rotation is allowed.
    fn allot(&self, total: u64, namespace: &NamespaceId, purpose: Purpose) -> Allotment {
        let mut state = self.state.lock();
        let may_rotate = state.spare.is_some() && (purpose == Purpose::Rescue || state.successor.is_some());
        let stale = self.made.load(Ordering::Relaxed) - state.active_at > self.stale_after;
        if state.last_resort && purpose == Purpose::Write {
            return Allotment { placed: None, rotated: false, full: None };
        }
        let active = state.active.as_ref().filter(|_| !(stale && may_rotate));
        let placed = active.and_then(|active| place_in(active, total, namespace));
        if placed.is_some() || !may_rotate {
            return Allotment { placed, rotated: false, full: None };
        }
        let full = state.rotate();
        let placed = state.active.as_ref().and_then(|active| place_in(active, total, namespace));
        Allotment { placed, rotated: true, full }
    }
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
    /// A place for `total` bytes in the active segment, or `None` if there is no spare to rotate into.
    pub(crate) fn allot(self: &Arc<Self>, total: u64, namespace: &NamespaceId, purpose: Purpose) -> Option<Ticket> {
        let Allotment { placed, rotated, full } = self.log.allot(total, namespace, purpose);
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
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use kura_disk::sim::{Crash, World};
    use kura_disk::{Disk, Runtime};

    use super::*;
    use crate::geometry::Geometry;
    use crate::key::{Attributes, RecordKey};
    use crate::types::{Encoding, Kind};
    use crate::{Commit, Progress, PutRequest, Settings, Store};

    const SEGMENT: u64 = 64 << 10;
    const BUDGET: u64 = 10 * SEGMENT;

    async fn open(disk: Arc<dyn Disk>, runtime: Arc<dyn Runtime>) -> Store {
        let settings = Settings::new(Geometry::simulation(BUDGET));
        Store::open(disk, runtime, settings, Arc::new(Progress::default())).await.expect("it opens")
    }

    async fn put(store: &Store) {
        let key = RecordKey::new(Kind(1), "tenant", "namespace", b"key").unwrap();
        let request =
            PutRequest { key, attributes: Attributes::default(), encoding: Encoding::Identity, length: Some(0) };
        store.put(request).await.unwrap().commit(Commit::default()).await.unwrap();
    }

    /// Whether a writer and a copy find a place in the active segment.
    fn places(store: &Store) -> [bool; 2] {
        let namespace = NamespaceId::new("tenant", "namespace").unwrap();
        [Purpose::Write, Purpose::Rescue].map(|purpose| store.inner.allot(4096, &namespace, purpose).is_some())
    }

    #[test]
    fn the_last_spare_takes_copies_only_when_the_active_segment_is_retired_too() {
        let mut world = World::new(1);
        let (disk, runtime) = (world.disk(), world.runtime());
        world.block_on(async move {
            let store = open(disk, Arc::clone(&runtime)).await;
            put(&store).await;
            let log = &store.inner.log;
            while log.lacking() != Lacking::Nothing {
                runtime.sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(places(&store), [true, true]);
            drop(log.take_successor());
            assert!(log.retire_active().is_some());
            assert_eq!(places(&store), [false, true]);
        });
    }

    #[test]
    fn a_start_without_room_for_a_spare_leaves_what_is_active_to_copies() {
        for (foreign, expected) in [(0, [true, true]), (BUDGET - 2 * SEGMENT, [false, true])] {
            let mut world = World::new(1);
            let (disk, runtime) = (world.disk(), world.runtime());
            world.block_on(async move { put(&open(disk, runtime).await).await });
            world.crash(Crash::Process);
            let (disk, runtime) = (world.disk(), world.runtime());
            world.block_on(async move {
                // As where the spare had been taken, and a kill came before there was another.
                let segments = disk.list("segments").await.unwrap();
                let names: BTreeSet<String> = segments.into_iter().filter_map(|entry| entry.name).collect();
                for untouched in names.iter().skip(1) {
                    disk.unlink(&format!("segments/{untouched}")).await.unwrap();
                }
                disk.plant("foreign", &vec![1; usize::try_from(foreign).unwrap()]);
                let store = open(disk, runtime).await;
                assert_eq!(places(&store), expected);
            });
        }
    }
}
