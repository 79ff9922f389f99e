//! A machine for scenarios: one store on it, one life after another.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kura_disk::sim::{Crash, World};
use kura_disk::{Runtime, SyncReason};
use kura_store::geometry::Geometry;
use kura_store::key::RecordKey;
use kura_store::{Durability, Settings, Store};

use crate::calls;
pub(crate) use crate::captured::captured;
use crate::model::key;

/// Nothing that no sync covered survives.
pub(crate) const BLACKOUT: Crash = Crash::PowerKeeping(0);

/// A machine with one store, opened once for each life.
pub(crate) struct Machine {
    pub(crate) world: World,
    pub(crate) settings: Settings,
}

impl Machine {
    pub(crate) fn new(durability: Durability, ignored: Option<SyncReason>) -> Machine {
        Machine::with_seed(1, durability, ignored)
    }

    pub(crate) fn with_seed(seed: u64, durability: Durability, ignored: Option<SyncReason>) -> Machine {
        let mut settings = Settings::new(Geometry::simulation(BUDGET));
        settings.durability = durability;
        let machine = Machine { world: World::new(seed), settings };
        machine.world.disk().set_capacity(64 << 20);
        machine.ignore(ignored);
        machine
    }

    pub(crate) fn ignore(&self, why: Option<SyncReason>) {
        self.world.disk().faults(|faults| why.into_iter().for_each(|why| faults.ignore_sync(why)));
    }

    /// Opens the store and does `what` with it.
    pub(crate) fn live<T, F: Future<Output = T>>(&mut self, what: impl FnOnce(Store, Arc<dyn Runtime>) -> F) -> T {
        let (disk, runtime, settings) = (self.world.disk(), self.world.runtime(), self.settings.clone());
        self.world.block_on(async move {
            let store = calls::open(&disk, &runtime, settings).await.expect("it opens");
            what(store, runtime).await
        })
    }

    /// What `key` holds after a blackout.
    pub(crate) fn after_blackout(&mut self, key: RecordKey) -> Option<Bytes> {
        self.world.crash(BLACKOUT);
        self.live(|store, _| async move { calls::get(&store, &key).await.expect("a read") })
    }
}

pub(crate) const BUDGET: u64 = 10 * (64 << 10);

pub(crate) async fn put(store: &Store, at: usize, length: usize) {
    put_to(store, &key(0, at), 7, length).await;
}

pub(crate) async fn put_to(store: &Store, key: &RecordKey, byte: u8, length: usize) {
    calls::put(store, key, &Bytes::from(vec![byte; length]), true, 4096).await.expect("a put");
}

/// Writes to the other namespace until a segment has been evicted.
pub(crate) async fn fill(store: &Store, runtime: &Arc<dyn Runtime>) {
    let before = store.stats().evictions;
    for at in 1000.. {
        if store.stats().evictions > before {
            return;
        }
        put_to(store, &key(1, at), 7, 4000).await;
        runtime.sleep(Duration::from_millis(1)).await;
    }
}
