//! What the store never does, and what it does where the machine sets limits: filesystems without allocation, syncs that fail, leases that cannot be kept.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use kura_disk::sim::{Crash, Operation, Rule, SimDisk};
use kura_store::key::Attributes;
use kura_store::types::Encoding;
use kura_store::{Commit, Durability, Error, PutRequest, Store};

use crate::calls;
use crate::machine::{BUDGET, Machine, captured, fill, put};
use crate::model::key;

const EIO: i32 = 5;
const SEGMENT: usize = 64 << 10;

fn machine() -> Machine {
    Machine::new(Durability::Always, None)
}

fn used(store: &Store) -> u64 {
    store.stats().used.iter().map(|(_, bytes)| bytes).sum()
}

async fn holds(store: &Store, at: usize, length: usize) -> bool {
    calls::get(store, &key(0, at)).await.expect("a read").is_some_and(|body| body.len() == length)
}

#[test]
fn oversized_artifact_never_exceeds_its_segment() {
    let mut machine = machine();
    let disk = machine.world.disk();
    machine.live(|store, _| async move {
        let largest = usize::try_from(store.max_artifact_size()).unwrap();
        for (at, length) in [SEGMENT / 4 + 1, SEGMENT, SEGMENT + 1, largest].into_iter().enumerate() {
            for known in [true, false] {
                let request = PutRequest {
                    key: key(0, at),
                    attributes: Attributes::default(),
                    encoding: Encoding::Identity,
                    length: known.then_some(length as u64),
                };
                let mut upload = store.put(request).await.expect("room");
                for piece in Bytes::from(vec![3; length]).chunks(5000) {
                    upload.write(Bytes::copy_from_slice(piece)).await.expect("a write");
                    // The simulation refuses a write behind what is allocated only where space ends: so look.
                    assert!(disk.allocated() <= used(&store), "{length} bytes, known: {known}");
                }
                upload.commit(Commit::default()).await.expect("a commit");
                assert!(disk.allocated() <= used(&store) && used(&store) <= BUDGET);
                assert!(holds(&store, at, length).await, "{length} bytes, known: {known}");
            }
        }
        let request = PutRequest {
            key: key(0, 0),
            attributes: Attributes::default(),
            encoding: Encoding::Identity,
            length: Some(largest as u64 + 1),
        };
        assert!(matches!(store.put(request).await, Err(Error::TooLarge { .. })));
    });
    assert!(machine.world.disk().take_peak() <= BUDGET);
}

/// Every segment file and its content.
fn segments(disk: &SimDisk) -> HashMap<String, Vec<u8>> {
    let paths = disk.paths().into_iter().filter(|path| path.starts_with("segments/") && !path.contains("tmp-"));
    paths.map(|path| (path.clone(), disk.content(&path).unwrap())).collect()
}

/// Whether `after` is `before` with something written where nothing was.
fn only_grew(before: &[u8], after: &[u8]) -> bool {
    before.len() == after.len() && before.iter().zip(after).all(|(old, new)| *old == 0 || old == new)
}

#[test]
fn segments_are_reclaimed_only_by_unlink() {
    let mut machine = machine();
    let disk = machine.world.disk();
    machine.live(|store, runtime| async move {
        let mut before = segments(&disk);
        let mut random = fastrand::Rng::with_seed(1);
        for round in 0..600 {
            let length = *random.choice(&[100, 3000, 9000, 30_000]).unwrap();
            put(&store, random.usize(0..60), length).await;
            let evictions = store.stats().evictions;
            runtime.sleep(Duration::from_millis(1)).await;
            let after = segments(&disk);
            let gone = before.iter().filter(|(path, content)| match after.get(*path) {
                Some(now) => {
                    assert!(only_grew(content, now), "{path} was rewritten or cut in round {round}");
                    false
                }
                // A renamed one is the same file.
                None => !after.values().any(|now| only_grew(content, now)),
            });
            let gone = gone.count() as u64;
            assert!(gone <= store.stats().evictions, "{gone} gone, {evictions} evicted");
            before = after;
        }
        assert!(store.stats().evictions > 20);
    });
}

#[test]
fn a_filesystem_that_cannot_allocate_is_written_out_and_said_so_once() {
    let mut machine = machine();
    let disk = machine.world.disk();
    disk.faults(|faults| faults.no_allocation = true);
    let log = captured(|| {
        machine.live(|store, runtime| async move {
            fill(&store, &runtime).await;
            put(&store, 0, 40_000).await;
            assert!(holds(&store, 0, 40_000).await);
        });
    });
    assert_eq!(log.matches("cannot allocate").count(), 1, "{log}");
    assert!(machine.world.disk().take_peak() <= BUDGET);
}

fn failing_sync(times: u64) -> Rule {
    Rule { operation: Some(Operation::Sync), path: "segments/", after: 0, times, errno: EIO }
}

async fn try_put(store: &Store, at: usize) -> Result<(), Error> {
    calls::put(store, &key(0, at), &Bytes::from(vec![7; 100]), true, 4096).await
}

