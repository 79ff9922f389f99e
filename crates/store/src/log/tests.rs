use std::collections::BTreeSet;
use std::time::Duration;

use kura_disk::sim::{Chance, Crash, Operation, World};
use kura_disk::{Disk, Runtime};

use super::*;
use crate::geometry::Geometry;
use crate::key::{Attributes, RecordKey};
use crate::quota::Next;
use crate::types::{Encoding, Kind};
use crate::{Commit, Progress, PutRequest, Settings, Store};

const SEGMENT: u64 = 64 << 10;
const BUDGET: u64 = 10 * SEGMENT;

async fn open(disk: Arc<dyn Disk>, runtime: Arc<dyn Runtime>) -> Store {
    open_with(disk, runtime, Settings::new(Geometry::simulation(BUDGET))).await
}

async fn open_with(disk: Arc<dyn Disk>, runtime: Arc<dyn Runtime>, settings: Settings) -> Store {
    Store::open(disk, runtime, settings, Arc::new(Progress::default())).await.expect("it opens")
}

async fn put(store: &Store) {
    let key = RecordKey::new(Kind(1), "tenant", "namespace", b"key").unwrap();
    let request = PutRequest { key, attributes: Attributes::default(), encoding: Encoding::Identity, length: Some(0) };
    store.put(request).await.unwrap().commit(Commit::default()).await.unwrap();
}

/// Whether a writer and a copy find a place in the active segment.
fn places(store: &Store) -> [bool; 2] {
    let namespace = NamespaceId::new("tenant", "namespace").unwrap();
    let copy = Purpose::Copy { behind: SegmentNumber(0) };
    [Purpose::Write, copy].map(|purpose| store.inner.allot(4096, &namespace, purpose).is_some())
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
        let active = log.owned().swap_remove(0);
        assert!(log.retire(&active, &store.inner.lanes));
        assert_eq!(places(&store), [false, true]);
    });
}

/// Has `flood` be a lane of its own, beside the common one, with a segment active in each and none to spare.
async fn two_lanes(store: &Store, runtime: &Arc<dyn Runtime>) -> [Arc<Segment>; 2] {
    let log = &store.inner.log;
    put(store).await;
    while log.lacking() != Lacking::Nothing {
        runtime.sleep(Duration::from_millis(1)).await;
    }
    let flood = NamespaceId::new("flood", "namespace").unwrap();
    drop(log.take_successor());
    let copy = Purpose::Copy { behind: SegmentNumber(0) };
    assert!(store.inner.allot(4096, &flood, copy).is_some());
    let [common, own] = log.owned().try_into().ok().expect("two segments and no spare");
    [common, own]
}

fn with_a_quota(tenant: &str) -> Settings {
    let quotas = vec![Quota { tenant: tenant.to_owned(), bytes: 2 * SEGMENT }];
    Settings { quotas, ..Settings::new(Geometry::simulation(BUDGET)) }
}

#[test]
fn a_copy_goes_behind_what_it_is_a_copy_of_and_to_its_own_lane() {
    let mut world = World::new(1);
    let (disk, runtime) = (world.disk(), world.runtime());
    world.block_on(async move {
        let store = open_with(disk, Arc::clone(&runtime), with_a_quota("flood")).await;
        let [common, own] = two_lanes(&store, &runtime).await;
        let flood = NamespaceId::new("flood", "namespace").unwrap();
        let place = |namespace: &NamespaceId, behind: &Segment| {
            let copy = Purpose::Copy { behind: behind.number() };
            store.inner.allot(4096, namespace, copy).map(|ticket| ticket.segment.slot)
        };
        assert!(common.number() < own.number());
        assert_eq!(place(&flood, &common), Some(own.slot));
        assert_eq!(place(&flood, &own), None);
        let other = NamespaceId::new("tenant", "namespace").unwrap();
        assert_eq!(place(&other, &common), None, "though there is room behind it, in another lane");
    });
}

