//! A stopped directory, looked at from outside: what is sound is called sound, damage is named with its place, and a repair drops that and nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kura_disk::sim::{Crash, Operation, Rule, SimDisk, World};
use kura_disk::{Disk, Runtime};
use kura_store::stopped::{Depth, Examined, Seen, SegmentFile, State, Stopped};
use kura_store::{Durability, Error, Store};

use crate::calls;
use crate::machine::{BLACKOUT, Machine, fill, put, put_to};
use crate::model::key;

const BLOCK: u32 = 4096;

fn machine() -> Machine {
    Machine::new(Durability::Always, None)
}

async fn open(world_disk: &Arc<SimDisk>, runtime: &Arc<dyn Runtime>) -> Result<Stopped, Error> {
    let disk = Arc::clone(world_disk) as Arc<dyn Disk>;
    Stopped::open_with_block(disk, Arc::clone(runtime), BLOCK).await
}

/// What an examination of everything finds: a line for each damaged place, and the segments.
async fn examine(stopped: &Stopped) -> (Vec<String>, Vec<(SegmentFile, Examined)>) {
    let (mut damage, mut segments) = (Vec::new(), Vec::new());
    for segment in stopped.contents().await.expect("a list").segments {
        let mut see = |seen: Seen<'_>| {
            if let Seen::Damaged(at, what) = seen {
                damage.push(format!("{}@{at}: {what}", segment.number));
            }
        };
        let examined = stopped.examine(&segment, Depth::Bodies, &mut see).await.expect("a known format");
        segments.push((segment, examined));
    }
    (damage, segments)
}

fn damage(machine: &mut Machine) -> Vec<String> {
    let (disk, runtime) = (machine.world.disk(), machine.world.runtime());
    machine.world.block_on(async move { examine(&open(&disk, &runtime).await.expect("stopped")).await.0 })
}

/// Repairs whatever is damaged; returns how many records were dropped.
async fn repair(disk: &Arc<SimDisk>, runtime: &Arc<dyn Runtime>) -> u64 {
    let mut stopped = open(disk, runtime).await.expect("stopped");
    if !stopped.store_file_is_whole() {
        stopped.mend_store_file().await.expect("room");
    }
    let mut dropped = 0;
    for (segment, examined) in examine(&stopped).await.1 {
        if examined.damaged > 0 {
            dropped += stopped.repair(&segment, &examined).await.expect("room");
        }
    }
    dropped
}

/// A store with a full, sealed segment of 4000-byte bodies under keys from 0 on, one large body of its own under `LARGE`, and a segment that is
/// still written, in which `LAST` lies. Cleanly stopped.
fn filled() -> Machine {
    let mut machine = machine();
    machine.live(|store, runtime| async move {
        for at in 0..20 {
            put_to(&store, &key(0, at), 100 + at as u8, 4000).await;
        }
        put_to(&store, &key(0, LARGE), 201, 50_000).await;
        put_to(&store, &key(0, LAST), 202, 100).await;
        runtime.sleep(Duration::from_secs(1)).await;
        store.shutdown().await.expect("a clean stop");
    });
    machine.world.crash(Crash::Process);
    machine
}

const LARGE: usize = 50;
const LAST: usize = 51;

/// Where the body of a `filled` artifact starts.
fn body_of(disk: &SimDisk, byte: u8) -> (String, u64) {
    let place = |path: String| {
        let content = disk.content(&path)?;
        let at = content.windows(64).position(|window| window == [byte; 64])?;
        Some((path, at as u64))
    };
    disk.paths().into_iter().find_map(place).expect("it was written")
}

fn files(disk: &SimDisk) -> BTreeMap<String, Vec<u8>> {
    disk.paths().into_iter().map(|path| (path.clone(), disk.content(&path).expect("a file"))).collect()
}

async fn there(store: &Store, at: usize) -> bool {
    calls::get(store, &key(0, at)).await.expect("a read").is_some()
}

