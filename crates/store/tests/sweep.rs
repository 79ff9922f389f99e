//! The start-up sweep and the crashes that it is for: whatever a process dies at, no file and no index entry is stranded, and what is not ours stays.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use kura_disk::Disk;
use kura_disk::sim::{Crash, Operation, Rule, SimDisk};
use kura_store::Error;
use kura_store::format::segment::{SegmentHeader, SegmentKind};
use kura_store::types::SegmentNumber;
use support::{
    BUDGET, EIO, Life, Machine, PAGE, SEGMENT, body, bytes_on_disk, captured::captured, has_artifacts, key, names,
    request, segment, with_artifacts,
};

const EMFILE: i32 = 24;

/// What a crash can leave: nothing lost, everything unsynced lost, some of it lost or torn.
const CRASHES: [Crash; 3] = [Crash::Process, Crash::PowerKeeping(0), Crash::Power];

#[test]
fn sweep_orphaned_segments_returns_zero_without_segments_dir() {
    let mut machine = Machine::new(1);
    assert!(machine.disk().paths().is_empty());
    machine.live(|life| async move { assert_eq!(life.store.stats().swept, 0) });
    let identity = machine.disk().content("STORE").unwrap();

    // The same where there is a store, but the directory has gone.
    let mut machine = Machine::new(2);
    machine.disk().plant("STORE", &identity);
    let log = captured(|| {
        machine.live(|life| async move {
            assert_eq!(life.store.stats().swept, 0);
            life.keep("artifact", 100).await;
            assert!(life.has("artifact", 100).await);
        });
    });
    assert_eq!(machine.disk().content("STORE").unwrap(), identity);
    assert_eq!(log, "");
}

fn segment_header(disk: &SimDisk, number: u64, kind: SegmentKind) -> Vec<u8> {
    let header = SegmentHeader {
        store_id: bytes_on_disk::identity(disk).store_id,
        birth: SegmentNumber(number),
        kind,
        lane: 0,
        capacity: SEGMENT,
        block: 4096,
        created_unix_millis: 1,
    };
    header.encode()
}

/// Leftovers: temporary names whatever they hold, and segments that can be read and have no valid part.
fn strays(disk: &SimDisk) -> Vec<(String, Vec<u8>)> {
    let mut solo = segment_header(disk, 0xaa, SegmentKind::Solo);
    let whole = solo.clone();
    solo.resize(30_000, 0);
    vec![
        ("tmp-heat".to_owned(), vec![1; 100]),
        ("tmp-STORE".to_owned(), disk.content("STORE").unwrap()),
        ("segments/tmp-00000000000000a0.seg".to_owned(), whole),
        ("segments/tmp-".to_owned(), Vec::new()),
        (segment(0xa1), Vec::new()),
        (segment(0xa2), vec![0xab; 100]),
        (segment(0xa3), vec![0xab; 9000]),
        (segment(0xa4), vec![0; SEGMENT as usize]),
        (segment(0xaa), solo),
    ]
}

/// Files that are not ours, or not ours to judge.
fn others(disk: &SimDisk) -> Vec<(String, Vec<u8>)> {
    let mut of_another_store = segment_header(disk, 0xb1, SegmentKind::Shared);
    of_another_store[20] ^= 1;
    let sum = bytes_on_disk::crc32c(&of_another_store[..60]);
    of_another_store[60..64].copy_from_slice(&sum.to_le_bytes());
    let name = |name: &str| (name.to_owned(), b"not ours".to_vec());
    vec![
        name("README"),
        name("elsewhere/README"),
        name("segments/README"),
        name("segments/00000000000000AB.seg"),
        name("segments/00000000000000ab.seg.bak"),
        name("segments/ab.seg"),
        (segment(0xb1), of_another_store),
    ]
}

#[test]
fn the_file_of_tokens_is_paid_for_with_the_one_that_replaces_it() {
    let mut machine = with_artifacts();
    let control = |machine: &mut Machine| {
        machine.live(|life| async move {
            assert_eq!(life.used_by("foreign"), 0);
            life.used_by("control")
        })
    };
    let before = control(&mut machine);
    machine.disk().plant("tokens", &[b' '; 2 * PAGE as usize]);
    machine.disk().plant("tokens.s3", &[b' '; 65]);
    machine.crash(Crash::Process);
    assert_eq!(control(&mut machine), before + 6 * PAGE);
}

