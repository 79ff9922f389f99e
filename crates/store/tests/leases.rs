//! What was vouched for or used stays: over reclaim, over restarts, as long as it fits; and what could not be kept is counted.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use kura_disk::sim::Crash;
use kura_store::Settings;
use kura_store::format::heat::HeatFile;
use kura_store::types::SegmentNumber;
use support::skewed_clock::Skew;
use support::{BUDGET, Life, Machine, bytes_on_disk, key};

#[test]
fn leases_are_kept_while_they_fit_and_each_that_is_not_is_counted() {
    for (vouched, all_fit) in [(50, true), (220, false)] {
        let mut machine = Machine::new(1);
        machine.live(async |life: Life| {
            let names: Vec<String> = (0..vouched).map(|at| format!("vouched {at}")).collect();
            for name in &names {
                life.keep(name, 4000).await;
                assert!(life.store.contains(&key(name)).is_some());
                life.runtime.sleep(Duration::from_millis(2)).await;
            }
            if all_fit {
                life.fill(40).await;
            }
            life.wait(2).await;
            let there = names.iter().filter(|name| life.store.contains(&key(name)).is_some()).count();
            let stats = life.store.stats();
            assert_eq!(stats.lost_leases, (vouched - there) as u64, "each lost one is counted, and no other");
            assert_eq!(there == vouched, all_fit, "{there} of {vouched}");
            assert!(all_fit || stats.shed_age > Duration::ZERO);
            life.check(BUDGET);
        });
    }
}

#[test]
fn a_lease_outlives_a_clean_restart_and_ends_after_it() {
    for (waited, stays) in [(Duration::from_secs(2 * 3600), true), (Duration::from_secs(5 * 3600), false)] {
        let mut machine = Machine::new(1);
        machine.live(async |life: Life| {
            life.keep("vouched", 700).await;
            life.keep("never", 700).await;
            assert!(life.store.contains(&key("vouched")).is_some());
            life.store.shutdown().await.unwrap();
        });
        machine.crash(Crash::Power);
        machine.live(async |life: Life| {
            life.runtime.sleep(waited).await;
            life.fill(12).await;
            assert!(life.store.contains(&key("never")).is_none(), "it has gone round the ring");
            assert_eq!(life.store.contains(&key("vouched")).is_some(), stays, "after {waited:?}");
            assert_eq!(life.store.stats().lost_leases, 0);
        });
    }
}

fn uses(heat: &HeatFile, birth: SegmentNumber, ordinal: usize) -> u8 {
    let segment = heat.segments.iter().find(|segment| segment.birth == birth);
    segment.and_then(|segment| segment.entries.get(ordinal)).map_or(0, |entry| entry.uses)
}

#[test]
fn use_counters_survive_clean_restarts_and_decide_what_stays() {
    let mut machine = Machine::without_leases(1);
    let names: Vec<String> = (0..10).map(|at| format!("{at}")).collect();
    machine.live(async |life: Life| {
        for name in &names {
            life.keep(name, 700).await;
        }
        life.store.shutdown().await.unwrap();
    });
    machine.crash(Crash::Power);
    for _ in 0..3 {
        machine.live(async |life: Life| {
            for name in names.iter().step_by(2) {
                assert!(life.has(name, 700).await, "a use");
            }
            life.store.shutdown().await.unwrap();
        });
        machine.crash(Crash::Power);
    }
    let disk = machine.disk();
    let heat = HeatFile::decode(&disk.content("heat").unwrap()).unwrap();
    let content = disk.content(&bytes_on_disk::find(&disk, &key("0")).unwrap().path).unwrap();
    let birth = bytes_on_disk::header(&content).birth;
    let found: Vec<u8> = (0..names.len()).map(|ordinal| uses(&heat, birth, ordinal)).collect();
    assert!(heat.clean);
    assert_eq!(found, [3, 0, 3, 0, 3, 0, 3, 0, 3, 0]);
    machine.live(async |life: Life| {
        life.wait(120).await;
        life.fill(1).await;
        for (at, name) in names.iter().enumerate() {
            assert_eq!(life.has(name, 700).await, at % 2 == 0, "{name}");
        }
    });
}

