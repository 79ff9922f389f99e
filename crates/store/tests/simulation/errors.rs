//! What the device refuses costs what was under way, and nothing else: one test for each way in which it once cost more.
//! Each was seen to fail without what it tests.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kura_disk::Runtime;
use kura_disk::sim::{Crash, Operation, Rule, SimDisk};
use kura_store::{Commit, Durability, Error, Store, Upload};

use crate::calls;
use crate::machine::{BLACKOUT, BUDGET, Machine, fill, put, put_to};
use crate::model::{key, namespace};

const EIO: i32 = 5;
const EMFILE: i32 = 24;
const SEGMENT: u64 = 64 << 10;

const OLD: u8 = 1;
const NEW: u8 = 2;

fn machine(seed: u64) -> Machine {
    let mut machine = Machine::with_seed(seed, Durability::Always, None);
    // What is kept is kept by the rules, not by a lease.
    machine.settings.lease = Duration::ZERO;
    machine
}

fn fails(operation: Operation, path: &'static str, after: u64, times: u64) -> Rule {
    Rule { operation: Some(operation), path, after, times, errno: EIO }
}

async fn try_put(store: &Store, at: usize, byte: u8, length: usize) -> Result<(), Error> {
    calls::put(store, &key(0, at), &Bytes::from(vec![byte; length]), true, 4096).await
}

/// Writes to these keys of the other namespace, whatever it is answered.
async fn try_fill(store: &Store, runtime: &Arc<dyn Runtime>, keys: Range<usize>) {
    for at in keys {
        let _ = calls::put(store, &key(1, at), &Bytes::from(vec![7; 4000]), true, 4096).await;
        runtime.sleep(Duration::from_millis(1)).await;
    }
}

/// Writes more than fits the budget, each artifact under a key of its own: every segment there is now is reclaimed, and no client is told to come back.
async fn go_round(store: &Store, runtime: &Arc<dyn Runtime>) {
    for at in 10_000..10_200 {
        put_to(store, &key(1, at), 7, 4000).await;
        runtime.sleep(Duration::from_millis(1)).await;
    }
}

/// The first byte of what the key of these tests shows.
async fn shown(store: &Store) -> Option<u8> {
    calls::get(store, &key(0, 0)).await.expect("a read").map(|body| body[0])
}

fn shown_after(machine: &mut Machine, crash: Crash) -> Option<u8> {
    machine.world.disk().faults(kura_disk::sim::Faults::heal);
    machine.world.crash(crash);
    machine.live(|store, _| async move { shown(&store).await })
}

fn segments(disk: &SimDisk) -> Vec<String> {
    disk.paths().into_iter().filter(|path| path.starts_with("segments/")).collect()
}

/// An upload that has its place, and half of its body.
async fn begin(store: &Store, length: usize) -> Upload {
    let mut upload = calls::begin(store, &key(0, 0), Some(length)).await.expect("a place");
    upload.write(Bytes::from(vec![NEW; length / 2])).await.expect("half of it");
    upload
}

async fn finish(mut upload: Upload, length: usize) {
    upload.write(Bytes::from(vec![NEW; length - length / 2])).await.expect("the rest");
    upload.commit(Commit::default()).await.expect("a commit");
}

/// Fills the active segment, with keys from `first` on.
async fn rotate(store: &Store, first: usize) {
    let rotations = store.stats().rotations;
    for at in first.. {
        if store.stats().rotations > rotations {
            return;
        }
        put_to(store, &key(1, at), 7, 4000).await;
    }
}

/// How many of the first seeds show `OLD` after `live`; that needs a write which fails and is on the disk all the same.
fn seeds_that_show_the_old(live: impl AsyncFn(Store, Arc<SimDisk>, Arc<dyn Runtime>)) -> usize {
    let shows = |seed: &u64| {
        let mut machine = machine(*seed);
        let disk = machine.world.disk();
        machine.live(|store, runtime| live(store, disk, runtime));
        shown_after(&mut machine, Crash::Process) == Some(OLD)
    };
    (0..20).filter(shows).count()
}