#[test]
fn sweep_orphaned_segments_removes_stray_files_and_keeps_live_segments() {
    let mut machine = with_artifacts();
    let disk = machine.disk();
    let live = names(&disk);
    let (strays, others) = (strays(&disk), others(&disk));
    strays.iter().chain(&others).for_each(|(path, bytes)| disk.plant(path, bytes));
    for swept in [strays.len() as u64, 0] {
        let log = captured(|| {
            machine.live(|life| async move {
                assert_eq!(life.store.stats().swept, swept);
                assert!(has_artifacts(&life).await);
                // Of a page each, but for the directory, and what is in it, which nobody looks at.
                assert_eq!(life.used_by("foreign"), 6 * PAGE, "what is not ours is on the ledger");
                life.wait(2).await;
            });
        });
        for (path, _) in &others {
            let name = path.strip_prefix("elsewhere/").unwrap_or(path).rsplit('/').next().unwrap();
            assert!(log.contains(name), "{path} is not named: {log}");
        }
        assert!(log.contains("elsewhere"), "{log}");
        let left = names(&disk);
        for (path, _) in &strays {
            assert!(!left.contains(path), "{path} is still there");
        }
        for (path, bytes) in &others {
            assert!(disk.content(path).as_ref() == Some(bytes), "{path} is not as it was");
        }
        assert!(live.is_subset(&left), "{left:?}");
        machine.crash(Crash::Process);
    }
}

#[test]
fn what_the_device_has_of_a_segment_is_served_though_its_sync_fails_at_the_start() {
    for seed in 0..20 {
        let mut machine = Machine::without_leases(seed);
        machine.live(async |life: Life| {
            life.keep("shared", 300).await;
            life.keep("solo", 30_000).await;
        });
        machine.crash(Crash::PowerKeeping(0));
        machine.fail(Rule { operation: Some(Operation::Sync), path: "segments/", after: 0, times: 4, errno: EIO });
        let path = bytes_on_disk::find(&machine.disk(), &key("shared")).unwrap().path;
        machine.live(async |life: Life| {
            assert!(has_artifacts(&life).await, "it was acknowledged");
            life.disk.faults(|faults| faults.heal());
            assert!(life.store.stats().failed_segments > 0);
            life.keep("later", 300).await;
            assert_ne!(bytes_on_disk::find(&life.disk, &key("later")).unwrap().path, path, "it is not written again");
            life.wait(2).await;
            life.check(BUDGET);
        });
    }
}

#[test]
fn a_start_has_no_more_files_open_than_it_reads_at_a_time() {
    let mut machine = Machine::without_leases(1);
    let names: Vec<String> = (0..14).map(|at| format!("{at}")).collect();
    machine.live(async |life: Life| {
        for name in &names {
            life.keep(name, 20_000).await;
        }
        life.wait(2).await;
        life.store.shutdown().await.unwrap();
    });
    machine.crash(Crash::Process);
    // Loads go four at a time; two segments are written on.
    machine.disk().faults(|faults| faults.most_open_files = Some(8));
    machine.live(async |life: Life| {
        life.disk.faults(|faults| faults.most_open_files = None);
        for name in &names {
            assert!(life.has(name, 20_000).await, "{name}");
        }
    });
}

#[test]
fn a_start_with_too_many_open_files_is_refused_and_loses_nothing() {
    let mut machine = with_artifacts();
    machine.fail(Rule { operation: Some(Operation::Open), path: "segments/", after: 1, times: 1, errno: EMFILE });
    assert!(matches!(machine.open(), Err(Error::Io { .. })));
    machine.crash(Crash::Process);
    machine.live(async |life: Life| assert!(has_artifacts(&life).await));
}