#[test]
fn what_histories_leave_is_sound_wherever_the_process_is_killed() {
    for seed in 0..40 {
        let mut machine = Machine::with_seed(seed, Durability::Always, None);
        let (disk, runtime, settings) = (machine.world.disk(), machine.world.runtime(), machine.settings.clone());
        machine.world.block_on_for(100 + seed * 40, async move {
            let store = calls::open(&disk, &runtime, settings).await.expect("it opens");
            for at in 0.. {
                let length = [50, 4000, 30_000][at % 3];
                calls::put(&store, &key(0, at % 40), &vec![7; length].into(), at % 2 == 0, 4096).await.expect("room");
            }
        });
        machine.world.crash(Crash::Process);
        let before = files(&machine.world.disk());
        let found = if before.contains_key("STORE") { damage(&mut machine) } else { Vec::new() };
        assert_eq!(found, Vec::<String>::new(), "seed {seed}");
        assert_eq!(files(&machine.world.disk()), before, "seed {seed}: nothing was changed");
    }
}

#[test]
fn segments_are_told_apart_and_their_records_counted() {
    let mut machine = filled();
    let (disk, runtime) = (machine.world.disk(), machine.world.runtime());
    let segments =
        machine.world.block_on(async move { examine(&open(&disk, &runtime).await.expect("stopped")).await.1 });
    let sealed = segments.iter().filter(|(_, examined)| examined.state == State::Sealed).count();
    let artifacts: u64 = segments.iter().map(|(_, examined)| examined.artifacts).sum();
    assert_eq!((sealed, artifacts), (2, 22));
    assert!(segments.is_sorted_by_key(|(segment, _)| segment.number), "oldest first");
}

#[test]
fn a_flipped_bit_anywhere_in_a_record_is_named_with_segment_and_offset() {
    for (byte, length) in [(103, 4000), (201, 50_000), (202, 100)] {
        let parts: [(i64, &str); 3] =
            [(50, "a block's checksum"), (-100, "the head of a record"), (length + 60, "the trailer of a record")];
        for (from_body, what) in parts {
            let mut machine = filled();
            let disk = machine.world.disk();
            let (path, body) = body_of(&disk, byte);
            disk.flip(&path, body.strict_add_signed(from_body) * 8);
            let number = path.trim_start_matches("segments/").trim_end_matches(".seg");
            let found = damage(&mut machine);
            // In a segment that is still written nobody knows that there was more than an upload that broke off.
            let is_told = byte != 202 || from_body == 50;
            assert_eq!(found.len(), usize::from(is_told), "{byte}, {what}: {found:?}");
            assert!(found.iter().all(|line| line.starts_with(number) && line.ends_with(what)), "{found:?}");
        }
    }
}

#[test]
fn a_header_a_footer_and_a_copy_of_the_store_file_are_checked_too() {
    for (what, is_at_the_end) in [("the header of the segment", false), ("the footer", true)] {
        let mut machine = filled();
        let disk = machine.world.disk();
        let (path, _) = body_of(&disk, 103);
        let length = disk.content(&path).expect("a file").len() as u64;
        disk.flip(&path, if is_at_the_end { length - 20 } else { 20 } * 8);
        let found = damage(&mut machine);
        assert!(found.len() == 1 && found[0].ends_with(what), "{found:?}");
        let runtime = machine.world.runtime();
        let dropped = machine.world.block_on(async move { repair(&disk, &runtime).await });
        assert_eq!((dropped, damage(&mut machine)), (0, vec![]), "{what}");
    }
    let mut machine = filled();
    let (disk, runtime) = (machine.world.disk(), machine.world.runtime());
    disk.flip("STORE", 30 * 8);
    machine.world.block_on(async move {
        assert!(!open(&disk, &runtime).await.expect("one copy is enough").store_file_is_whole());
        repair(&disk, &runtime).await;
        assert!(open(&disk, &runtime).await.expect("stopped").store_file_is_whole());
    });
}