/// The next write to a segment fails; what is written in the background is over.
async fn next_write_fails(disk: &SimDisk, runtime: &Arc<dyn Runtime>) {
    runtime.sleep(Duration::from_secs(2)).await;
    disk.faults(|faults| faults.fail(fails(Operation::Write, "segments/", 0, 1)));
}

/// A put of the old body that fails.
async fn put_in_vain(store: &Store, disk: &SimDisk, runtime: &Arc<dyn Runtime>) {
    // With this there is an active segment.
    put(store, 1, 100).await;
    next_write_fails(disk, runtime).await;
    try_put(store, 0, OLD, 100).await.expect_err("the device refuses it");
}

#[test]
fn a_delete_ends_what_failed_to_be_stored_also_for_the_next_start() {
    let without = seeds_that_show_the_old(async |store, disk, runtime| put_in_vain(&store, &disk, &runtime).await);
    assert!(without > 0, "what failed may be on the disk");
    let with = seeds_that_show_the_old(async |store, disk, runtime| {
        put_in_vain(&store, &disk, &runtime).await;
        store.delete(&key(0, 0)).await.expect("a delete");
    });
    assert_eq!(with, 0);
}

#[test]
fn what_failed_to_be_stored_does_not_show_where_something_newer_was() {
    let shown = seeds_that_show_the_old(async |store, disk, runtime| {
        // Its place is in front of what fails, and its version above it.
        let upload = begin(&store, 10_000).await;
        rotate(&store, 500).await;
        put_in_vain(&store, &disk, &runtime).await;
        finish(upload, 10_000).await;
        // Its segment is the first to go; large artifacts do not touch the one with the record that failed.
        for at in 10.. {
            if store.stats().evictions > 0 {
                return;
            }
            put(&store, at, 60_000).await;
            runtime.sleep(Duration::from_millis(1)).await;
        }
    });
    assert_eq!(shown, 0);
}

#[test]
fn nothing_newer_is_dropped_while_a_segment_with_something_older_cannot_be_unlinked() {
    let mut machine = machine(1);
    machine.settings.room_wait = Duration::from_secs(5);
    let disk = machine.world.disk();
    machine.live(|store, runtime| async move {
        put_to(&store, &key(0, 0), OLD, 100).await;
        let first: &'static str = Box::leak(segments(&disk).remove(0).into_boxed_str());
        disk.faults(|faults| faults.fail(fails(Operation::Unlink, first, 0, u64::MAX)));
        // It is emptied, and stays.
        for at in 2000.. {
            if store.stats().shed_records > 0 {
                break;
            }
            try_fill(&store, &runtime, at..at + 1).await;
        }
        put_to(&store, &key(0, 0), NEW, 100).await;
        try_fill(&store, &runtime, 3000..3300).await;
        assert_eq!(shown(&store).await, Some(NEW), "it is not dropped");
        disk.faults(kura_disk::sim::Faults::heal);
        runtime.sleep(Duration::from_secs(3)).await;
        assert!(!segments(&disk).contains(&first.to_owned()), "it is tried again");
        fill(&store, &runtime).await;
    });
}

#[test]
fn a_delete_ends_what_could_not_be_read_also_for_the_next_start() {
    let mut machine = machine(1);
    let disk = machine.world.disk();
    machine.live(|store, _| async move {
        put_to(&store, &key(0, 0), OLD, 100).await;
        disk.faults(|faults| faults.fail(fails(Operation::Read, "segments/", 0, 1)));
        // What the page cache has is served.
        while shown(&store).await.is_some() {}
        assert!(!store.delete(&key(0, 0)).await.expect("a delete"), "it is not there");
    });
    assert_eq!(shown_after(&mut machine, Crash::Process), None);
}

#[test]
fn what_failed_to_be_stored_is_no_record_any_more_once_its_segment_is_sealed() {
    let shows = |seed: &u64| {
        let mut machine = machine(*seed);
        let disk = machine.world.disk();
        machine.live(|store, runtime| async move {
            put_in_vain(&store, &disk, &runtime).await;
            rotate(&store, 500).await;
            runtime.sleep(Duration::from_secs(2)).await;
            store.delete(&key(0, 0)).await.expect("a delete");
        });
        // The footer, which does not list it, is lost.
        shown_after(&mut machine, BLACKOUT) == Some(OLD)
    };
    assert_eq!((0..20).filter(shows).count(), 0);
}

