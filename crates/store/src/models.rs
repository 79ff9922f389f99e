//! Threads that meet in the ledger, in a shard of the index, in the queue of a commit, and around an evicted segment's file, in some thousand orders each.
//! `docs/testing.md` says what each shows and what it fails without.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use event_listener::Event;
use kura_disk::Disk;
use kura_disk::sim::World;
use shuttle::thread;

use crate::budget::{Budget, Category};
use crate::files::{Graveyard, Handle, OpenFiles, Unlinked};
use crate::format::segment::SegmentKind;
use crate::index::{Entry, Index, SegmentSlot};
use crate::lanes::Owner;
use crate::queue::Queue;
use crate::segment::{Segment, Shape};
use crate::sync::{Mutex, in_model};
use crate::types::{
    Encoding, Fingerprint, LogicalLen, Minutes, Offset, Ordinal, RecordType, SegmentNumber, StoredLen, Version,
};

/// Orders that each model is run in.
const ORDERS: usize = 3000;

fn in_many_orders(model: impl Fn() + Send + Sync + 'static) {
    in_model(|| shuttle::check_random(model, ORDERS));
}

#[test]
fn whoever_reserves_and_gives_back_the_ledger_stays_within_its_limit_and_ends_empty() {
    in_many_orders(|| {
        let budget = Budget::new(100);
        let spend = |category, bytes| {
            let budget = budget.clone();
            thread::spawn(move || {
                let Ok(mut first) = budget.try_reserve(category, bytes) else { return };
                if let Ok(second) = budget.try_reserve(Category::Shared, 20) {
                    first.absorb(second);
                }
                assert!(budget.used() <= 100 && budget.used() >= first.bytes());
                first.shrink_to(bytes / 2);
                first.move_to(Category::Unlinked);
                assert!(budget.used_by(Category::Unlinked) >= bytes / 2);
                let admitted = budget.try_admit(40);
                drop(first.take());
                drop(admitted);
            })
        };
        let threads = [spend(Category::Solo, 60), spend(Category::Shared, 50), spend(Category::Control, 40)];
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!((budget.used(), budget.try_admit(50).is_ok()), (0, true));
    });
}

fn entry(fingerprint: u128, version: u64) -> Entry {
    Entry {
        fingerprint: Fingerprint(fingerprint),
        version: Version(version),
        slot: SegmentSlot(0),
        offset: Offset(64),
        ordinal: Ordinal(0),
        stored_len: StoredLen(1),
        logical_len: LogicalLen(1),
        head_len: 64,
        shadowing: false,
        record_type: RecordType::Artifact,
        encoding: Encoding::Identity,
        uses: 0,
        vouched: None,
    }
}

#[test]
fn what_is_vouched_for_is_not_dropped_as_unvouched_and_counts_are_what_is_there() {
    in_many_orders(|| {
        let index = Arc::new(Index::new(2));
        // Two neighbours in one shard, which shift each other's places, and one in the other.
        for at in [2, 4, 3] {
            index.lock(&Fingerprint(at)).insert(entry(at, 1));
        }
        let now = Minutes::from_unix_millis(60_000 * 1234);
        let (asked, dropped) = (Arc::clone(&index), Arc::clone(&index));
        let reader = thread::spawn(move || asked.lock(&Fingerprint(4)).touch(&Fingerprint(4), now, false, |_| true));
        let reclaim = thread::spawn(move || {
            let mut shard = dropped.lock(&Fingerprint(4));
            let unvouched = shard.get(&Fingerprint(4)).is_some_and(|entry| entry.vouched.is_none());
            if unvouched {
                shard.remove(&Fingerprint(4));
            }
            unvouched
        });
        let writer = Arc::clone(&index);
        let writer = thread::spawn(move || {
            writer.lock(&Fingerprint(2)).remove(&Fingerprint(2));
            writer.lock(&Fingerprint(6)).insert(entry(6, 2));
            writer.lock(&Fingerprint(3)).insert(entry(3, 2));
        });
        let (told, dropped) = (reader.join().unwrap().is_some(), reclaim.join().unwrap());
        writer.join().unwrap();
        assert_ne!(told, dropped, "told that it is there, or dropped");
        let mut there = 0;
        index.for_each(|_| there += 1);
        assert_eq!((index.len(), there), (3 - usize::from(dropped), 3 - usize::from(dropped)));
    });
}