#[test]
fn an_unclean_stop_vouches_for_everything_and_a_clean_one_for_what_was_vouched_for() {
    for (clean, stays) in [(true, false), (false, true)] {
        let mut machine = Machine::new(1);
        machine.live(async |life: Life| {
            life.keep("never asked for", 700).await;
            if clean {
                life.store.shutdown().await.unwrap();
            }
        });
        machine.crash(Crash::Process);
        machine.live(async |life: Life| {
            life.fill(1).await;
            assert_eq!(life.has("never asked for", 700).await, stays, "clean: {clean}");
        });
    }
}

#[test]
fn a_lease_that_could_not_be_kept_is_logged_with_the_shed_age() {
    let mut machine = Machine::new(1);
    let log = support::captured::captured(|| {
        machine.live(async |life: Life| {
            for at in 0..220 {
                life.keep(&format!("{at}"), 4000).await;
                assert!(life.store.contains(&key(&format!("{at}"))).is_some());
                life.runtime.sleep(Duration::from_millis(2)).await;
            }
            assert!(life.store.stats().lost_leases > 0);
        });
    });
    assert!(log.contains("lease"), "{log}");
}

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Minutes modulo 2^16 begin anew after this.
const WRAP: Duration = Duration::from_secs(65_536 * 60);

#[test]
fn a_vouch_does_not_come_back_to_life_when_the_minutes_begin_anew() {
    let mut machine = Machine::new(1);
    let skew = Arc::clone(&machine.skew);
    machine.live(async |life: Life| {
        life.keep("vouched", 700).await;
        assert!(life.store.contains(&key("vouched")).is_some());
        // The keeper looks at it now and then.
        skew.pass(20 * DAY);
        life.wait(200).await;
        skew.pass(WRAP - 20 * DAY);
        life.wait(2).await;
        life.fill(2).await;
        assert!(life.store.contains(&key("vouched")).is_none(), "it was vouched for long ago");
    });
}

#[test]
fn a_lease_is_at_most_as_long_as_it_can_be_told_from_a_new_one() {
    let mut machine = Machine::new(1);
    machine.settings.lease = 60 * DAY;
    let skew = Arc::clone(&machine.skew);
    machine.live(async |life: Life| {
        life.keep("vouched", 700).await;
        assert!(life.store.contains(&key("vouched")).is_some());
        skew.pass(Settings::MAX_LEASE - DAY);
        life.fill(12).await;
        assert!(bytes_on_disk::find(&life.disk, &key("vouched")).is_some(), "it is kept");
        skew.pass(2 * DAY);
        life.fill(12).await;
        assert!(life.store.contains(&key("vouched")).is_none(), "and not for ever");
    });
}

#[test]
fn a_wall_clock_that_is_set_ends_no_lease_and_prolongs_none() {
    let day = 24 * 3600 * 1000;
    for jump in [-day, day, 365 * day, -365 * day] {
        for restart in [false, true] {
            let mut machine = Machine::new(1);
            let skew = Arc::clone(&machine.skew);
            let vouched = async |life: Life| {
                life.keep("vouched", 700).await;
                assert!(life.store.contains(&key("vouched")).is_some());
                life
            };
            let held = async |life: Life, skew: Arc<Skew>| {
                skew.pass(Duration::from_secs(3600));
                life.fill(12).await;
                assert!(bytes_on_disk::find(&life.disk, &key("vouched")).is_some(), "kept, {jump} {restart}");
                skew.pass(Duration::from_secs(3 * 3600));
                life.fill(12).await;
                assert!(life.store.contains(&key("vouched")).is_none(), "over, {jump} {restart}");
            };
            if restart {
                machine.live(async |life: Life| vouched(life).await.store.shutdown().await.unwrap());
                machine.crash(Crash::Process);
                // Forward, the time that the machine was off cannot be told from a clock that was set.
                skew.set_wall_clock(jump.min(0));
                machine.live(async |life: Life| held(life, skew).await);
            } else {
                machine.live(async |life: Life| {
                    let life = vouched(life).await;
                    skew.set_wall_clock(jump);
                    held(life, skew).await;
                });
            }
        }
    }
}
