//! The device fails: who waited is told, what was acknowledged is there, and nothing else is lost. The disk is watched: it fails these tests at the first
//! write or sync of a segment whose sync failed.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::time::Duration;

use futures_util::future::join_all;
use kura_disk::sim::{Chance, Crash, Operation, Rule};
use kura_store::key::NamespaceId;
use kura_store::{Durability, Error};
use support::{BUDGET, EIO, Life, Machine, body, bytes_on_disk, captured::captured, key, put};

const ENOSPC: i32 = 28;
const EDQUOT: i32 = 122;

fn fails(operation: Operation, path: &'static str, times: u64, errno: i32) -> Rule {
    Rule { operation: Some(operation), path, after: 0, times, errno }
}

/// Several clients at once; says who was told that it is kept.
async fn many(life: &Life, prefix: &str) -> Vec<(String, bool)> {
    let names: Vec<String> = (0..8).map(|at| format!("{prefix} {at}")).collect();
    let kept = join_all(names.iter().map(async |name| life.put(name, 700).await.is_ok())).await;
    names.into_iter().zip(kept).collect()
}

async fn all_kept_are_there(life: &Life, puts: &[(String, bool)]) {
    for (name, _) in puts.iter().filter(|(_, kept)| *kept) {
        assert!(life.has(name, 700).await, "{name} was acknowledged");
    }
}

#[test]
fn a_failed_sync_fails_who_waited_and_closes_the_segment_for_good() {
    let mut machine = Machine::new(1);
    let disk = machine.disk();
    let (before, puts, after) = machine.live(async |life: Life| {
        let before = many(&life, "before").await;
        life.wait(2).await;
        let closed = bytes_on_disk::find(&life.disk, &key("before 0")).unwrap().path;
        disk.faults(|faults| faults.fail(fails(Operation::Sync, "segments/", 1, EIO)));
        let puts = many(&life, "waited").await;
        assert!(puts.iter().all(|(_, kept)| !kept), "all who share the sync are told: {puts:?}");
        let after = many(&life, "after").await;
        assert!(after.iter().all(|(_, kept)| *kept), "it goes on: {after:?}");
        let stats = life.store.stats();
        assert_eq!((stats.failed_segments, stats.read_only), (1, false));
        assert_ne!(bytes_on_disk::find(&life.disk, &key("after 0")).unwrap().path, closed, "in a new segment");
        for puts in [&before, &puts, &after] {
            all_kept_are_there(&life, puts).await;
        }
        life.store.shutdown().await.unwrap();
        let secret = bytes_on_disk::identity(&life.disk).secret;
        assert_eq!(bytes_on_disk::footer(&life.disk.content(&closed).unwrap(), &secret), None, "it is not sealed");
        (before, puts, after)
    });
    machine.crash(Crash::Power);
    machine.live(async |life: Life| {
        for puts in [before, puts, after] {
            all_kept_are_there(&life, &puts).await;
        }
    });
}

#[test]
fn after_two_segments_in_a_row_whose_sync_failed_it_serves_reads_and_says_so() {
    let mut machine = Machine::new(1);
    let disk = machine.disk();
    let log = captured(|| {
        machine.live(async |life: Life| {
            life.keep("kept", 3000).await;
            life.wait(2).await;
            disk.faults(|faults| faults.fail(fails(Operation::Sync, "segments/", u64::MAX, EIO)));
            assert!(life.put("first", 100).await.is_err() && life.put("second", 100).await.is_err());
            assert!(life.store.stats().read_only);
            for length in [100, 10_000, 30_000] {
                assert!(matches!(life.put("third", length).await, Err(Error::ReadOnly)));
            }
            assert!(matches!(life.store.delete(&key("kept")).await, Err(Error::ReadOnly)));
            let namespace = NamespaceId::new("tenant", "namespace").unwrap();
            assert!(matches!(life.store.clean(&namespace).await, Err(Error::ReadOnly)));
            assert!(life.has("kept", 3000).await);
        });
    });
    assert!(log.contains("reads only from here on; mend the device and restart"), "{log}");
    disk.faults(|faults| faults.heal());
    machine.crash(Crash::Power);
    machine.live(async |life: Life| {
        assert!(life.has("kept", 3000).await);
        life.keep("third", 100).await;
    });
}

