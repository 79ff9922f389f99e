//! The scrubber: what is damaged at rest is found without a read, at a pace, over restarts, and in nobody's way.

use std::sync::Arc;
use std::time::Duration;

use kura_disk::Runtime;
use kura_disk::sim::{Crash, Operation, Rule, SimDisk};
use kura_store::{Durability, Stats, Store};

use crate::calls;
use crate::machine::{Machine, captured, fill, put, put_to};
use crate::model::key;

const EIO: i32 = 5;
const SEGMENT: u64 = 64 << 10;

/// So much a second that only the rests between reads are left.
const FAST: u64 = 1 << 40;

const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);
const A_MINUTE: Duration = Duration::from_secs(60);

/// With a pass a minute.
fn machine(rate: u64) -> Machine {
    let mut machine = Machine::new(Durability::Always, None);
    machine.settings.scrub_rate = rate;
    machine.settings.scrub_interval = A_MINUTE;
    machine
}

/// Waits until the scrubber has ended so many passes.
async fn passes(store: &Store, runtime: &Arc<dyn Runtime>, count: u64) -> Stats {
    while store.stats().scrub_passes < count {
        runtime.sleep(Duration::from_secs(1)).await;
    }
    store.stats()
}

/// The file in which `needle` stands, and the byte where it starts.
fn find(disk: &SimDisk, needle: &[u8]) -> (String, u64) {
    let place = |path: String| {
        let content = disk.content(&path)?;
        let at = content.windows(needle.len()).position(|window| window == needle)?;
        Some((path, at as u64))
    };
    disk.paths().into_iter().find_map(place).expect("it was written")
}

#[test]
fn a_flipped_bit_at_rest_is_found_without_a_read() {
    for length in [100, 3000, 50_000] {
        let places: [(&str, i64); 3] = [("body", 50), ("head", -100), ("trailer", (length + 60) as i64)];
        for (part, from_body) in places {
            let mut machine = machine(FAST);
            let disk = machine.world.disk();
            let log = captured(|| {
                machine.live(|store, runtime| async move {
                    put_to(&store, &key(0, 0), 0xd5, length).await;
                    put(&store, 1, 100).await;
                    let (path, body) = find(&disk, &[0xd5; 64]);
                    disk.flip(&path, body.strict_add_signed(from_body) * 8);
                    let stats = passes(&store, &runtime, 1).await;
                    assert_eq!((stats.scrub_damaged, stats.damaged), (1, 1), "{length}, {part}");
                    assert!(store.contains(&key(0, 0)).is_none(), "a miss: {length}, {part}");
                    assert!(store.contains(&key(0, 1)).is_some(), "its neighbour is there");
                });
            });
            assert!(log.contains("a record is damaged") && log.contains("in segment 0"), "{log}");
        }
    }
}

#[test]
fn what_the_device_cannot_read_any_more_is_found_too() {
    let mut machine = machine(FAST);
    let disk = machine.world.disk();
    machine.live(|store, runtime| async move {
        put(&store, 0, 100).await;
        disk.faults(|faults| {
            faults.fail(Rule { operation: Some(Operation::Read), path: "segments/", after: 0, times: 999, errno: EIO });
        });
        let stats = loop {
            // What the page cache has is sound; the device is asked soon enough.
            let so_far = store.stats().scrub_passes;
            let stats = passes(&store, &runtime, so_far + 1).await;
            if stats.scrub_damaged > 0 {
                break stats;
            }
        };
        assert_eq!((stats.scrub_damaged, stats.damaged), (1, 1));
    });
}

#[test]
fn a_damaged_tombstone_is_reported_and_stays_in_force() {
    let mut machine = machine(FAST);
    let disk = machine.world.disk();
    machine.live(|store, runtime| async move {
        put_to(&store, &key(0, 0), 0xd5, 100).await;
        store.delete(&key(0, 0)).await.expect("room");
        let (path, body) = find(&disk, &[0xd5; 64]);
        // Its record follows that of what it ended: 128 bytes on, and there the second line of the head.
        let content = disk.content(&path).expect("a file");
        let tombstone = (body as usize..).step_by(4).find(|at| content[*at..].starts_with(b"KREC")).expect("a head");
        disk.flip(&path, (tombstone as u64 + 30) * 8);
        let stats = passes(&store, &runtime, 1).await;
        assert_eq!((stats.scrub_damaged, stats.damaged), (1, 0));
        assert_eq!(stats.index_entries, 1, "it is still in the index");
        assert!(store.contains(&key(0, 0)).is_none());
    });
}

