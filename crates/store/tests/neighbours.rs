//! A filesystem that others fill: what the store gives way, what it refuses and when, and that it goes on by itself. The disk is watched in all of these
//! tests: it fails them at the first byte that is written behind what was allocated.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::time::Duration;

use futures_util::future::join;
use kura_disk::sim::{Crash, Faults, Operation, Rule, Slow};
use kura_store::geometry::Geometry;
use kura_store::{Commit, Error};
use support::{BUDGET, Life, Machine, SEGMENT, body, captured::captured, key, request};

const ENOSPC: i32 = 28;
const LARGE_BUDGET: u64 = 20 * SEGMENT;

/// A machine whose filesystem is twice the budget.
fn beside_neighbours() -> Machine {
    let mut machine = Machine::without_leases(1);
    machine.disk().set_capacity(2 * BUDGET);
    machine.settings.room_wait = Duration::from_secs(3);
    machine
}

async fn fill_budget(life: &Life) {
    for at in 0.. {
        if life.store.stats().evictions > 0 {
            break;
        }
        life.keep(&format!("{at}"), 4000).await;
        life.runtime.sleep(Duration::from_millis(1)).await;
    }
    life.wait(2).await;
}

fn held(life: &Life) -> u64 {
    life.used_by("shared") + life.used_by("solo")
}

#[test]
fn a_neighbour_gets_what_is_lacking_and_no_more() {
    let mut machine = beside_neighbours();
    machine.settings.geometry = Geometry::simulation(LARGE_BUDGET);
    machine.disk().set_capacity(2 * LARGE_BUDGET);
    machine.settings.min_free = 4 * SEGMENT;
    machine.live(async |life: Life| {
        fill_budget(&life).await;
        let before = held(&life);
        let lacking = 5 * SEGMENT / 2;
        life.disk.set_neighbour(2 * LARGE_BUDGET - life.disk.allocated() - (4 * SEGMENT - lacking));
        life.wait(5).await;
        let given = before - held(&life);
        assert!((lacking..=lacking + SEGMENT).contains(&given), "{given} given, {lacking} lacking");
        assert!(!life.store.stats().filesystem_full);
        life.wait(20).await;
        assert_eq!(before - held(&life), given, "and nothing after that");
        life.keep("later", 4000).await;
    });
}

#[test]
fn giving_way_comes_to_an_end_where_the_oldest_can_neither_move_nor_go() {
    let mut machine = beside_neighbours();
    machine.settings.geometry = Geometry::simulation(LARGE_BUDGET);
    machine.disk().set_capacity(2 * LARGE_BUDGET);
    machine.settings.min_free = 4 * SEGMENT;
    machine.live(async |life: Life| {
        life.keep("oldest", 40_000).await;
        for at in 0..200 {
            life.keep(&format!("{at}"), 4000).await;
        }
        life.keep("newest", 4000).await;
        assert!(life.store.contains(&key("oldest")).is_some());
        // Until its tombstone is synced.
        let slow = Slow { operation: Operation::Sync, path: ".seg".to_owned(), by: Duration::from_secs(10) };
        life.disk.faults(|faults| faults.slow(slow));
        let oldest = key("oldest");
        let delete = life.store.delete(&oldest);
        let neighbour = async {
            life.wait(2).await;
            life.disk.set_neighbour(2 * LARGE_BUDGET - life.disk.allocated());
            life.wait(2).await;
            assert!(life.store.stats().filesystem_full, "it has looked at all once, and says so");
            assert!(life.has("newest", 4000).await);
        };
        assert!(join(delete, neighbour).await.0.unwrap());
        life.disk.faults(Faults::heal);
        life.disk.set_neighbour(0);
        life.wait(3).await;
        life.keep("later", 4000).await;
    });
}

#[test]
fn a_neighbour_that_takes_everything_meets_the_floor_and_reads_go_on() {
    let mut machine = beside_neighbours();
    machine.settings.min_free = 4 * SEGMENT;
    let disk = machine.disk();
    let log = captured(|| {
        machine.live(async |life: Life| {
            fill_budget(&life).await;
            life.keep("newest", 4000).await;
            for _ in 0..20 {
                disk.set_neighbour(2 * BUDGET - disk.allocated());
                life.wait(2).await;
            }
            assert!(life.store.stats().filesystem_full);
            assert!(
                held(&life) >= 6 * SEGMENT,
                "the floor is eight segments, and a spare and its successor may be lacking"
            );
            assert!(life.has("newest", 4000).await, "what is left is served");
            let refused = life.put("large", 60_000).await;
            assert!(matches!(refused, Err(Error::Full(_))), "{refused:?}");
            assert!(life.disk.allocated() <= life.used());
            disk.set_neighbour(0);
            life.wait(3).await;
            life.keep("large", 60_000).await;
            assert!(!life.store.stats().filesystem_full);
            life.check(BUDGET);
        });
    });
    assert!(log.contains("the cache is down to its floor") && log.contains("has room again"), "{log}");
}