#[test]
fn a_repair_drops_the_damaged_and_nothing_else() {
    let mut machine = filled();
    let (disk, runtime) = (machine.world.disk(), machine.world.runtime());
    for (byte, from_body) in [(103, 50), (104, -100), (105, 4060), (201, 50), (202, 50)] {
        let (path, body) = body_of(&disk, byte);
        disk.flip(&path, body.strict_add_signed(from_body) * 8);
    }
    machine.world.block_on(async move { repair(&disk, &runtime).await });
    assert_eq!(damage(&mut machine), Vec::<String>::new());
    machine.live(|store, _| async move {
        for at in 0..20 {
            assert_eq!(there(&store, at).await, !(3..6).contains(&at), "{at}");
        }
        assert!(!there(&store, LARGE).await && !there(&store, LAST).await);
        assert_eq!(store.stats().damaged, 0, "nothing damaged is met any more");
        // It can be stored again.
        put(&store, 3, 4000).await;
        assert!(there(&store, 3).await);
    });
}

#[test]
fn a_repair_drops_nothing_that_was_not_named_though_the_device_errs_meanwhile() {
    for after in 0..60 {
        let mut machine = filled();
        let (disk, runtime) = (machine.world.disk(), machine.world.runtime());
        let (path, body) = body_of(&disk, 103);
        disk.flip(&path, (body + 50) * 8);
        let errs = Arc::clone(&disk);
        machine.world.block_on(async move {
            let stopped = open(&disk, &runtime).await.expect("stopped");
            for (segment, examined) in examine(&stopped).await.1.iter().filter(|(_, examined)| examined.damaged > 0) {
                let rule = Rule { operation: Some(Operation::Read), path: "segments/", after, times: 3, errno: 5 };
                errs.faults(|faults| faults.fail(rule));
                // Refused or not: what it does is what was asked for.
                let _ = stopped.repair(segment, examined).await;
                errs.faults(kura_disk::sim::Faults::heal);
            }
        });
        machine.live(|store, _| async move {
            for at in (0..20).filter(|at| *at != 3) {
                assert!(there(&store, at).await, "{at}, errors after {after} reads");
            }
        });
    }
}

/// A store in which the newer of two artifacts of a key is damaged, in a sealed segment, while the older lies in another.
fn with_an_older_one_below() -> Machine {
    let mut machine = machine();
    machine.live(|store, runtime| async move {
        put_to(&store, &key(0, 0), 1, 4000).await;
        for at in 1..20 {
            put_to(&store, &key(0, at), 100, 4000).await;
        }
        put_to(&store, &key(0, 0), 2, 4000).await;
        for at in 20..40 {
            put_to(&store, &key(0, at), 100, 4000).await;
        }
        runtime.sleep(Duration::from_secs(1)).await;
        store.shutdown().await.expect("a clean stop");
    });
    machine.world.crash(Crash::Process);
    let disk = machine.world.disk();
    // Nothing waits for a footer to be durable; here each is, so that what is lost is lost by the repair.
    files(&disk).iter().for_each(|(path, bytes)| disk.plant(path, bytes));
    let (path, body) = body_of(&disk, 2);
    disk.flip(&path, (body + 50) * 8);
    machine
}

#[test]
fn what_a_dropped_record_had_replaced_does_not_come_back() {
    let mut machine = with_an_older_one_below();
    let (disk, runtime) = (machine.world.disk(), machine.world.runtime());
    assert_eq!(machine.world.block_on(async move { repair(&disk, &runtime).await }), 1);
    for _ in 0..3 {
        machine.live(|store, runtime| async move {
            assert!(!there(&store, 0).await, "the older one is back");
            fill(&store, &runtime).await;
            assert!(!there(&store, 0).await, "the older one is back");
            store.shutdown().await.expect("a clean stop");
        });
        machine.world.crash(Crash::Process);
    }
}

