//! Tenants with quotas: who is over loses their own oldest, and nobody else loses anything by it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kura_disk::sim::Crash;
use kura_disk::{Runtime, SyncReason};
use kura_store::geometry::Geometry;
use kura_store::key::RecordKey;
use kura_store::types::Kind;
use kura_store::{Durability, Error, Quota, Settings, Store};

use crate::calls;
use crate::machine::Machine;

const SEGMENT: u64 = 64 << 10;
const SMALL: usize = 4000;

/// Larger than what shares a segment with others.
const LARGE: usize = 20_000;

fn key(tenant: &str, at: usize) -> RecordKey {
    RecordKey::new(Kind(1), tenant, "main", &at.to_le_bytes()).unwrap()
}

fn quota(tenant: &str, segments: u64) -> Quota {
    Quota { tenant: tenant.to_owned(), bytes: segments * SEGMENT }
}

/// A store of fourteen segments, on which nothing is leased.
fn machine(quotas: Vec<Quota>) -> Machine {
    machine_of(15, quotas)
}

fn machine_of(segments: u64, quotas: Vec<Quota>) -> Machine {
    let mut machine = Machine::new(Durability::Always, None::<SyncReason>);
    let geometry = Geometry::simulation(segments * SEGMENT);
    machine.settings = Settings { quotas, lease: Duration::ZERO, ..Settings::new(geometry) };
    machine
}

async fn put(store: &Store, tenant: &str, at: usize, length: usize) {
    let (key, body) = (key(tenant, at), Bytes::from(vec![7; length]));
    // What is under way in the oldest segment starts again.
    while let Err(error) = calls::put(store, &key, &body, true, SMALL).await {
        assert!(matches!(error, Error::Evicted), "{error}");
    }
}

/// How many of the first so many a tenant still has.
fn kept(store: &Store, tenant: &str, of: usize) -> usize {
    (0..of).filter(|at| store.peek(&key(tenant, *at)).is_some()).count()
}

/// Many times what the store can hold, of both sizes.
async fn flood(store: &Store, runtime: &Arc<dyn Runtime>, from: usize) {
    for at in 0..800 {
        put(store, "flood", from + at, if at % 5 == 0 { LARGE } else { SMALL }).await;
        runtime.sleep(Duration::from_micros(100)).await;
    }
}

async fn settle(runtime: &Arc<dyn Runtime>) {
    runtime.sleep(Duration::from_secs(3)).await;
}

fn used(store: &Store, tenant: &str) -> u64 {
    store.stats().tenants.into_iter().find(|of| of.tenant == tenant).expect("it has a quota").used
}

#[test]
fn a_flood_evicts_nothing_of_others_before_and_after_a_start() {
    // Those without a quota share what is left.
    let mut machine = machine(vec![quota("careful", 4), quota("flood", 4)]);
    for life in 0..3 {
        machine.live(|store, runtime| async move {
            // What a start finds counts as vouched for, and leases are of minutes.
            runtime.sleep(Duration::from_secs(120)).await;
            if life == 0 {
                for at in 0..40 {
                    put(&store, "careful", at, SMALL).await;
                    put(&store, "other", at, SMALL).await;
                }
                put(&store, "careful", 40, LARGE).await;
                put(&store, "other", 40, LARGE).await;
            }
            flood(&store, &runtime, 1000 * life).await;
            settle(&runtime).await;
            assert_eq!(kept(&store, "careful", 41), 41);
            assert_eq!(kept(&store, "other", 41), 41);
            assert!(store.peek(&key("flood", 1000 * life + 799)).is_some(), "its newest is there");
            assert!(used(&store, "flood") <= 4 * SEGMENT, "{}", used(&store, "flood"));
        });
        machine.world.crash(if life == 0 { Crash::Process } else { Crash::Power });
    }
}