/// A machine that was stopped cleanly with a full store, on a filesystem that has not a block left.
fn stopped_on_a_full_filesystem() -> Machine {
    let mut machine = beside_neighbours();
    machine.live(async |life: Life| {
        fill_budget(&life).await;
        let full = |operation| Rule { operation: Some(operation), path: "", after: 0, times: u64::MAX, errno: ENOSPC };
        life.disk.faults(|faults| faults.fail(full(Operation::Allocate)));
        // Up to the last byte that is allocated: there is no spare left.
        while life.put(&format!("{}", life.store.stats().bytes_written), 4000).await.is_ok() {}
        life.keep("newest", 10).await;
        life.store.shutdown().await.unwrap();
    });
    machine.crash(Crash::Process);
    machine.disk().set_neighbour(2 * BUDGET - machine.disk().allocated());
    machine
}

#[test]
fn a_clean_stop_on_a_full_filesystem_is_followed_by_a_start_that_serves() {
    let mut machine = stopped_on_a_full_filesystem();
    machine.live(async |life: Life| {
        assert!(life.has("newest", 10).await);
        life.wait(5).await;
        assert!(life.has("newest", 10).await);
        life.check(BUDGET);
    });
    machine.crash(Crash::Power);
    machine.live(async |life: Life| assert!(life.has("newest", 10).await));
}

#[test]
fn a_lowered_capacity_is_kept_on_a_full_filesystem_too() {
    let mut machine = stopped_on_a_full_filesystem();
    let lower = BUDGET - 2 * SEGMENT;
    assert!(machine.disk().allocated() + SEGMENT > lower, "it is above the lower one, all that is no segment aside");
    machine.settings.geometry = Geometry::simulation(lower);
    let disk = machine.disk();
    machine.live(async |life: Life| {
        assert!(life.has("newest", 10).await);
        life.wait(5).await;
        life.check(lower);
        disk.set_neighbour(0);
        disk.faults(|faults| faults.heal());
        life.wait(5).await;
        life.keep("later", 4000).await;
        life.wait(5).await;
        life.check(lower);
    });
}

#[test]
fn waiting_for_room_that_does_not_come_keeps_nobody_busy() {
    let mut machine = beside_neighbours();
    machine.settings.room_wait = Duration::from_secs(20);
    let life = machine.open().unwrap();
    machine.world.block_on(async {
        life.wait(2).await;
        life.disk.set_neighbour(2 * BUDGET - life.disk.allocated());
        life.wait(5).await;
    });
    let before = machine.world.operations();
    let refused = machine.world.block_on(async { life.put("large", 60_000).await });
    assert!(matches!(refused, Err(Error::Full(_))), "{refused:?}");
    let asked = machine.world.operations() - before;
    assert!(asked < 20 * 10, "{asked} operations in twenty seconds");
}

#[test]
fn a_full_disk_is_met_at_the_door_and_not_in_the_middle() {
    for length in [10_000, 60_000] {
        let mut machine = beside_neighbours();
        machine.live(async |life: Life| {
            life.wait(2).await;
            let whole = body("upload", length);
            let mut upload = life.store.put(request(&key("upload"), Some(length as u64))).await.unwrap();
            upload.write(whole.slice(..length / 2)).await.unwrap();
            life.disk.set_neighbour(2 * BUDGET - life.disk.allocated());
            upload.write(whole.slice(length / 2..)).await.unwrap();
            upload.commit(Commit::default()).await.unwrap();
            assert!(life.has("upload", length).await);
        });
        machine.crash(Crash::Power);
        machine.live(async |life: Life| assert!(life.has("upload", length).await));
    }
}

#[test]
fn a_growing_upload_that_meets_a_full_disk_costs_itself_and_nothing_else() {
    let mut machine = beside_neighbours();
    machine.live(async |life: Life| {
        life.keep("before", 3000).await;
        life.wait(2).await;
        let mut upload = life.store.put(request(&key("growing"), None)).await.unwrap();
        upload.write(body("growing", 5000)).await.unwrap();
        life.disk.set_neighbour(2 * BUDGET - life.disk.allocated());
        let mut refused = Ok(());
        for _ in 0..50 {
            refused = upload.write(body("growing", 3000)).await;
            if refused.is_err() {
                break;
            }
        }
        let refused = match refused {
            Ok(()) => upload.commit(Commit::default()).await.map(drop),
            refused => {
                drop(upload);
                refused
            }
        };
        assert!(matches!(refused, Err(Error::Full(_) | Error::Busy { .. })), "{refused:?}");
        life.wait(2).await;
        assert!(life.has("before", 3000).await);
        life.check(BUDGET);
        life.disk.set_neighbour(0);
        life.wait(2).await;
        life.keep("growing", 50_000).await;
    });
}