#[test]
fn a_repair_may_be_killed_at_any_point() {
    for crash in [Crash::Process, Crash::Power, BLACKOUT] {
        for operations in 1.. {
            let mut machine = with_an_older_one_below();
            let (disk, runtime) = (machine.world.disk(), machine.world.runtime());
            let ended = machine.world.block_on_for(operations, async move { repair(&disk, &runtime).await }).is_some();
            machine.world.crash(crash);
            if ended {
                assert_eq!(damage(&mut machine), Vec::<String>::new(), "{crash:?}: it said that it was done");
            }
            machine.live(|store, _| async move {
                assert!(!there(&store, 0).await, "{crash:?} after {operations}: the older one is back");
                for at in 1..40 {
                    assert!(there(&store, at).await, "{crash:?} after {operations}: {at} is gone");
                }
            });
            if ended {
                assert!(operations > 20, "it was killed on the way");
                break;
            }
        }
    }
}

#[test]
fn a_damaged_tombstone_is_written_anew() {
    let mut machine = machine();
    machine.live(|store, runtime| async move {
        put_to(&store, &key(0, 0), 1, 4000).await;
        for at in 1..20 {
            put_to(&store, &key(0, at), 100, 4000).await;
        }
        store.delete(&key(0, 0)).await.expect("room");
        store.clean(&crate::model::namespace(1)).await.expect("room");
        for at in 20..40 {
            put_to(&store, &key(0, at), 100, 4000).await;
        }
        runtime.sleep(Duration::from_secs(1)).await;
        store.shutdown().await.expect("a clean stop");
    });
    machine.world.crash(Crash::Process);
    let (disk, runtime) = (machine.world.disk(), machine.world.runtime());
    let mut flipped = 0;
    for path in disk.paths().into_iter().filter(|path| path.starts_with("segments/")) {
        let content = disk.content(&path).expect("a file");
        for at in (0..content.len()).step_by(64).filter(|at| content[*at..].starts_with(b"KREC") && content[at + 4] > 0)
        {
            disk.flip(&path, (at as u64 + 30) * 8);
            flipped += 1;
        }
    }
    assert_eq!((flipped, damage(&mut machine).len()), (2, 2));
    assert_eq!(machine.world.block_on(async move { repair(&disk, &runtime).await }), 2);
    assert_eq!(damage(&mut machine), Vec::<String>::new());
    machine.live(|store, _| async move { assert!(!there(&store, 0).await, "it is still deleted") });
}

#[test]
fn a_directory_in_use_or_without_a_store_is_refused_and_left_as_it_is() {
    let mut machine = filled();
    let disk = machine.world.disk();
    machine.live(|_, runtime| async move {
        assert!(matches!(open(&disk, &runtime).await.err(), Some(Error::Locked { .. })));
    });
    let mut world = World::new(1);
    let (disk, runtime) = (world.disk(), world.runtime());
    let opened = world.block_on(async move { open(&disk, &runtime).await.err() });
    assert!(matches!(opened, Some(Error::NoStore)), "{opened:?}");
    assert_eq!(world.disk().paths(), Vec::<String>::new());
}

#[test]
fn leftovers_strays_and_segments_of_others_are_named() {
    let mut machine = filled();
    let (disk, runtime) = (machine.world.disk(), machine.world.runtime());
    let mut other = Machine::with_seed(9, Durability::Always, None);
    other.live(|store, _| async move { put(&store, 0, 100).await });
    let others = other.world.disk();
    let theirs = others.paths().into_iter().find(|path| path.ends_with(".seg")).expect("a segment");
    disk.plant("segments/0000000000000001.seg", &others.content(&theirs).expect("a file"));
    disk.plant("segments/tmp-0000000000000002.seg", b"half");
    disk.plant("notes.txt", b"mine");
    machine.world.block_on(async move {
        let stopped = open(&disk, &runtime).await.expect("stopped");
        let contents = stopped.contents().await.expect("a list");
        assert_eq!(contents.leftovers, ["segments/tmp-0000000000000002.seg"]);
        assert_eq!(contents.strays, ["notes.txt"]);
        let (damage, segments) = examine(&stopped).await;
        assert_eq!(segments[0].1.state, State::Foreign("a segment of another store"));
        assert_eq!(damage, Vec::<String>::new());
    });
}
