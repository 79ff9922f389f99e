//! Every sync is there for a reason: for each of them something breaks when the disk only pretends to do it.
//! Those that the random histories depend on are shown by a history that fails without them, the others by a scenario.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kura_disk::SyncReason;
use kura_disk::sim::{Crash, World};
use kura_store::Durability;

use crate::machine::{BLACKOUT, Machine, fill, put};
use crate::model::key;
use crate::plan::Tale;
use crate::{calls, history};

/// What some history fails without.
const SHOWN_BY_HISTORIES: [SyncReason; 8] = [
    "identity of a new store",
    "names in the data directory",
    "name of a new segment",
    "records of a commit",
    "record of a solo",
    "a cut segment",
    "records before their footer",
    "unlink of a segment",
];

/// Whether a promise holds on a machine that ignores a sync.
type Scenario = fn(Option<SyncReason>) -> bool;

/// What a scenario fails without.
const SHOWN_BY_SCENARIOS: [(SyncReason, Scenario); 13] = [
    ("an unsealed segment before it is scanned", what_a_killed_process_wrote_stays_once_shown),
    ("a grown segment as it was found", what_a_killed_process_grew_stays_once_shown),
    ("header of a new segment", a_spare_is_no_leftover),
    ("names of the segments found", what_a_killed_process_named_is_built_upon),
    ("records of an interval", an_interval_later_a_record_survives),
    ("record of a growing solo before its footer", a_growing_solo_is_whole_or_not_there),
    ("records before a clean stop", a_clean_stop_keeps_everything),
    ("copies before they take their place", a_rescued_record_survives_its_old_segment),
    ("replacements before their segment is reclaimed", what_replaces_a_record_survives_its_segment),
    ("replacements before an unlink", what_replaces_a_solo_survives_it),
    ("use counters", what_nobody_used_is_still_known_after_a_clean_stop),
    ("name of the use counters", what_nobody_used_is_still_known_after_a_clean_stop),
    ("unlink of the use counters", a_vouch_counts_although_the_process_died),
];

/// Histories tried for one sync. Most take some tens, one some hundreds.
const MOST_HISTORIES: u64 = 5000;

#[test]
fn every_sync_that_the_store_makes_is_one_of_those_shown_here_to_be_needed() {
    let known: BTreeSet<SyncReason> =
        SHOWN_BY_HISTORIES.into_iter().chain(SHOWN_BY_SCENARIOS.map(|(why, _)| why)).collect();
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let world = World::new(seed);
        let disk = world.disk();
        history::run_on(world, &Tale { seed, ..Tale::default() });
        seen.extend(disk.sync_reasons());
    }
    assert_eq!(seen, known);
}

#[test]
fn histories_fail_without_the_syncs_that_they_depend_on() {
    for why in SHOWN_BY_HISTORIES {
        let fails = |seed: &u64| {
            let world = World::new(*seed);
            world.disk().faults(|faults| faults.ignore_sync(why));
            catch_unwind(AssertUnwindSafe(|| history::run_on(world, &Tale { seed: *seed, ..Tale::default() }))).is_err()
        };
        let found = (0..MOST_HISTORIES).find(fails);
        assert!(found.is_some(), "no history fails without the sync of: {why}");
    }
}

#[test]
fn scenarios_fail_without_the_syncs_that_they_depend_on() {
    for (why, scenario) in SHOWN_BY_SCENARIOS {
        assert!(scenario(None), "the promise behind the sync of: {why}");
        assert!(!scenario(Some(why)), "nothing is lost without the sync of: {why}");
    }
}

fn what_a_killed_process_named_is_built_upon(ignored: Option<SyncReason>) -> bool {
    (1..60).all(|operations| {
        let mut machine = Machine::new(Durability::Always, ignored);
        let (disk, runtime, settings) = (machine.world.disk(), machine.world.runtime(), machine.settings.clone());
        let waits = Arc::clone(&runtime);
        let ended = machine.world.block_on_for(operations, async move {
            let store = calls::open(&disk, &runtime, settings).await;
            waits.sleep(Duration::from_secs(1)).await;
            store
        });
        drop(ended);
        machine.world.crash(Crash::Process);
        machine.live(|store, _| async move { put(&store, 0, 100).await });
        machine.after_blackout(key(0, 0)).is_some()
    })
}

fn what_a_killed_process_wrote_stays_once_shown(ignored: Option<SyncReason>) -> bool {
    (1..80).all(|operations| {
        let mut machine = Machine::new(Durability::Always, ignored);
        let (disk, runtime, settings) = (machine.world.disk(), machine.world.runtime(), machine.settings.clone());
        machine.world.block_on_for(operations, async move {
            let store = calls::open(&disk, &runtime, settings).await.expect("it opens");
            put(&store, 0, 100).await;
        });
        machine.world.crash(Crash::Process);
        let shown = machine.live(|store, _| async move { calls::get(&store, &key(0, 0)).await.expect("a read") });
        shown.is_none() || machine.after_blackout(key(0, 0)).is_some()
    })
}

fn what_a_killed_process_grew_stays_once_shown(ignored: Option<SyncReason>) -> bool {
    (1..80).all(|operations| {
        let mut machine = Machine::new(Durability::Always, ignored);
        let (disk, runtime, settings) = (machine.world.disk(), machine.world.runtime(), machine.settings.clone());
        machine.world.block_on_for(operations, async move {
            let store = calls::open(&disk, &runtime, settings).await.expect("it opens");
            let body = Bytes::from(vec![7; 30_000]);
            calls::put(&store, &key(0, 0), &body, false, 4096).await.expect("room");
        });
        machine.world.crash(Crash::Process);
        let shown = machine.live(|store, _| async move { calls::get(&store, &key(0, 0)).await.expect("a read") });
        shown.is_none() || machine.after_blackout(key(0, 0)).is_some()
    })
}