/// Some work in which every way of committing has its turn; says what was acknowledged.
async fn commits(life: &Life) -> Vec<(String, usize)> {
    let mut acknowledged = Vec::new();
    for at in 0..25 {
        let (name, length) = (format!("{at}"), [300, 9000, 30_000, 15_000, 700][at % 5]);
        if put(&life.store, &key(&name), &body(&name, length), at % 2 == 0).await.is_ok() {
            acknowledged.push((name, length));
        }
        life.runtime.sleep(Duration::from_millis(3)).await;
    }
    acknowledged
}

/// Lets the `after`th operation of a kind fail, then cuts the power: all that was acknowledged is there.
fn acknowledged_survives(operation: Operation, path: &'static str, errno: i32, crash: Crash) -> u64 {
    let mut failed = 0;
    for after in 0.. {
        let mut machine = Machine::new(1);
        let life = machine.open().unwrap();
        machine.fail(Rule { after, ..fails(operation, path, 1, errno) });
        let asked = machine.journal.lock().count(operation, path);
        let acknowledged = machine.world.block_on(commits(&life));
        let asked = machine.journal.lock().count(operation, path) - asked;
        machine.world.block_on(async {
            assert!(!life.store.stats().read_only, "one failure is no reason to stop");
            for (name, length) in &acknowledged {
                assert!(life.has(name, *length).await, "{name}, with operation {after} failing");
            }
            life.wait(3).await;
            life.check(BUDGET);
        });
        drop(life);
        machine.crash(crash);
        machine.disk().faults(|faults| faults.heal());
        machine.live(async |life: Life| {
            for (name, length) in &acknowledged {
                assert!(life.has(name, *length).await, "{name} is lost: {operation:?} {after} failed, then {crash:?}");
            }
            life.wait(2).await;
            life.check(BUDGET);
        });
        if after >= asked as u64 {
            return failed;
        }
        failed += 1;
    }
    failed
}

#[test]
fn whichever_sync_fails_what_was_acknowledged_is_there() {
    assert!(acknowledged_survives(Operation::Sync, "segments/", EIO, Crash::PowerKeeping(0)) > 30);
    assert!(acknowledged_survives(Operation::SyncDirectory, "segments", EIO, Crash::Power) > 10);
}

#[test]
fn whichever_write_fails_costs_that_upload_and_nothing_else() {
    assert!(acknowledged_survives(Operation::Write, "segments/", ENOSPC, Crash::Power) > 30);
    assert!(acknowledged_survives(Operation::Write, "segments/", EDQUOT, Crash::PowerKeeping(0)) > 30);
}

#[test]
fn a_footer_has_room_for_records_whose_commit_failed_and_is_written_over_none() {
    for seed in 0..10 {
        let mut machine = Machine::new(seed);
        let kept = machine.live(async |life: Life| {
            life.wait(2).await;
            let half = Chance { operation: Some(Operation::Write), path: "segments/", one_in: 2, errno: EIO };
            life.disk.faults(|faults| faults.sometimes(half));
            let mut kept = Vec::new();
            while life.store.stats().rotations == 0 {
                let name = format!("{}", kept.len());
                if life.put(&name, 10).await.is_ok() {
                    kept.push(name);
                }
            }
            life.disk.faults(|faults| faults.heal());
            kept
        });
        machine.crash(Crash::Power);
        for _ in 0..2 {
            machine.live(async |life: Life| {
                life.wait(2).await;
                for name in &kept {
                    assert!(life.has(name, 10).await, "{name} of {}, seed {seed}", kept.len());
                }
                life.store.shutdown().await.unwrap();
            });
            machine.crash(Crash::Power);
        }
    }
}