#[test]
fn what_must_not_be_dropped_goes_to_another_lane_and_from_then_on_both_go_in_order_of_the_ring() {
    let mut world = World::new(1);
    let (disk, runtime) = (world.disk(), world.runtime());
    world.block_on(async move {
        let store = open_with(disk, Arc::clone(&runtime), with_a_quota("flood")).await;
        let [common, own] = two_lanes(&store, &runtime).await;
        let other = NamespaceId::new("tenant", "namespace").unwrap();
        let lanes = &store.inner.lanes;
        assert!(!lanes.may_share(&common, &own));
        let copy = Purpose::LastCopy { behind: common.number() };
        let ticket = store.inner.allot(4096, &other, copy).expect("a place");
        assert_eq!(ticket.segment.slot, own.slot);
        assert!(lanes.may_share(&common, &own) && lanes.is_mixed(own.number()));
        assert_eq!(store.inner.next_lane(), Next::InRing);
    });
}

#[test]
fn a_spare_lies_behind_all_that_a_start_finds_and_takes_no_copy_of_what_does_not() {
    let mut world = World::new(1);
    let (disk, runtime) = (world.disk(), world.runtime());
    let large = |namespace| RecordKey::new(Kind(1), "tenant", namespace, b"large").unwrap();
    world.block_on(async move {
        let store = open(disk, Arc::clone(&runtime)).await;
        put(&store).await;
        while store.inner.log.lacking() != Lacking::Nothing {
            runtime.sleep(Duration::from_millis(1)).await;
        }
        // It has a segment of its own, which is newer than the spare.
        let length = SEGMENT / 2;
        let request = PutRequest {
            key: large("namespace"),
            attributes: Attributes::default(),
            encoding: Encoding::Identity,
            length: Some(length),
        };
        let mut upload = store.put(request).await.unwrap();
        upload.write(vec![1; usize::try_from(length).unwrap()].into()).await.unwrap();
        upload.commit(Commit::default()).await.unwrap();
        let newest = store.inner.ring.newest(|_| true).unwrap();
        let namespace = NamespaceId::new("tenant", "namespace").unwrap();
        let copy = Purpose::Copy { behind: newest.number() };
        assert!(newest.is_solo() && store.inner.allot(4096, &namespace, copy).is_none());
    });
    world.crash(Crash::Process);
    let (disk, runtime) = (world.disk(), world.runtime());
    world.block_on(async move {
        let store = open(disk, runtime).await;
        let newest = store.inner.ring.newest(|_| true).unwrap();
        assert_eq!(store.inner.log.spare().unwrap().number(), newest.number());
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

#[test]
fn a_start_without_room_that_cannot_read_the_newest_leaves_what_lies_in_front_to_copies() {
    let mut world = World::new(1);
    let (disk, runtime) = (world.disk(), world.runtime());
    world.block_on(async move {
        let store = open(disk, Arc::clone(&runtime)).await;
        put(&store).await;
        while store.inner.log.lacking() != Lacking::Nothing {
            runtime.sleep(Duration::from_millis(1)).await;
        }
    });
    world.crash(Crash::Process);
    let (disk, runtime) = (world.disk(), world.runtime());
    world.block_on(async move {
        let segments = disk.list("segments").await.unwrap();
        let spare = segments.into_iter().filter_map(|entry| entry.name).max().unwrap();
        let path = String::leak(format!("segments/{spare}"));
        let unread = Chance { operation: Some(Operation::Open), path, one_in: 1, errno: 5 };
        disk.faults(|faults| faults.sometimes(unread));
        disk.plant("foreign", &vec![1; usize::try_from(BUDGET - 3 * SEGMENT).unwrap()]);
        let store = open(disk, runtime).await;
        assert_eq!((store.stats().unread_segments, places(&store)), (1, [false, true]));
    });
}

#[test]
fn what_must_not_be_dropped_finds_a_place_in_front_of_where_it_lies_if_there_is_no_other() {
    let mut world = World::new(1);
    let (disk, runtime) = (world.disk(), world.runtime());
    world.block_on(async move {
        let store = open(disk, Arc::clone(&runtime)).await;
        put(&store).await;
        while store.inner.log.lacking() != Lacking::Nothing {
            runtime.sleep(Duration::from_millis(1)).await;
        }
        drop(store.inner.log.take_successor());
        let namespace = NamespaceId::new("tenant", "namespace").unwrap();
        let behind = store.inner.versions.next_number();
        let place = |purpose| store.inner.allot(4096, &namespace, purpose).is_some();
        assert!(!place(Purpose::Copy { behind }));
        assert!(place(Purpose::LastCopy { behind }));
    });
}