#[test]
fn a_leftover_that_the_sweep_did_not_see_is_on_the_ledger() {
    let mut machine = machine(1);
    let disk = machine.world.disk();
    machine.live(|store, _| async move { put(&store, 0, 100).await });
    machine.world.crash(Crash::Process);
    disk.plant("segments/tmp-00000000000000aa.seg", &[0xab; 100_000]);
    disk.faults(|faults| faults.fail(fails(Operation::List, "segments", 0, 1)));
    machine.live(|store, _| async move {
        let used: u64 = store.stats().used.iter().map(|(_, bytes)| bytes).sum();
        assert!(disk.allocated() <= used, "{} bytes of files, {used} on the ledger", disk.allocated());
    });
}

#[test]
fn a_rename_that_fails_leaves_no_file_that_nothing_knows() {
    let mut machine = machine(1);
    let disk = machine.world.disk();
    machine.live(|store, runtime| async move {
        // Names without the prefix of what is being made: the spare's, when the ring has moved on.
        disk.faults(|faults| faults.fail(fails(Operation::Rename, "segments/0", 0, u64::MAX)));
        for round in 0..40 {
            let _ = try_put(&store, round % 3, NEW, 60_000).await;
            runtime.sleep(Duration::from_secs(2)).await;
        }
        disk.faults(kura_disk::sim::Faults::heal);
        for _ in 0..20 {
            fill(&store, &runtime).await;
        }
        runtime.sleep(Duration::from_secs(3)).await;
        assert_eq!(segments(&disk).len() as u64, store.stats().segments, "{:?}", segments(&disk));
        let used: u64 = store.stats().used.iter().map(|(_, bytes)| bytes).sum();
        assert!(disk.allocated() <= used, "{} of {used}", disk.allocated());
    });
}

#[test]
fn a_promotion_that_fails_uncovers_nothing() {
    let mut machine = machine(1);
    let disk = machine.world.disk();
    machine.live(|store, runtime| async move {
        let upload = begin(&store, 30_000).await;
        rotate(&store, 500).await;
        rotate(&store, 600).await;
        put_to(&store, &key(0, 0), OLD, 100).await;
        finish(upload, 30_000).await;
        assert_eq!(shown(&store).await, Some(NEW), "a use");
        runtime.sleep(Duration::from_secs(120)).await;
        disk.faults(|faults| faults.fail(fails(Operation::Rename, "segments/0", 0, u64::MAX)));
        // The two segments in front of it, and what comes next.
        for at in 2000.. {
            if store.stats().evictions > 2 {
                break;
            }
            try_fill(&store, &runtime, at..at + 1).await;
        }
    });
    assert_ne!(shown_after(&mut machine, Crash::Process), Some(OLD));
}

#[test]
fn a_clean_that_failed_keeps_no_earlier_one_from_being_carried_on() {
    let mut machine = machine(1);
    let disk = machine.world.disk();
    machine.live(|store, runtime| async move {
        put(&store, 1, 100).await;
        put(&store, 0, 30_000).await;
        store.clean(&namespace(0)).await.expect("a clean");
        next_write_fails(&disk, &runtime).await;
        store.clean(&namespace(0)).await.expect_err("the device refuses it");
        go_round(&store, &runtime).await;
        assert_eq!(shown(&store).await, None);
    });
    assert_eq!(shown_after(&mut machine, Crash::Power), None);
}

#[test]
fn what_covers_something_older_gives_way_to_a_tombstone_where_its_delete_failed() {
    for length in [10_000, 30_000] {
        let mut machine = machine(1);
        let disk = machine.world.disk();
        machine.live(|store, runtime| async move {
            let upload = begin(&store, length).await;
            rotate(&store, 500).await;
            put_to(&store, &key(0, 0), OLD, 100).await;
            finish(upload, length).await;
            assert_eq!(shown(&store).await, Some(NEW));
            next_write_fails(&disk, &runtime).await;
            store.delete(&key(0, 0)).await.expect_err("the device refuses it");
            fill(&store, &runtime).await;
        });
        assert_ne!(shown_after(&mut machine, Crash::Process), Some(OLD), "{length} bytes");
    }
}

