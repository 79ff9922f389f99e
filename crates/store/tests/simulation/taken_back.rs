//! A sync that fails while reclaim moves records to the segment: their originals take the places of their copies again.
//! Each test was seen to fail without what it tests.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future;
use kura_disk::Runtime;
use kura_disk::sim::{Operation, Rule};
use kura_store::types::Version;
use kura_store::{Durability, Store};

use crate::calls;
use crate::machine::Machine;
use crate::model::{key, namespace};
use crate::oracle::write_on;

const EIO: i32 = 5;

/// How many keys there are.
const KEYS: usize = 60;

fn machine(seed: u64) -> Machine {
    let mut machine = Machine::with_seed(seed, Durability::Always, None);
    machine.settings.lease = Duration::ZERO;
    machine
}

fn sync_fails(after: u64) -> Rule {
    Rule { operation: Some(Operation::Sync), path: "segments/", after, times: 1, errno: EIO }
}

/// Small and large artifacts, read, replaced, deleted and cleaned: much of what is reclaimed has to be moved.
async fn churn(store: &Store, runtime: &Arc<dyn Runtime>, steps: Range<usize>) {
    for at in steps {
        let length = if at % 4 == 0 { 40_000 } else { 300 + at % 5 * 1500 };
        let body = Bytes::from(vec![1; length]);
        let _ = calls::put(store, &key(0, at % KEYS), &body, true, 4096).await;
        for read in 0..30 {
            let _ = calls::get(store, &key(0, (at + read) % KEYS)).await;
        }
        if at % 2 == 0 {
            let _ = store.delete(&key(0, (at * 3) % KEYS)).await;
        }
        if at % 50 == 0 {
            let _ = store.clean(&namespace(0)).await;
        }
        runtime.sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn a_sync_that_fails_while_the_last_spare_takes_what_is_moved_leaves_room_for_the_next_try() {
    for after in 0..20 {
        let mut machine = machine(after);
        let disk = machine.world.disk();
        machine.live(|store, runtime| async move {
            churn(&store, &runtime, 0..200).await;
            disk.faults(|faults| faults.fail(sync_fails(after)));
            churn(&store, &runtime, 200..400).await;
            write_on(&store, &runtime).await;
        });
    }
}

/// What is there now, and which of it.
fn there(store: &Store) -> HashMap<Vec<u8>, Version> {
    let found = (0..KEYS).map(|at| key(0, at));
    found.filter_map(|key| Some((key.key().to_vec(), store.peek(&key)?.version))).collect()
}

/// Lists what is there until the flag is set; what was there all the while has to be on each list.
async fn list_on(store: &Store, runtime: &Arc<dyn Runtime>, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let before = there(store);
        let mut listed = HashSet::new();
        let visited = store.visit_keys(&namespace(0), key(0, 0).kind(), |key| listed.extend([key.to_vec()])).await;
        let after = there(store);
        let stayed = before.iter().filter(|(key, version)| after.get(*key) == Some(version));
        if visited.is_ok() {
            for (key, version) in stayed {
                assert!(listed.contains(key), "{key:02x?} of {version} is not on the list");
            }
        }
        runtime.yield_now().await;
    }
}

#[test]
fn what_is_taken_back_while_a_list_is_made_is_on_it() {
    for after in 0..20 {
        let mut machine = machine(after);
        let disk = machine.world.disk();
        machine.live(|store, runtime| async move {
            churn(&store, &runtime, 0..200).await;
            disk.faults(|faults| faults.fail(sync_fails(after)));
            let over = AtomicBool::new(false);
            let writes = async {
                churn(&store, &runtime, 200..400).await;
                over.store(true, Ordering::Relaxed);
            };
            future::join(writes, list_on(&store, &runtime, &over)).await;
        });
    }
}
