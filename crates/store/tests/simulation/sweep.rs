//! The start-up sweep: what a crash left goes, what is not ours stays, and a start does not depend on it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kura_disk::sim::{Crash, Operation, Rule};
use kura_store::{Durability, Store};

use crate::calls;
use crate::machine::{BUDGET, Machine, captured, put, put_to};
use crate::model::key;

const EIO: i32 = 5;

fn machine() -> Machine {
    let mut machine = Machine::new(Durability::Always, None);
    machine.settings.lease = Duration::ZERO;
    machine
}

fn with_one_artifact() -> Machine {
    let mut machine = machine();
    machine.live(|store, runtime| async move {
        put(&store, 0, 300).await;
        runtime.sleep(Duration::from_secs(1)).await;
    });
    machine.world.crash(Crash::Process);
    machine
}

async fn is_there(store: &Store, at: usize) -> bool {
    calls::get(store, &key(0, at)).await.expect("a read").is_some()
}

#[test]
fn sweep_orphaned_segments_removes_stray_files_and_keeps_live_segments() {
    let mut machine = with_one_artifact();
    let disk = machine.world.disk();
    let live: BTreeSet<String> = disk.paths().into_iter().collect();
    let strays = ["segments/tmp-00000000000000aa.seg", "segments/00000000000000bb.seg", "tmp-heat"];
    strays.iter().for_each(|path| disk.plant(path, &[0xab; 9000]));
    let foreign = ["segments/README", "segments/1.seg.bak", "notes.txt"];
    foreign.iter().for_each(|path| disk.plant(path, b"not ours"));
    machine.live(|store, runtime| async move {
        runtime.sleep(Duration::from_secs(1)).await;
        assert_eq!(store.stats().swept, strays.len() as u64);
        assert!(is_there(&store, 0).await);
        let used = store.stats().used;
        let of_others = used.iter().find(|(category, _)| *category == "foreign").unwrap().1;
        assert!(of_others >= 2 * 4096, "files that are not ours are on the ledger: {used:?}");
    });
    let left: BTreeSet<String> = disk.paths().into_iter().collect();
    assert!(strays.iter().all(|path| !left.contains(*path)), "{left:?}");
    assert!(foreign.iter().all(|path| left.contains(*path)), "{left:?}");
    assert!(live.is_subset(&left), "{left:?}");
}

/// Writes until the first eviction is over, and a little longer.
async fn write_past_an_eviction(store: Store, runtime: Arc<dyn kura_disk::Runtime>) {
    for at in 0.. {
        if store.stats().evictions > 1 {
            return;
        }
        put_to(&store, &key(1, at), 7, 4000).await;
        runtime.sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn sweep_orphaned_segments_reclaims_crash_window_segment_and_metadata() {
    // Every operation of the first reclaims is a place to die at: before, between and after unlink and sync.
    let mut rehearsal = machine();
    rehearsal.live(write_past_an_eviction);
    let last = rehearsal.world.operations();
    let mut stranded_files = 0;
    for operations in last.saturating_sub(400)..last {
        for crash in [Crash::Process, Crash::Power] {
            let mut machine = machine();
            let (disk, runtime, settings) = (machine.world.disk(), machine.world.runtime(), machine.settings.clone());
            machine.world.block_on_for(operations, async move {
                let store = calls::open(&disk, &runtime, settings).await.expect("it opens");
                write_past_an_eviction(store, runtime).await;
            });
            machine.world.crash(crash);
            stranded_files += u64::from(nothing_is_stranded(&mut machine));
        }
    }
    assert!(stranded_files > 0, "some of these crashes left something to sweep");
}

/// Opens the store; returns whether there was something to sweep.
fn nothing_is_stranded(machine: &mut Machine) -> bool {
    let disk = machine.world.disk();
    machine.live(|store, runtime| async move {
        runtime.sleep(Duration::from_secs(2)).await;
        let stats = store.stats();
        let files = disk.paths().iter().filter(|path| path.starts_with("segments/")).count() as u64;
        assert_eq!(files, stats.segments, "every file is a segment of the ring: {:?}", disk.paths());
        let used: u64 = stats.used.iter().map(|(_, bytes)| bytes).sum();
        assert!(disk.allocated() <= used && used <= BUDGET, "{} on disk, {used} on the ledger", disk.allocated());
        let mut readable = 0;
        for at in 0..400 {
            let body = calls::get(&store, &key(1, at)).await.expect("a read");
            assert!(body.as_ref().is_none_or(|body| body[..] == [7; 4000]));
            readable += u64::from(body.is_some());
        }
        assert_eq!(readable, stats.index_entries, "every entry of the index leads to its record");
        stats.swept > 0
    })
}

#[test]
fn failed_sweep_warns_and_does_not_block_start() {
    let failures = [(Operation::List, "segments"), (Operation::List, ""), (Operation::Unlink, "tmp-")];
    for (operation, path) in failures {
        let mut machine = with_one_artifact();
        machine.world.disk().plant("segments/tmp-00000000000000aa.seg", &[0xab; 9000]);
        let rule = Rule { operation: Some(operation), path, after: 0, times: 1, errno: EIO };
        machine.world.disk().faults(|faults| faults.fail(rule));
        let log = captured(|| machine.live(|store, _| async move { assert!(is_there(&store, 0).await) }));
        assert!(log.contains("WARN"), "{operation:?} of {path}: {log}");
    }
}