#[test]
fn it_reads_no_faster_than_its_rate_and_comes_to_an_end() {
    const RATE: u64 = 4096;
    let mut machine = machine(RATE);
    machine.live(|store, runtime| async move {
        for at in 0..50 {
            put(&store, at, 4000).await;
        }
        // The pass of an empty store is over: the first one that finds something begins a minute later.
        runtime.sleep(A_MINUTE).await;
        for seconds in 1..=30 {
            let read = store.stats().scrub_bytes;
            assert!(read <= RATE * seconds + SEGMENT, "{read} bytes in {seconds} seconds");
            runtime.sleep(Duration::from_secs(1)).await;
        }
        let stats = passes(&store, &runtime, 1).await;
        assert!(stats.scrub_bytes >= stats.live_bytes, "it has read everything");
        assert_eq!((stats.scrub_left_bytes, stats.scrub_damaged), (0, 0));
    });
}

#[test]
fn a_pass_begins_a_day_after_the_one_before_and_no_earlier() {
    let mut machine = Machine::new(Durability::Always, None);
    machine.settings.scrub_rate = FAST;
    machine.live(|store, runtime| async move {
        put(&store, 0, 100).await;
        runtime.sleep(A_DAY + A_MINUTE).await;
        let first = store.stats();
        assert_eq!(first.scrub_passes, 1);
        runtime.sleep(A_DAY - 2 * A_MINUTE).await;
        assert_eq!(store.stats().scrub_bytes, first.scrub_bytes, "nothing is read between passes");
        runtime.sleep(3 * A_MINUTE).await;
        assert_eq!(store.stats().scrub_passes, 2);
    });
}

/// Fills a store, and lets the scrubber come about half way in a life that ends so. Returns what it read, and what it reads in the next life.
fn read_in_two_lives(end: Option<Crash>) -> (u64, u64) {
    const RATE: u64 = 4096;
    let mut machine = machine(RATE);
    machine.settings.scrub_interval = Duration::ZERO;
    machine.settings.heat_interval = Duration::from_secs(1);
    let first = machine.live(|store, runtime| async move {
        for at in 0..90 {
            put(&store, at, 4000).await;
        }
        let begun = store.stats();
        let one_pass = begun.live_bytes / RATE;
        while store.stats().scrub_left_bytes > begun.live_bytes / 2 || store.stats().scrub_passes <= begun.scrub_passes
        {
            runtime.sleep(Duration::from_secs(one_pass / 20)).await;
        }
        let stats = store.stats();
        if end.is_none() {
            store.shutdown().await.expect("a clean stop");
        }
        stats.live_bytes - stats.scrub_left_bytes
    });
    machine.world.crash(end.unwrap_or(Crash::Process));
    let second = machine.live(|store, runtime| async move { passes(&store, &runtime, 1).await.scrub_bytes });
    (first, second)
}

#[test]
fn a_restart_goes_on_where_the_scrubber_was() {
    for end in [None, Some(Crash::Process)] {
        let (first, second) = read_in_two_lives(end);
        assert!(first > 2 * SEGMENT, "{first}: it had come some way");
        let all = 90 * 4300;
        assert!(second < all - first + 2 * SEGMENT, "{end:?}: {first} of {all}, then {second}");
    }
}

#[test]
fn nothing_that_is_evicted_waits_for_the_scrubber() {
    // A mebibyte in a week: it rests for hours in the middle of a segment.
    let mut machine = machine(1);
    machine.settings.scrub_interval = Duration::ZERO;
    machine.live(|store, runtime| async move {
        put(&store, 0, 4000).await;
        runtime.sleep(Duration::from_secs(5)).await;
        for _ in 0..20 {
            fill(&store, &runtime).await;
        }
        let stats = store.stats();
        let unlinked = stats.used.iter().find(|(category, _)| *category == "unlinked").expect("a category");
        assert_eq!((unlinked.1, stats.scrub_damaged), (0, 0));
    });
}

#[test]
fn at_a_rate_of_zero_there_is_none() {
    let mut machine = machine(0);
    let disk = machine.world.disk();
    machine.live(|store, runtime| async move {
        put(&store, 0, 100).await;
        runtime.sleep(3 * A_DAY).await;
        assert_eq!(store.stats().scrub_bytes, 0);
        store.shutdown().await.expect("a clean stop");
    });
    assert!(!disk.paths().contains(&"scrub".to_owned()));
}

#[test]
fn progress_that_is_damaged_or_anothers_is_none() {
    let mut other = machine(FAST);
    let theirs = other.world.disk();
    other.live(|store, _| async move { store.shutdown().await.expect("a clean stop") });
    for bytes in [vec![], vec![7; 64], theirs.content("scrub").expect("it was saved")] {
        let mut machine = machine(FAST);
        let disk = machine.world.disk();
        machine.live(|store, _| async move {
            put(&store, 0, 100).await;
            store.shutdown().await.expect("a clean stop");
        });
        disk.plant("scrub", &bytes);
        machine.live(|store, runtime| async move {
            assert_eq!(passes(&store, &runtime, 1).await.scrub_damaged, 0);
            assert!(calls::get(&store, &key(0, 0)).await.expect("a read").is_some());
        });
    }
}