#[test]
fn an_upload_that_was_never_committed_is_swept_whatever_it_left() {
    for (known, crash) in [(true, Crash::Process), (false, Crash::Process), (true, Crash::Power), (false, Crash::Power)]
    {
        let mut machine = with_artifacts();
        let before = machine.segments().len();
        machine.live(|life| async move {
            let whole = body("unfinished", 30_000);
            let mut upload = life.store.put(request(&key("unfinished"), known.then_some(30_000))).await.unwrap();
            upload.write(whole.slice(..25_000)).await.unwrap();
            life.wait(2).await;
            // The process dies while the client still sends.
            std::mem::forget(upload);
        });
        assert!(machine.segments().len() > before);
        machine.crash(crash);
        machine.live(|life| async move {
            assert!(!life.has("unfinished", 30_000).await && has_artifacts(&life).await);
            life.wait(2).await;
            life.check(BUDGET);
            assert_eq!(life.store.stats().solo_segments, 1);
        });
    }
}

/// What the first victims of the ring are in a test: each takes another way out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    /// Shared, with records that nobody uses and one that was vouched for.
    Shared,
    /// Solo and used, so that it is promoted.
    UsedSolo,
    /// Solo and never used, so that it is unlinked.
    UnusedSolo,
    /// Solo and overwritten, so that it is unlinked out of order.
    Overwritten,
}

/// Up to the moment before a segment has to go.
async fn prepare(life: &Life, victim: Victim) {
    match victim {
        Victim::Shared => life.keep("leased", 700).await,
        _ => life.keep("large", 40_000).await,
    }
    if victim == Victim::UsedSolo {
        assert!(life.has("large", 40_000).await);
    }
    while life.used() + 3 * SEGMENT <= BUDGET {
        life.keep(&format!("filler {}", life.store.stats().bytes_written), 15_000).await;
        life.runtime.sleep(Duration::from_millis(5)).await;
    }
    if victim == Victim::Shared {
        assert!(life.store.contains(&key("leased")).is_some(), "vouched for");
    }
}

/// From there until a segment is gone, or was promoted, and the keeper has nothing more to do.
async fn reclaim(life: &Life, victim: Victim) {
    let before = life.store.stats();
    if victim == Victim::Overwritten {
        life.keep("large", 100).await;
    }
    for at in 0.. {
        let now = life.store.stats();
        if now.evictions > before.evictions && (victim != Victim::UsedSolo || now.promotions > before.promotions) {
            break;
        }
        life.keep(&format!("more {at}"), 4000).await;
        life.runtime.sleep(Duration::from_millis(2)).await;
    }
    life.runtime.sleep(Duration::from_millis(20)).await;
}

fn prepared(victim: Victim) -> (Machine, Life) {
    let mut machine = Machine::new(1);
    // So long that only a vouch within these hours counts; the fillers were never vouched for.
    machine.settings.lease = Duration::from_secs(3 * 3600);
    let life = machine.live(|life| async move {
        prepare(&life, victim).await;
        life
    });
    (machine, life)
}

/// Disk operations from the moment before the victim is chosen until it is gone.
fn window(victim: Victim) -> u64 {
    let (mut machine, life) = prepared(victim);
    let before = machine.world.operations();
    machine.world.block_on(reclaim(&life, victim));
    machine.world.operations() - before
}

/// Every file is a segment, every index entry leads to a record, files and ledger agree, and it goes on like that.
async fn nothing_is_stranded(life: Life, victim: Victim) -> u64 {
    // At once: after an unclean stop everything counts as vouched for, and then no lease is safe where the ring is full.
    if victim == Victim::Shared {
        assert!(life.has("leased", 700).await, "what was vouched for is there at every moment");
    }
    if victim == Victim::UsedSolo {
        assert!(life.has("large", 40_000).await, "what is promoted is there at every moment");
    }
    life.wait(2).await;
    life.check(BUDGET);
    let beside: Vec<String> = life.disk.paths().into_iter().filter(|path| !path.starts_with("segments/")).collect();
    assert!(beside.iter().all(|path| ["STORE", "heat", "kura.lock"].contains(&path.as_str())), "{beside:?}");
    assert_eq!(readable(&life).await, life.store.stats().index_entries, "every index entry leads to its record");
    let swept = life.store.stats().swept;
    life.fill(2).await;
    life.wait(2).await;
    life.check(BUDGET);
    swept
}