#[test]
fn a_growing_body_whose_footer_went_with_a_failed_sync_is_not_acknowledged() {
    for (seed, after) in (0..200).flat_map(|seed| (1..8).map(move |after| (seed, after))) {
        let mut machine = machine(seed);
        // So often that one waits for its turn while the body's own is under way.
        machine.settings.durability = Durability::Interval(Duration::from_micros(20));
        let disk = machine.world.disk();
        let kept = machine.live(|store, _| async move {
            disk.faults(|faults| faults.fail(fails(Operation::Sync, "segments/", after, 1)));
            let body = Bytes::from(vec![NEW; 30_000]);
            calls::put(&store, &key(0, 0), &body, false, 4096).await.is_ok()
        });
        let shown = shown_after(&mut machine, BLACKOUT);
        assert!(!kept || shown == Some(NEW), "seed {seed}, after {after} syncs");
    }
}

#[test]
fn a_copy_takes_the_place_of_its_original_only_once_it_is_synced() {
    for after in 0..30 {
        let mut machine = machine(1);
        machine.settings.durability = Durability::None;
        let disk = machine.world.disk();
        let kept = machine.live(|store, runtime| async move {
            put_to(&store, &key(0, 0), NEW, 100).await;
            // Its segment is sealed: it is durable whatever the setting.
            rotate(&store, 500).await;
            runtime.sleep(Duration::from_secs(2)).await;
            assert_eq!(shown(&store).await, Some(NEW), "a use");
            disk.faults(|faults| faults.fail(fails(Operation::Sync, "segments/", after, 1)));
            try_fill(&store, &runtime, 2000..2160).await;
            shown(&store).await
        });
        assert_eq!(shown_after(&mut machine, BLACKOUT), kept, "after {after} syncs");
    }
}

#[test]
fn what_is_kept_ahead_for_the_next_segment_stays_kept_when_it_cannot_be_made() {
    let mut machine = machine(1);
    let disk = machine.world.disk();
    machine.live(|store, runtime| async move {
        rotate(&store, 500).await;
        runtime.sleep(Duration::from_secs(2)).await;
        let shared = || store.stats().used.iter().find(|(category, _)| *category == "shared").unwrap().1;
        let before = shared();
        let rule = Rule { errno: EMFILE, ..fails(Operation::Create, "segments/tmp", 0, 3) };
        disk.faults(|faults| faults.fail(rule));
        rotate(&store, 500).await;
        for _ in 0..30 {
            runtime.sleep(Duration::from_millis(100)).await;
            assert!(shared() >= before, "{} of {before}, {SEGMENT} each", shared());
        }
    });
}

#[test]
fn two_segments_in_a_row_that_fail_are_two_though_each_was_synced_before() {
    let mut machine = machine(1);
    let disk = machine.world.disk();
    machine.live(|store, runtime| async move {
        for failed in 1..=2 {
            put(&store, 0, 100).await;
            runtime.sleep(Duration::from_secs(2)).await;
            disk.faults(|faults| faults.fail(fails(Operation::Sync, "segments/", 0, 1)));
            try_put(&store, 1, NEW, 100).await.expect_err("its sync fails");
            assert_eq!((store.stats().failed_segments, store.stats().read_only), (failed, failed == 2));
        }
    });
}

/// Flips a bit in the middle of a file's last `from_end` bytes.
fn flip(disk: &SimDisk, path: &str, from_end: u64) {
    let length = disk.content(path).expect("it is there").len() as u64;
    disk.flip(path, (length - from_end) * 8);
}

#[test]
fn a_cleaned_artifact_is_not_promoted_for_want_of_a_footer() {
    let mut machine = machine(1);
    let disk = machine.world.disk();
    machine.live(|store, runtime| async move {
        put_to(&store, &key(0, 0), OLD, 30_000).await;
        assert_eq!(shown(&store).await, Some(OLD), "a use");
        runtime.sleep(Duration::from_secs(2)).await;
        let solo = segments(&disk).into_iter().min_by_key(|path| disk.content(path).unwrap().len()).unwrap();
        store.clean(&namespace(0)).await.expect("a clean");
        flip(&disk, &solo, 20);
        for _ in 0..12 {
            fill(&store, &runtime).await;
        }
    });
    assert_eq!(shown_after(&mut machine, Crash::Power), None);
}

