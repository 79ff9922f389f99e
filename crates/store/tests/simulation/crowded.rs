//! What reclaim has to move finds its place while others write: it takes what a spare can still be made of, and whoever writes waits behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future;
use kura_disk::Runtime;
use kura_store::{Durability, Store, Upload};

use crate::calls;
use crate::machine::Machine;
use crate::model::key;

const SEEDS: u64 = 10;

const TOMBSTONES: usize = 210;

async fn write(store: &Store, at: usize, length: usize) {
    let _ = calls::put(store, &key(0, at), &Bytes::from(vec![1; length]), true, 4096).await;
}

/// Leaves a segment almost full of tombstones that have to be moved as long as an upload runs that began before them.
async fn delete_much(store: &Store) -> Upload {
    for at in 0..TOMBSTONES {
        write(store, at, 20).await;
    }
    let upload = calls::begin(store, &key(0, 999), Some(40_000)).await.expect("room for it");
    for at in 0..TOMBSTONES {
        store.delete(&key(0, at)).await.expect("a delete");
    }
    upload
}

/// Many write side by side: records that fill segments, large artifacts that make the active one the oldest, and small ones whenever another
/// segment has become active.
async fn crowd(store: &Store, runtime: &Arc<dyn Runtime>) {
    let records = async {
        for at in 0..300 {
            write(store, 1000 + at, 4000).await;
        }
    };
    let large = async {
        for at in 0..300 {
            write(store, 2000 + at, 40_000).await;
        }
    };
    let over = AtomicBool::new(false);
    let both = async {
        future::join(records, large).await;
        over.store(true, Ordering::Relaxed);
    };
    let small = async {
        let (mut rotations, mut at) = (0, 3000);
        while !over.load(Ordering::Relaxed) {
            runtime.sleep(Duration::from_micros(100)).await;
            if std::mem::replace(&mut rotations, store.stats().rotations) != rotations {
                for _ in 0..4 {
                    let store = store.clone();
                    runtime.spawn("small", Box::pin(async move { write(&store, at, 1000).await }));
                    at += 1;
                }
            }
        }
    };
    future::join(Box::pin(both), small).await;
}

#[test]
fn what_has_to_move_finds_its_place_however_fast_others_write() {
    for seed in 0..SEEDS {
        let mut machine = Machine::with_seed(seed, Durability::Always, None);
        machine.live(|store, runtime| async move {
            let _upload = delete_much(&store).await;
            let begun = runtime.monotonic();
            Box::pin(crowd(&store, &runtime)).await;
            let took = runtime.monotonic() - begun;
            assert!(took < Duration::from_secs(5), "reclaim found no place now and then, and waited: {took:?}");
        });
    }
}