/// Artifacts that can be read, of all that any of these tests puts.
async fn readable(life: &Life) -> u64 {
    let mut names = BTreeSet::new();
    for path in life.disk.paths().iter().filter(|path| path.starts_with("segments/") && !path.contains("tmp-")) {
        let heads = bytes_on_disk::heads(&life.disk, path);
        names.extend(heads.into_iter().map(|found| String::from_utf8(found.head.key.key().to_vec()).unwrap()));
    }
    let mut there = 0;
    for name in names {
        there += u64::from(life.get(&name).await.is_some());
    }
    there
}

#[test]
fn sweep_orphaned_segments_reclaims_crash_window_segment_and_metadata() {
    let mut swept = 0;
    for victim in [Victim::Shared, Victim::UsedSolo, Victim::UnusedSolo, Victim::Overwritten] {
        let operations = window(victim);
        assert!(operations > 5, "{victim:?}: only {operations} operations");
        for died_after in 0..operations {
            for crash in CRASHES {
                let (mut machine, life) = prepared(victim);
                let done = machine.world.block_on_for(died_after, reclaim(&life, victim));
                assert!(done.is_none(), "{victim:?}: it dies in the middle");
                drop(life);
                machine.crash(crash);
                swept += machine.live(|life| async move { nothing_is_stranded(life, victim).await });
                assert!(machine.disk().take_peak() <= BUDGET, "{victim:?} died after {died_after}, {crash:?}");
            }
        }
    }
    assert!(swept > 0, "some of these crashes leave something to sweep");
}

#[test]
fn failed_sweep_warns_and_does_not_block_start() {
    let failures = [
        (Operation::List, "segments"),
        (Operation::List, ""),
        (Operation::Unlink, "segments/tmp-"),
        (Operation::Unlink, "00aa.seg"),
        (Operation::SyncDirectory, "segments"),
    ];
    for (operation, path) in failures {
        let mut machine = with_artifacts();
        let disk = machine.disk();
        let leftovers = ["segments/tmp-00000000000000cc.seg".to_owned(), segment(0xaa)];
        leftovers.iter().for_each(|path| disk.plant(path, &[0xab; 9000]));
        // The second sync of that directory is that of an unlink.
        let after = u64::from(operation == Operation::SyncDirectory);
        machine.fail(Rule { operation: Some(operation), path, after, times: 1, errno: EIO });
        let log = captured(|| {
            machine.live(|life| async move {
                assert!(has_artifacts(&life).await);
                assert!(life.disk.allocated() <= life.used(), "what is left is on the ledger");
                life.keep("later", 400).await;
            });
        });
        assert!(log.contains("WARN"), "{operation:?} of {path:?}: {log}");
        machine.crash(Crash::Process);
        machine.live(|life| async move {
            assert!(has_artifacts(&life).await && life.has("later", 400).await);
            life.wait(2).await;
            life.check(BUDGET);
        });
        let left = names(&disk);
        assert!(leftovers.iter().all(|path| !left.contains(path)), "the next start removes it: {left:?}");
    }
}

#[test]
fn the_lock_is_free_after_a_start_that_failed() {
    let mut machine = with_artifacts();
    machine.fail(Rule { operation: Some(Operation::List), path: "segments", after: 1, times: 1, errno: EIO });
    assert!(machine.open().is_err(), "without a listing there is no ring");
    machine.live(|life| async move { assert!(has_artifacts(&life).await) });
    let disk = machine.disk();
    machine.world.block_on(async move { assert!(disk.lock("kura.lock").await.is_err(), "it is held now") });
}

#[test]
fn a_stray_of_the_highest_number_is_swept_and_costs_no_number() {
    let mut machine = with_artifacts();
    machine.disk().plant(&segment(u64::MAX), &[0xab; 9000]);
    machine.live(|life| async move {
        assert_eq!(life.store.stats().swept, 1);
        life.fill(3).await;
        life.keep("shared", 400).await;
    });
    machine.crash(Crash::Process);
    machine.live(|life| async move { assert!(life.has("shared", 400).await) });
}