#[test]
fn a_flood_without_a_quota_evicts_nothing_of_who_has_one() {
    let mut machine = machine(vec![quota("careful", 4)]);
    machine.live(|store, runtime| async move {
        for at in 0..40 {
            put(&store, "careful", at, SMALL).await;
        }
        flood(&store, &runtime, 0).await;
        assert_eq!(kept(&store, "careful", 40), 40);
    });
}

#[test]
fn who_has_a_quota_keeps_to_it_also_where_nobody_else_needs_room() {
    let mut machine = machine(vec![quota("flood", 3)]);
    machine.live(|store, runtime| async move {
        for at in 0..150 {
            put(&store, "flood", at, SMALL).await;
        }
        settle(&runtime).await;
        assert!(used(&store, "flood") <= 3 * SEGMENT);
        assert!(kept(&store, "flood", 150) >= 30, "two segments of it are full");
        store.set_quotas(vec![quota("flood", 2)]).expect("quotas that can be kept to");
        settle(&runtime).await;
        assert!(used(&store, "flood") <= 2 * SEGMENT);
    });
}

#[test]
fn a_quota_that_comes_while_the_store_runs_holds_once_what_was_there_before_has_gone_round() {
    let mut machine = machine(Vec::new());
    machine.live(|store, runtime| async move {
        flood(&store, &runtime, 0).await;
        store.set_quotas(vec![quota("flood", 4), quota("careful", 4)]).expect("quotas that can be kept to");
        for at in 0..40 {
            put(&store, "careful", at, SMALL).await;
        }
        flood(&store, &runtime, 1000).await;
        settle(&runtime).await;
        assert_eq!(kept(&store, "careful", 40), 40);
        assert!(used(&store, "flood") <= 4 * SEGMENT);
        // And when it goes, all share again.
        store.set_quotas(Vec::new()).expect("none");
        flood(&store, &runtime, 2000).await;
        assert_eq!(kept(&store, "careful", 40), 0);
        assert!(kept(&store, "flood", 2800) > 80, "more than four segments of it are there");
    });
}

#[test]
fn quotas_of_more_than_there_is_are_shares_of_it() {
    let mut machine = machine(vec![quota("one", 12), quota("flood", 24)]);
    machine.live(|store, runtime| async move {
        for at in 0..30 {
            put(&store, "one", at, SMALL).await;
        }
        flood(&store, &runtime, 0).await;
        assert_eq!(kept(&store, "one", 30), 30, "two segments, and its share is four");
        assert!(used(&store, "flood") >= 6 * SEGMENT);
    });
}

#[test]
fn an_artifact_is_at_most_a_quarter_of_its_tenants_quota() {
    let mut machine = machine(vec![quota("small", 2)]);
    machine.live(|store, _| async move {
        let limit = SEGMENT as usize / 2;
        put(&store, "small", 0, limit).await;
        let refused = calls::begin(&store, &key("small", 1), Some(limit + 1)).await;
        assert!(matches!(refused, Err(Error::TooLarge { limit: 32_768 })));
        put(&store, "other", 0, limit + 1).await;
    });
}

/// `careful` and `flood` have all that their quotas allow, and `other` has something too.
async fn fill_all(store: &Store, runtime: &Arc<dyn Runtime>) -> [usize; 2] {
    for at in 0..45 {
        put(store, "careful", at, SMALL).await;
        put(store, "flood", at, SMALL).await;
    }
    for at in 0..30 {
        put(store, "other", at, SMALL).await;
    }
    settle(runtime).await;
    [kept(store, "careful", 45), kept(store, "other", 30)]
}

