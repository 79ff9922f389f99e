//! The four rules by which a restart never shows what is older than what was shown before. Each test was seen to fail without its rule, by taking
//! the rule out of the code; `docs/testing.md` says which line that was.
//!
//! 1. The higher version wins, wherever it lies.
//! 2. A winner whose loser lies later in the ring is moved by reclaim, never dropped.
//! 3. A tombstone moves on until no segment can hold what it ended.
//! 4. Nothing is unlinked before what replaces it is synced, and what rules 2 and 3 keep is outside every bound of rescue.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kura_disk::sim::Crash;
use kura_disk::{Runtime, SyncReason};
use kura_store::geometry::Geometry;
use kura_store::key::Attributes;
use kura_store::types::Encoding;
use kura_store::{Commit, Durability, PutRequest, Store};

use crate::calls;
use crate::machine::{Machine, fill, put_to};
use crate::model::{key, namespace};

/// Bytes of an upload that takes its place before its body has come.
const SLOW: usize = 10_000;

const SEGMENT: u64 = 64 << 10;

const NEW: u8 = 2;
const OLD: u8 = 1;

fn machine() -> Machine {
    let mut machine = Machine::new(Durability::Always, None::<SyncReason>);
    // What is kept is kept by the rules, not by a lease.
    machine.settings.lease = Duration::ZERO;
    machine
}

/// The first byte of what the key of these tests shows.
async fn shown(store: &Store) -> Option<u8> {
    calls::get(store, &key(0, 0)).await.expect("a read").map(|body| body[0])
}

/// An old record is rescued to a later segment than the one in which a slow upload of its successor has its place; then the upload commits.
async fn rescue_overtakes_slow_upload(store: &Store, runtime: &Arc<dyn Runtime>) {
    put_to(store, &key(0, 0), OLD, 100).await;
    assert_eq!(shown(store).await, Some(OLD), "a use, so that it is worth rescuing");
    runtime.sleep(Duration::from_secs(120)).await;
    let rotations = store.stats().rotations;
    for at in 1.. {
        if store.stats().rotations > rotations {
            break;
        }
        put_to(store, &key(1, at), 7, 4000).await;
    }
    let mut slow = store
        .put(PutRequest {
            key: key(0, 0),
            attributes: Attributes::default(),
            encoding: Encoding::Identity,
            length: Some(SLOW as u64),
        })
        .await
        .expect("a place for the upload");
    slow.write(Bytes::from(vec![NEW; SLOW / 2])).await.expect("half of it");
    fill(store, runtime).await;

    slow.write(Bytes::from(vec![NEW; SLOW - SLOW / 2])).await.expect("the rest");
    slow.commit(Commit::default()).await.expect("a commit");
}

#[test]
fn rule_1_a_rescued_copy_of_an_old_version_does_not_win_by_lying_later() {
    let mut machine = machine();
    let now = machine.live(|store, runtime| async move {
        rescue_overtakes_slow_upload(&store, &runtime).await;
        shown(&store).await
    });
    assert_eq!(now, Some(NEW));
    machine.world.crash(Crash::Power);
    assert_eq!(machine.live(|store, _| async move { shown(&store).await }), Some(NEW));
}

#[test]
fn rule_2_the_winner_over_a_later_copy_moves_and_is_never_dropped() {
    let mut machine = machine();
    machine.live(|store, runtime| async move {
        rescue_overtakes_slow_upload(&store, &runtime).await;
        fill(&store, &runtime).await;
    });
    machine.world.crash(Crash::Power);
    assert_eq!(machine.live(|store, _| async move { shown(&store).await }), Some(NEW));
}

/// A tombstone in an older segment than the solo that it ends.
async fn clean_in_front_of_a_solo(store: &Store, runtime: &Arc<dyn Runtime>) {
    put_to(store, &key(1, 0), 7, 100).await;
    put_to(store, &key(0, 0), OLD, 30_000).await;
    runtime.sleep(Duration::from_secs(1)).await;
    store.clean(&namespace(0)).await.expect("a clean");
    assert_eq!(shown(store).await, None);
}

#[test]
fn rule_3_a_tombstone_moves_on_while_what_it_ended_is_on_the_disk() {
    let mut machine = machine();
    machine.live(|store, runtime| async move {
        clean_in_front_of_a_solo(&store, &runtime).await;
        fill(&store, &runtime).await;
    });
    machine.world.crash(Crash::Power);
    assert_eq!(machine.live(|store, _| async move { shown(&store).await }), None);
}

#[test]
fn rule_4_a_tombstone_is_kept_even_where_a_lower_budget_drops_everything_else() {
    let mut machine = machine();
    let (before, after) = (12 * SEGMENT, 10 * SEGMENT);
    machine.settings.geometry = Geometry::simulation(before);
    machine.live(|store, runtime| async move {
        clean_in_front_of_a_solo(&store, &runtime).await;
        for at in 1.. {
            if store.stats().used.iter().map(|(_, bytes)| bytes).sum::<u64>() + SEGMENT > before {
                break;
            }
            put_to(&store, &key(1, at), 7, 4000).await;
        }
        assert_eq!(store.stats().evictions, 0);
        store.shutdown().await.expect("a clean stop");
    });
    machine.world.crash(Crash::Process);
    machine.settings.geometry = Geometry::simulation(after);
    let evicted = machine.live(|store, _| async move { store.stats().evictions });
    assert_eq!(evicted, 1, "the tombstone's segment has gone, and the solo has not");
    machine.world.crash(Crash::Power);
    assert_eq!(machine.live(|store, _| async move { shown(&store).await }), None);
}

#[test]
fn rule_4_nothing_is_unlinked_before_its_copy_is_synced() {
    let mut machine = machine();
    machine.settings.durability = Durability::None;
    machine.live(|store, runtime| async move {
        put_to(&store, &key(0, 0), NEW, 100).await;
        assert_eq!(shown(&store).await, Some(NEW));
        fill(&store, &runtime).await;
    });
    machine.world.crash(Crash::PowerKeeping(0));
    assert_eq!(machine.live(|store, _| async move { shown(&store).await }), Some(NEW));
}