#[test]
fn a_damaged_segment_is_not_compacted_away_from_in_front_of_what_it_had_replaced() {
    let mut machine = machine(1);
    let disk = machine.world.disk();
    machine.live(|store, runtime| async move {
        put_to(&store, &key(0, 0), OLD, 100).await;
        rotate(&store, 500).await;
        put_to(&store, &key(0, 0), NEW, 3000).await;
        for at in 10..35 {
            put(&store, at, 2000).await;
        }
        rotate(&store, 600).await;
        runtime.sleep(Duration::from_secs(2)).await;
        let needle = [NEW; 3000];
        let found = segments(&disk).into_iter().find_map(|path| {
            let content = disk.content(&path)?;
            let at = content.windows(needle.len()).position(|window| window == needle)?;
            Some((path, at))
        });
        let (path, at) = found.expect("it was written");
        disk.flip(&path, (at as u64 + 50) * 8);
        // What lies beside it dies: it is worth compacting.
        for at in 10..35 {
            put(&store, at, 100).await;
        }
        runtime.sleep(Duration::from_secs(5)).await;
        assert_eq!(store.stats().damaged, 1);
    });
    // A power cut may take the footer, which no sync covers, and a scan knows nothing of what is damaged.
    assert_ne!(shown_after(&mut machine, Crash::Process), Some(OLD));
}

#[test]
fn a_device_that_cannot_read_one_copy_of_the_identity_keeps_nothing_back() {
    for copy in [0, 1] {
        let mut machine = machine(1);
        machine.live(async |store, _| put_to(&store, &key(0, 0), NEW, 100).await);
        machine.world.disk().faults(|faults| faults.fail(fails(Operation::Read, "STORE", copy, 1)));
        machine.world.crash(Crash::Process);
        assert_eq!(machine.live(async |store, _| shown(&store).await), Some(NEW));
    }
    let mut machine = machine(1);
    machine.live(async |store, _| put_to(&store, &key(0, 0), NEW, 100).await);
    machine.world.disk().faults(|faults| faults.fail(fails(Operation::Read, "STORE", 0, 2)));
    let (disk, runtime, settings) = (machine.world.disk(), machine.world.runtime(), machine.settings.clone());
    machine.world.crash(Crash::Process);
    let opened = machine.world.block_on(async move { calls::open(&disk, &runtime, settings).await });
    assert!(matches!(opened, Err(Error::Io { .. })), "it is no new store");
    assert_eq!(shown_after(&mut machine, Crash::Process), Some(NEW));
}

#[test]
fn a_segment_that_was_not_made_is_paid_for_until_no_power_cut_brings_it_back() {
    for seed in 0..8 {
        for operations in 1..160 {
            let mut machine = machine(seed);
            let (disk, runtime, settings) = (machine.world.disk(), machine.world.runtime(), machine.settings.clone());
            let store = machine.world.block_on(calls::open(&disk, &runtime, settings)).expect("it opens");
            machine.world.block_on(try_fill(&store, &runtime, 0..120));
            disk.faults(|faults| faults.fail(fails(Operation::SyncDirectory, "segments", seed % 4, 1)));
            machine.world.block_on_for(operations, try_fill(&store, &runtime, 200..240));
            drop(store);
            machine.world.crash(Crash::Power);
            assert!(disk.take_peak() <= BUDGET, "seed {seed}, {operations} operations: over the budget");
        }
    }
}

#[test]
fn a_history_repeats_to_the_byte() {
    let files = || {
        let mut machine = machine(1);
        machine.live(|store, runtime| async move {
            for at in 0..60 {
                put(&store, at, 4000).await;
                assert!(calls::get(&store, &key(0, at)).await.expect("a read").is_some());
            }
            runtime.sleep(Duration::from_secs(1)).await;
            store.shutdown().await.expect("a clean stop");
        });
        let disk = machine.world.disk();
        disk.paths().into_iter().map(|path| (disk.content(&path), path)).collect::<Vec<_>>()
    };
    assert!(files() == files());
}
