//! What a large upload that failed left on the disk goes before what replaced it does, or a start shows it.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future;
use kura_disk::Runtime;
use kura_disk::sim::{Crash, Faults, Operation, Rule, Slow};
use kura_store::{Commit, Durability, Store, Upload};

use crate::calls;
use crate::machine::Machine;
use crate::model::key;

const EIO: i32 = 5;
const SEGMENT: u64 = 64 << 10;

const OLD: u8 = 1;
const NEW: u8 = 2;

/// Of these seeds some keep on the disk what the failed sync did not cover, and some reclaim the successor at once.
const SEEDS: u64 = 60;

/// Disk operations around the end of the successor's segment.
const OPERATIONS: Range<u64> = 205..216;

/// An upload whose body is complete.
async fn all_but_committed(store: &Store, byte: u8, length: usize) -> Upload {
    let mut upload = calls::begin(store, &key(0, 0), Some(length)).await.expect("a place");
    upload.write(Bytes::from(vec![byte; length])).await.expect("its body");
    upload
}

async fn fill(store: &Store, runtime: &Arc<dyn Runtime>, keys: Range<usize>) {
    for at in keys {
        let _ = calls::put(store, &key(1, at), &Bytes::from(vec![7; 4000]), true, 4096).await;
        runtime.sleep(Duration::from_millis(1)).await;
    }
}

/// What the key shows after a crash that many operations into it: the successor's commit, and its segment's reclaim, while the older upload's sync is
/// under way, which then fails. `None` where the successor was not acknowledged.
fn shown_after(seed: u64, operations: u64) -> Option<Option<u8>> {
    let mut machine = Machine::with_seed(seed, Durability::Always, None);
    machine.settings.lease = Duration::ZERO;
    let (disk, runtime, settings) = (machine.world.disk(), machine.world.runtime(), machine.settings.clone());
    let world = &mut machine.world;
    let store = world.block_on(calls::open(&disk, &runtime, settings)).expect("it opens");
    let segments = || disk.paths().into_iter().filter_map(|path| Some(path.strip_prefix("segments/")?.to_owned()));
    let newer = world.block_on(all_but_committed(&store, NEW, 10_000));
    let its_segment = segments().next().expect("there is one");
    world.block_on(fill(&store, &runtime, 0..40));
    let older = world.block_on(all_but_committed(&store, OLD, 40_000));
    let length = |name: &String| disk.content(&format!("segments/{name}")).map_or(0, |content| content.len() as u64);
    let solo = segments().find(|name| length(name) < SEGMENT).expect("a segment of its own");
    disk.faults(|faults| {
        faults.slow(Slow { operation: Operation::Sync, path: solo.clone(), by: Duration::from_secs(10) });
        faults.slow(Slow { operation: Operation::Read, path: its_segment, by: Duration::from_secs(20) });
        faults.fail(Rule { operation: Some(Operation::Sync), path: solo.leak(), after: 0, times: 1, errno: EIO });
    });
    let acknowledged = AtomicBool::new(false);
    let successor = async {
        runtime.sleep(Duration::from_secs(1)).await;
        newer.commit(Commit::default()).await.expect("a commit");
        acknowledged.store(true, Ordering::Relaxed);
        fill(&store, &runtime, 100..200).await;
    };
    world.block_on_for(operations, future::join(older.commit(Commit::default()), successor));
    drop(store);
    disk.faults(Faults::heal);
    machine.world.crash(Crash::Process);
    let shown = machine
        .live(|store, _| async move { calls::get(&store, &key(0, 0)).await.expect("a read").map(|body| body[0]) });
    acknowledged.into_inner().then_some(shown)
}

#[test]
fn what_a_large_upload_that_failed_left_goes_before_what_replaced_it() {
    let mut gone = 0;
    for (seed, operations) in (0..SEEDS).flat_map(|seed| OPERATIONS.map(move |operations| (seed, operations))) {
        let Some(shown) = shown_after(seed, operations) else { continue };
        assert_ne!(shown, Some(OLD), "seed {seed}, {operations} operations");
        gone += u64::from(shown.is_none());
    }
    assert!(gone > 0, "no successor was evicted: it tests nothing");
}