#[test]
fn a_failed_sync_fails_who_waited_and_the_store_goes_on_in_a_new_segment() {
    let mut machine = machine();
    let disk = machine.world.disk();
    machine.live(|store, runtime| async move {
        put(&store, 0, 100).await;
        runtime.sleep(Duration::from_secs(1)).await;
        disk.faults(|faults| faults.fail(failing_sync(1)));
        assert!(matches!(try_put(&store, 1).await, Err(Error::Io { .. })));
        put(&store, 2, 100).await;
        assert_eq!((store.stats().failed_segments, store.stats().read_only), (1, false));
        assert!(holds(&store, 0, 100).await && holds(&store, 2, 100).await && !holds(&store, 1, 100).await);
    });
    machine.world.crash(Crash::Power);
    machine.live(|store, _| async move { assert!(holds(&store, 0, 100).await && holds(&store, 2, 100).await) });
}

#[test]
fn after_two_failed_syncs_in_a_row_reads_are_served_and_writes_are_refused() {
    let mut machine = machine();
    let disk = machine.world.disk();
    let log = captured(|| {
        machine.live(|store, runtime| async move {
            put(&store, 0, 100).await;
            runtime.sleep(Duration::from_secs(1)).await;
            disk.faults(|faults| faults.fail(failing_sync(u64::MAX)));
            assert!(try_put(&store, 1).await.is_err() && try_put(&store, 2).await.is_err());
            assert!(store.stats().read_only);
            assert!(matches!(try_put(&store, 3).await, Err(Error::ReadOnly)));
            assert!(holds(&store, 0, 100).await);
        });
    });
    assert!(log.contains("reads only from here on"), "{log}");
}

#[test]
fn what_was_vouched_for_stays_until_its_lease_ends() {
    for (waited, stays) in [(Duration::from_secs(3600), true), (Duration::from_secs(4 * 3600), false)] {
        let mut machine = machine();
        machine.live(|store, runtime| async move {
            put(&store, 0, 100).await;
            // A question about presence, not a use.
            assert!(store.contains(&key(0, 0)).is_some());
            runtime.sleep(waited).await;
            fill(&store, &runtime).await;
            assert_eq!(store.contains(&key(0, 0)).is_some(), stays, "after {waited:?}");
            assert_eq!(store.stats().lost_leases, 0);
        });
    }
}

#[test]
fn a_lease_that_cannot_be_kept_is_counted_with_the_shed_age() {
    let mut machine = machine();
    machine.live(|store, runtime| async move {
        for at in 0..400 {
            put(&store, at, 4000).await;
            assert!(store.contains(&key(0, at)).is_some(), "it is vouched for");
            runtime.sleep(Duration::from_millis(10)).await;
        }
        let stats = store.stats();
        assert!(stats.lost_leases > 0 && stats.shed_age > Duration::ZERO, "{stats:?}");
        assert!(holds(&store, 399, 4000).await);
    });
}

#[test]
fn a_used_solo_is_promoted_and_moves_no_bytes() {
    let mut machine = machine();
    machine.settings.lease = Duration::ZERO;
    machine.live(|store, runtime| async move {
        put(&store, 0, 50_000).await;
        assert!(holds(&store, 0, 50_000).await, "a use");
        runtime.sleep(Duration::from_secs(120)).await;
        fill(&store, &runtime).await;
        fill(&store, &runtime).await;
        assert!(store.stats().promotions > 0);
        assert!(holds(&store, 0, 50_000).await);
    });
    machine.world.crash(Crash::Power);
    machine.live(|store, _| async move { assert!(holds(&store, 0, 50_000).await) });
}

#[test]
fn a_mostly_dead_segment_is_compacted_and_loses_nothing() {
    let mut machine = machine();
    machine.live(|store, runtime| async move {
        put(&store, 100, 700).await;
        for round in 0..12 {
            for at in 0..10 {
                put(&store, at, 1500).await;
            }
            runtime.sleep(Duration::from_secs(round)).await;
        }
        let stats = store.stats();
        assert!(stats.compactions > 0 && stats.shed_records == 0, "{stats:?}");
        assert!(holds(&store, 100, 700).await);
        for at in 0..10 {
            assert!(holds(&store, at, 1500).await);
        }
    });
}

#[test]
fn the_cache_gives_way_to_a_neighbour_and_comes_back() {
    let mut machine = machine();
    let disk = machine.world.disk();
    disk.set_capacity(2 * BUDGET);
    machine.settings.room_wait = Duration::from_secs(3);
    machine.settings.min_free = 4 * SEGMENT as u64;
    machine.live(|store, runtime| async move {
        for at in 0..60 {
            put(&store, at, 4000).await;
        }
        disk.set_neighbour(2 * BUDGET - disk.allocated());
        runtime.sleep(Duration::from_secs(5)).await;
        assert!(matches!(try_put_large(&store).await, Err(Error::Full(_) | Error::Busy { .. })), "no room for a solo");
        assert!(holds(&store, 59, 4000).await, "what is left is served");
        disk.set_neighbour(0);
        runtime.sleep(Duration::from_secs(5)).await;
        try_put_large(&store).await.expect("room again");
    });
}

async fn try_put_large(store: &Store) -> Result<(), Error> {
    calls::put(store, &key(0, 500), &Bytes::from(vec![7; 60_000]), true, 4096).await
}