#[test]
fn with_an_interval_a_power_cut_costs_no_more_than_the_interval() {
    let mut machine = Machine::new(1);
    machine.settings.durability = Durability::Interval(Duration::from_millis(500));
    machine.live(async |life: Life| {
        let early = many(&life, "early").await;
        assert!(early.iter().all(|(_, kept)| *kept));
        life.wait(1).await;
        many(&life, "late").await;
    });
    machine.crash(Crash::PowerKeeping(0));
    machine.live(async |life: Life| {
        for at in 0..8 {
            assert!(life.has(&format!("early {at}"), 700).await, "{at}");
        }
    });
}

#[test]
fn with_an_interval_a_failed_sync_keeps_no_other_segment_waiting() {
    let mut machine = Machine::new(1);
    machine.settings.durability = Durability::Interval(Duration::from_secs(60));
    machine.live(async |life: Life| {
        // An upload keeps the older of two segments from being sealed, and so from being synced for that.
        let mut slow = life.store.put(support::request(&key("slow"), Some(9000))).await.unwrap();
        slow.write(body("slow", 5000)).await.unwrap();
        life.keep("older", 700).await;
        let rotations = life.store.stats().rotations;
        while life.store.stats().rotations == rotations {
            life.keep(&format!("{}", life.store.stats().bytes_written), 4000).await;
        }
        life.keep("newer", 700).await;
        life.wait(5).await;
        life.disk.faults(|faults| faults.fail(fails(Operation::Sync, "segments/", 1, EIO)));
        life.wait(61).await;
        assert_eq!(life.store.stats().failed_segments, 1);
        std::mem::forget(slow);
    });
    machine.crash(Crash::PowerKeeping(0));
    machine.live(async |life: Life| assert!(life.has("newer", 700).await, "its interval was over"));
}

#[test]
fn a_segment_is_never_written_after_a_failed_sync_whoever_is_in_the_queue() {
    for seed in 0..200 {
        // Late by some part of what a write and a sync take.
        let micros = seed % 40 * 5;
        let mut machine = Machine::new(seed);
        machine.live(async |life: Life| {
            life.keep("before", 700).await;
            life.wait(2).await;
            life.disk.faults(|faults| faults.fail(fails(Operation::Sync, "segments/", 1, EIO)));
            let second = async {
                life.runtime.sleep(Duration::from_micros(micros)).await;
                life.put("second", 700).await
            };
            let (first, _) = futures_util::future::join(life.put("first", 700), second).await;
            assert!(first.is_err(), "its sync failed");
        });
    }
}

#[test]
fn with_an_interval_nothing_is_acknowledged_into_a_segment_whose_sync_failed() {
    for seed in 0..300 {
        let mut machine = Machine::new(seed);
        machine.settings.durability = Durability::Interval(Duration::from_millis(1));
        let acknowledged = machine.live(async |life: Life| {
            life.keep("before", 700).await;
            life.wait(2).await;
            life.disk.faults(|faults| faults.fail(fails(Operation::Sync, "segments/", 1, EIO)));
            let mut acknowledged = Vec::new();
            for at in 0..40 {
                let name = format!("{at}");
                if life.put(&name, 700).await.is_ok() && life.store.stats().failed_segments == 1 {
                    // Told so when the failure was known.
                    acknowledged.push(name);
                }
            }
            life.wait(1).await;
            acknowledged
        });
        machine.crash(Crash::PowerKeeping(0));
        machine.disk().faults(|faults| faults.heal());
        machine.live(async |life: Life| {
            for name in acknowledged {
                assert!(life.has(&name, 700).await, "{name} is lost, seed {seed}");
            }
        });
    }
}

#[test]
fn a_body_under_way_is_not_written_to_a_segment_whose_sync_failed() {
    let mut machine = Machine::new(1);
    machine.live(async |life: Life| {
        let mut upload = life.store.put(support::request(&key("streamed"), Some(9000))).await.unwrap();
        upload.write(body("streamed", 9000)).await.unwrap();
        life.disk.faults(|faults| faults.fail(fails(Operation::Sync, "segments/", 1, EIO)));
        assert!(life.put("failed", 700).await.is_err());
        assert!(upload.commit(kura_store::Commit::default()).await.is_err(), "its segment takes nothing more");
    });
}