#[test]
fn a_file_that_is_opened_while_its_segment_is_evicted_is_closed_and_its_bytes_come_back() {
    in_many_orders(|| {
        let mut world = World::new(1);
        let disk = world.disk();
        let mut file = || world.block_on(disk.create(&format!("{}", fastrand::u64(..)))).unwrap();
        let files = [file(), file()];
        let budget = Budget::new(100);
        let space = Arc::new(Mutex::new(budget.try_reserve(Category::Shared, 60).unwrap()));
        let shape = Shape {
            owner: Owner::ANYBODY,
            birth: SegmentNumber(1),
            number: SegmentNumber(1),
            kind: SegmentKind::Shared,
            block: 4096,
            length: 8192,
        };
        let segment = Arc::new(Segment::new(SegmentSlot(0), shape, space, None));
        let graveyard = Graveyard::new(Arc::new(Event::new()));
        let open = Arc::new((OpenFiles::new(4), Unlinked::default()));
        let readers = files.map(|file| {
            let (segment, graveyard, open) = (Arc::clone(&segment), Arc::clone(&graveyard), Arc::clone(&open));
            thread::spawn(move || {
                // As in `read`: the file was there when it was opened.
                if let Some(space) = segment.space() {
                    let handle = open.0.adopt(&open.1, &segment, Handle::new(file, space, graveyard));
                    assert!(handle.file().is_ok());
                }
            })
        });
        let (evicted, open_too) = (Arc::clone(&segment), Arc::clone(&open));
        let evictor = thread::spawn(move || drop(open_too.0.evict(&open_too.1, &evicted)));
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        evictor.join().unwrap();
        world.block_on(graveyard.clear());
        assert_eq!((open.0.len(), budget.used()), (0, 0));
    });
}

/// What a segment's lock guards, and the flag that is looked at under it.
#[derive(Default)]
struct Committing {
    queue: Mutex<Queue<u8>>,
    condemned: AtomicBool,
    running: Mutex<usize>,
    committed: Mutex<Vec<u8>>,
}

impl Committing {
    /// As `Inner::enqueue`. Returns the committer that was to be started, or `None`; what is refused is told so.
    fn enqueue(self: &Arc<Committing>, item: u8, refused: &mut Vec<u8>) -> Option<thread::JoinHandle<()>> {
        let mut queue = self.queue.lock();
        if self.condemned.load(Ordering::SeqCst) {
            refused.push(item);
            return None;
        }
        let start = queue.push(item);
        drop(queue);
        let committer = Arc::clone(self);
        start.then(|| thread::spawn(move || committer.commit()))
    }

    /// As `Inner::commit_queue`, with two to a batch.
    fn commit(&self) {
        loop {
            let batch = self.queue.lock().take(2);
            if batch.is_empty() {
                return;
            }
            let mut running = self.running.lock();
            *running += 1;
            assert_eq!(*running, 1, "one committer at a time");
            drop(running);
            self.committed.lock().extend(batch);
            *self.running.lock() -= 1;
        }
    }
}

#[test]
fn whoever_waits_for_a_commit_is_answered_once_and_nothing_is_committed_behind_a_quiet_condemned_segment() {
    in_many_orders(|| {
        let segment = Arc::new(Committing::default());
        let writers = [[1, 2], [3, 4]].map(|items| {
            let segment = Arc::clone(&segment);
            thread::spawn(move || {
                let mut refused = Vec::new();
                let committers = items.map(|item| segment.enqueue(item, &mut refused));
                committers.into_iter().flatten().for_each(|committer| committer.join().unwrap());
                refused
            })
        });
        let evicted = Arc::clone(&segment);
        let evictor = thread::spawn(move || {
            evicted.condemned.store(true, Ordering::SeqCst);
            while evicted.queue.lock().is_running() {
                thread::yield_now();
            }
            evicted.committed.lock().len()
        });
        let refused = writers.map(|writer| writer.join().unwrap()).concat();
        let committed = segment.committed.lock().clone();
        assert_eq!(evictor.join().unwrap(), committed.len(), "nothing is committed once it is quiet");
        let mut answered = [committed.clone(), refused].concat();
        answered.sort_unstable();
        assert_eq!(answered, [1, 2, 3, 4], "each is answered, once");
        assert!(committed.iter().filter(|item| **item <= 2).is_sorted(), "in the order of the queue");
    });
}
