//! What is held against a store at rest, with nothing failing any more.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kura_disk::Runtime;
use kura_disk::sim::SimDisk;
use kura_store::{Error, Stats, Store};
use parking_lot::Mutex;

use crate::calls::{get, put};
use crate::model::{Model, NAMESPACES, key};
use crate::plan::{CLIENTS, KEYS, Plan};

/// Long enough for the keeper to have looked around twice, and to have tried again what failed.
const A_WHILE: Duration = Duration::from_secs(3);

/// How often a writer comes back before it says that there is no progress.
const PATIENCE: usize = 5;

/// Damage needs a reason.
pub(crate) fn sound<'a>(stats: &'a Stats, plan: &Plan) -> &'a Stats {
    let may_be_damaged = plan.trouble.as_ref().is_some_and(|trouble| trouble.flips || trouble.hits_reads());
    assert!(stats.damaged == 0 || may_be_damaged, "nothing was damaged, so nothing may look so");
    stats
}

/// Everything certain is there or was evicted, what is there can be read, files and ledger agree, and the budget holds.
pub(crate) async fn check(store: &Store, disk: &Arc<SimDisk>, model: &Arc<Mutex<Model>>, plan: &Plan) {
    let certain = model.lock().certain();
    let lost_before = lost(store, model);
    let mut missing = Vec::new();
    for (key, write) in certain {
        match get(store, &key).await {
            Ok(Some(bytes)) => {
                let mut model = model.lock();
                let least = model.least(&key).max(write);
                model.shown(&key, least, &bytes);
            }
            Ok(None) | Err(Error::Corrupt { .. }) => {
                tracing::debug!(?key, write, "missing");
                missing.push(key);
            }
            Err(error) => panic!("a read at rest: {error}"),
        }
    }
    let stats = store.stats();
    sound(&stats, plan);
    let lost = lost(store, model) - model.lock().settled;
    assert!(
        missing.len() as u64 <= lost,
        "{missing:?} were acknowledged and are missing, and {lost} were evicted or damaged"
    );
    model.lock().settle(lost_before, &missing);
    check_all_keys(store, model, plan).await;
    check_ledger(store, disk, plan);
}

/// Records that were evicted or found damaged, in all lives.
fn lost(store: &Store, model: &Arc<Mutex<Model>>) -> u64 {
    let stats = store.stats();
    model.lock().lost + stats.shed_records + stats.damaged
}

/// An entry of the index leads to bytes, and these are not older than what was shown or ended.
async fn check_all_keys(store: &Store, model: &Arc<Mutex<Model>>, plan: &Plan) {
    for at in 0..NAMESPACES.len() * CLIENTS * KEYS {
        let key = key(at % NAMESPACES.len(), at / NAMESPACES.len());
        let least = model.lock().least(&key);
        let there = store.contains(&key).is_some();
        // With quotas there may be no rest: who is over loses leases too.
        let lost = |stats: Stats| stats.damaged + if plan.quotas { stats.lost_leases } else { 0 };
        let before = lost(store.stats());
        match get(store, &key).await {
            Ok(Some(bytes)) => model.lock().shown(&key, least, &bytes),
            Ok(None) | Err(Error::Corrupt { .. }) => {
                assert!(!there || lost(store.stats()) > before, "{key:?} is said to be there and is not");
            }
            Err(error) => panic!("a read at rest: {error}"),
        }
    }
    sound(&store.stats(), plan);
}

fn check_ledger(store: &Store, disk: &SimDisk, plan: &Plan) {
    let stats = store.stats();
    assert!(disk.take_peak() <= plan.budget, "over the budget");
    let used: u64 = stats.used.iter().map(|(_, bytes)| bytes).sum();
    assert!(
        disk.allocated() <= used && used <= plan.budget,
        "{} bytes of files, {used} on the ledger: {:?}, {:?}",
        disk.allocated(),
        stats.used,
        disk.paths()
    );
}

/// Once nothing fails any more: every file is known, the ledger is what the disk holds, and writers find room again.
pub(crate) async fn check_recovery(
    store: &Store,
    disk: &Arc<SimDisk>,
    runtime: &Arc<dyn Runtime>,
    opened_in_trouble: bool,
) {
    runtime.sleep(A_WHILE).await;
    if !store.stats().read_only {
        write_on(store, runtime).await;
        runtime.sleep(A_WHILE).await;
    }
    check_files(store, disk, opened_in_trouble);
}

/// Once the keeper has looked around: every file is a segment of the ring. A start that could not remove a leftover leaves it to the next.
pub(crate) fn check_files(store: &Store, disk: &SimDisk, leftovers: bool) {
    let mut files: Vec<String> = disk.paths().into_iter().filter(|path| path.starts_with("segments/")).collect();
    files.retain(|path| !(leftovers && path.contains("/tmp-")));
    assert_eq!(files.len() as u64, store.stats().segments, "every file is a segment of the ring: {files:?}");
}

/// More than fits the active segment and the spare.
pub(crate) async fn write_on(store: &Store, runtime: &Arc<dyn Runtime>) {
    for at in 0..40 {
        let mut tries = 0;
        while let Err(error) = put(store, &key(1, 1000 + at), &Bytes::from(vec![1; 4000]), true, 4000).await {
            tries += 1;
            let waits = matches!(error, Error::Busy { .. } | Error::Full(_) | Error::Evicted);
            assert!(waits && tries < PATIENCE, "no progress once nothing fails any more: {error}");
            runtime.sleep(Duration::from_secs(1)).await;
        }
    }
}