#[test]
fn uploads_under_way_cost_nobody_else_anything() {
    let mut machine = machine(vec![quota("careful", 4), quota("flood", 4)]);
    machine.live(|store, runtime| async move {
        let before = fill_all(&store, &runtime).await;
        let mut uploads = Vec::new();
        for at in 1000.. {
            match calls::begin(&store, &key("flood", at), Some(SEGMENT as usize)).await {
                Ok(upload) => uploads.push(upload),
                Err(Error::Busy { .. }) => break,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(uploads.len(), 2, "half of its quota");
        settle(&runtime).await;
        assert_eq!([kept(&store, "careful", 45), kept(&store, "other", 30)], before);
    });
}

#[test]
fn who_is_just_within_their_quota_loses_nothing_by_those_without_one() {
    for largest in [SMALL, 60_000] {
        let mut machine = machine(vec![quota("careful", 5)]);
        machine.live(|store, runtime| async move {
            for at in 0..70 {
                put(&store, "careful", at, SMALL).await;
            }
            settle(&runtime).await;
            assert_eq!((kept(&store, "careful", 70), used(&store, "careful")), (70, 5 * SEGMENT));
            for at in 0..800 {
                put(&store, "flood", at, if at % 5 == 0 { largest } else { SMALL }).await;
                runtime.sleep(Duration::from_micros(100)).await;
            }
            assert_eq!(kept(&store, "careful", 70), 70);
        });
    }
}

#[test]
fn quotas_that_come_and_go_leave_no_segment_behind() {
    let mut machine = machine(Vec::new());
    machine.live(|store, runtime| async move {
        for round in 0..20 {
            let tenant = format!("tenant {round}");
            store.set_quotas(vec![quota(&tenant, 2)]).expect("a quota that can be kept to");
            put(&store, &tenant, 0, SMALL).await;
            for at in 1..8 {
                put(&store, &tenant, at, 30_000).await;
                runtime.sleep(Duration::from_millis(1)).await;
            }
            settle(&runtime).await;
            store.set_quotas(Vec::new()).expect("none");
            for at in 0..300 {
                put(&store, "other", 1000 * round + at, SMALL).await;
            }
            settle(&runtime).await;
            let kept = (0..300).filter(|at| store.peek(&key("other", 1000 * round + at)).is_some()).count();
            assert!(kept > 120, "{kept} in round {round}: room for them is missing");
        }
    });
}

#[test]
fn a_lower_budget_is_kept_to_also_where_each_lane_has_its_segment() {
    let tenants: Vec<String> = (0..8).map(|at| format!("tenant {at}")).collect();
    let mut machine = machine_of(30, tenants.iter().map(|tenant| quota(tenant, 2)).collect());
    machine.live(|store, runtime| async move {
        for tenant in &tenants {
            put(&store, tenant, 0, SMALL).await;
            runtime.sleep(Duration::from_millis(1)).await;
        }
        store.shutdown().await.expect("a clean stop");
    });
    machine.world.crash(Crash::Process);
    machine.settings.geometry = Geometry::simulation(9 * SEGMENT);
    machine.settings.quotas.truncate(2);
    machine.live(|store, _| async move {
        let used: u64 = store.stats().used.iter().map(|(_, bytes)| bytes).sum();
        assert!(used <= 9 * SEGMENT, "{used}");
        put(&store, "tenant 0", 1, SMALL).await;
    });
}

#[test]
fn leases_beyond_a_quota_give_way_after_one_round_of_what_its_tenant_has() {
    for of_others in [20, 400] {
        let mut machine = machine_of(1000, vec![quota("many", 900), quota("few", 4)]);
        machine.settings.lease = Duration::from_secs(3 * 3600);
        machine.world.disk().set_capacity(100 << 30);
        machine.live(|store, runtime| async move {
            for at in 0..of_others {
                put(&store, "many", at, LARGE).await;
            }
            for at in 0..100 {
                put(&store, "few", at, SMALL).await;
                assert!(store.contains(&key("few", at)).is_some());
                runtime.sleep(Duration::from_millis(20)).await;
            }
            settle(&runtime).await;
            let evictions = store.stats().evictions;
            assert!(evictions < 60, "{evictions} for a hundred artifacts, beside {of_others} of others");
        });
    }
}