fn a_spare_is_no_leftover(ignored: Option<SyncReason>) -> bool {
    let mut machine = Machine::new(Durability::Always, ignored);
    machine.live(|_, runtime| async move { runtime.sleep(Duration::from_secs(1)).await });
    machine.world.crash(BLACKOUT);
    machine.live(|store, _| async move { store.stats().swept == 0 })
}

fn an_interval_later_a_record_survives(ignored: Option<SyncReason>) -> bool {
    let mut machine = Machine::new(Durability::Interval(Duration::from_millis(5)), ignored);
    machine.live(|store, runtime| async move {
        put(&store, 0, 100).await;
        runtime.sleep(Duration::from_millis(50)).await;
    });
    machine.after_blackout(key(0, 0)).is_some()
}

fn a_growing_solo_is_whole_or_not_there(ignored: Option<SyncReason>) -> bool {
    let grown = |operations: Option<u64>, seed| {
        let mut machine = Machine::with_seed(seed, Durability::Always, ignored);
        let (disk, runtime, settings) = (machine.world.disk(), machine.world.runtime(), machine.settings.clone());
        machine.world.block_on_for(operations.unwrap_or(u64::MAX), async move {
            let store = calls::open(&disk, &runtime, settings).await.expect("it opens");
            let body = Bytes::from(vec![7; 30_000]);
            calls::put(&store, &key(0, 0), &body, false, 4096).await.expect("room");
        });
        machine
    };
    (0..20).all(|seed| {
        let last = grown(None, seed).world.operations();
        (last - 10..last).all(|operations| {
            let mut machine = grown(Some(operations), seed);
            machine.world.crash(Crash::Power);
            machine.live(|store, _| async move {
                let found = calls::get(&store, &key(0, 0)).await.expect("a read");
                found.is_none_or(|body| body.len() == 30_000) && store.stats().damaged == 0
            })
        })
    })
}

fn a_clean_stop_keeps_everything(ignored: Option<SyncReason>) -> bool {
    let mut machine = Machine::new(Durability::None, ignored);
    machine.live(|store, _| async move {
        put(&store, 0, 100).await;
        store.shutdown().await.expect("a clean stop");
    });
    machine.after_blackout(key(0, 0)).is_some()
}

fn a_rescued_record_survives_its_old_segment(ignored: Option<SyncReason>) -> bool {
    let mut machine = Machine::new(Durability::None, ignored);
    machine.live(|store, runtime| async move {
        put(&store, 0, 100).await;
        calls::get(&store, &key(0, 0)).await.expect("a read vouches");
        fill(&store, &runtime).await;
    });
    machine.after_blackout(key(0, 0)).is_some()
}

fn what_replaces_a_record_survives_its_segment(ignored: Option<SyncReason>) -> bool {
    // Rotates until something is evicted, and overwrites the first artifact after so many rotations. Returns how many there were.
    let live = |machine: &mut Machine, overwrite_after: Option<u64>| {
        machine.live(|store, _| async move {
            put(&store, 0, 100).await;
            let mut overwrite_after = overwrite_after;
            for at in 1.. {
                if store.stats().evictions > 0 {
                    break;
                }
                put(&store, at, 4000).await;
                if overwrite_after.is_some_and(|after| store.stats().rotations >= after) {
                    overwrite_after = None;
                    put(&store, 0, 100).await;
                }
            }
            store.stats().rotations
        })
    };
    let last = live(&mut Machine::new(Durability::None, None), None);
    let mut machine = Machine::new(Durability::None, ignored);
    live(&mut machine, Some(last));
    machine.after_blackout(key(0, 0)).is_some()
}

fn what_replaces_a_solo_survives_it(ignored: Option<SyncReason>) -> bool {
    let mut machine = Machine::new(Durability::None, ignored);
    machine.live(|store, runtime| async move {
        put(&store, 0, 30_000).await;
        runtime.sleep(Duration::from_secs(1)).await;
        put(&store, 0, 100).await;
        while store.stats().evictions == 0 {
            runtime.sleep(Duration::from_millis(1)).await;
        }
    });
    machine.after_blackout(key(0, 0)).is_some()
}

fn what_nobody_used_is_still_known_after_a_clean_stop(ignored: Option<SyncReason>) -> bool {
    let mut machine = Machine::new(Durability::Always, ignored);
    machine.live(|store, _| async move {
        put(&store, 0, 100).await;
        store.shutdown().await.expect("a clean stop");
    });
    machine.world.crash(BLACKOUT);
    // Nobody used it, so it goes first.
    machine.live(|store, runtime| async move {
        fill(&store, &runtime).await;
        calls::get(&store, &key(0, 0)).await.expect("a read").is_none()
    })
}

fn a_vouch_counts_although_the_process_died(ignored: Option<SyncReason>) -> bool {
    let mut machine = Machine::new(Durability::Always, None);
    machine.live(|store, _| async move {
        put(&store, 0, 100).await;
        store.shutdown().await.expect("a clean stop");
    });
    machine.ignore(ignored);
    machine.live(|store, _| async move { assert!(store.contains(&key(0, 0)).is_some(), "it vouches, at once") });
    machine.world.crash(BLACKOUT);
    machine.live(|store, runtime| async move {
        fill(&store, &runtime).await;
        calls::get(&store, &key(0, 0)).await.expect("a read").is_some()
    })
}
