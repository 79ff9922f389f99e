//! One history: a store is opened, clients do what the seed says, then it is stopped or crashes, several times over.
//! Not here: what is drawn (`plan`), what goes wrong (`trouble`), what clients do (`client`), what is held against the store (`model`, `oracle`).

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, select};
use kura_disk::Runtime;
use kura_disk::sim::{Crash, SimDisk, World};
use kura_store::{Durability, Error, Quota, Settings, Store};
use parking_lot::Mutex;

use crate::calls::open;
use crate::client::Client;
use crate::model::Model;
use crate::oracle::{check, check_recovery, sound};
use crate::plan::{CLIENTS, Part, Plan, Tale};
use crate::trouble::Trouble;

/// How long quotas hold at most. Most operations of the disk take well under a millisecond.
const LONGEST_QUOTAS_MICROS: u64 = 50_000;

pub(crate) fn run(tale: &Tale) {
    run_on(World::new(tale.seed), tale);
}

/// A history on a machine with faults of its own.
pub(crate) fn run_on(world: World, tale: &Tale) {
    let plan = Plan::draw(tale);
    tracing::debug!(?plan);
    let times = plan.trouble.as_ref().and_then(|trouble| trouble.shared);
    world.disk().set_capacity(times.map_or(64 << 20, |times| times * plan.budget));
    let mut history = History { world, tale, plan, quotas: Vec::new(), model: Arc::default(), failed_syncs: false };
    for life in 0..history.plan.lives {
        history.live(life);
    }
}

struct History<'a> {
    world: World,
    tale: &'a Tale,
    plan: Plan,
    /// Those that hold when the store opens.
    quotas: Vec<Quota>,
    model: Arc<Mutex<Model>>,
    /// Whether a sync has failed in this life.
    failed_syncs: bool,
}

impl History<'_> {
    fn machine(&self) -> (Arc<SimDisk>, Arc<dyn Runtime>) {
        (self.world.disk(), self.world.runtime())
    }

    fn settings(&self) -> Settings {
        self.plan.settings(&self.quotas)
    }

    fn live(&mut self, life: usize) {
        let mut random = self.tale.random(Part::Life(life));
        if self.plan.trouble.as_ref().is_some_and(|trouble| trouble.flips)
            && Trouble::flip(&self.world.disk(), &mut random)
        {
            self.model.lock().forget();
        }
        if random.bool() {
            self.quotas = self.plan.draw_quotas(&mut random);
        }
        if random.u8(0..10) == 0 {
            let (disk, runtime) = self.machine();
            let opened = self.world.block_on_for(random.u64(1..60), open(&disk, &runtime, self.settings()));
            if let Some(Ok(store)) = opened {
                self.close(store);
            }
            self.crash(random.bool());
        }
        let (store, in_trouble) = self.open(&mut random);
        let (disk, runtime) = self.machine();
        self.world.block_on(check(&store, &disk, &self.model, &self.plan));

        let stop = random.u8(0..4);
        let limit = if stop == 0 { u64::MAX } else { random.u64(1..2500) };
        let ended = self.work(life, &store, limit, random.fork());
        if ended && stop == 0 {
            Trouble::end(&disk);
            if self.plan.trouble.is_some() {
                self.world.block_on(check_recovery(&store, &disk, &runtime, in_trouble));
            }
            self.world.block_on(check(&store, &disk, &self.model, &self.plan));
            self.world.block_on(store.shutdown()).expect("a clean stop");
            self.close(store);
            // What still runs ends with the process.
            self.crash(false);
            return;
        }
        self.close(store);
        self.crash(stop > 1);
    }

    /// Lets the clients work, for so many operations of the disk at most. Returns whether they came to their end.
    fn work(&mut self, life: usize, store: &Store, limit: u64, mut random: fastrand::Rng) -> bool {
        let (disk, runtime) = self.machine();
        let quotas = Box::pin(change_quotas(store, Arc::clone(&runtime), &self.plan, random.fork()));
        let clients = (0..CLIENTS).map(|number| {
            let (store, model) = (store.clone(), Arc::clone(&self.model));
            Client { number, store, model, tale: self.tale, plan: &self.plan }.run(life)
        });
        let all = select(Box::pin(join_all(clients)), quotas);
        let budget = self.plan.budget;
        match &self.plan.trouble {
            None => self.world.block_on_for(limit, all).is_some(),
            Some(trouble) => {
                let trouble = Box::pin(trouble.come_and_go(disk, runtime, budget, random));
                self.world.block_on_for(limit, select(Box::pin(all), trouble)).is_some()
            }
        }
    }

    /// Opens the store. Where something goes wrong meanwhile it may refuse; once nothing does, it must not.
    fn open(&mut self, random: &mut fastrand::Rng) -> (Store, bool) {
        let (disk, runtime) = self.machine();
        let in_trouble = random.u8(0..3) == 0;
        if let Some(trouble) = self.plan.trouble.as_ref().filter(|_| in_trouble) {
            trouble.begin(&disk);
            let opened = self.world.block_on(open(&disk, &runtime, self.settings()));
            Trouble::end(&disk);
            match opened {
                Ok(store) => {
                    let stats = store.stats();
                    // What a start cannot read is neither there nor does it hide what it had replaced. One that fails to sync what a killed process has
                    // shown takes what the device has of it.
                    let lossy = stats.failed_segments > 0 && self.plan.durability != Durability::Always;
                    if stats.unread_segments > 0 || lossy {
                        self.model.lock().forget();
                    }
                    return (store, true);
                }
                Err(Error::Io { .. }) => {
                    self.failed_syncs |= trouble.hits_syncs();
                    self.crash(random.bool());
                }
                Err(error) => panic!("a start in trouble: {error}"),
            }
        }
        let runtime = self.world.runtime();
        let opened = self.world.block_on(open(&disk, &runtime, self.settings()));
        (opened.expect("a store opens after any crash"), false)
    }

    /// The store's process is over: what it counted is remembered.
    fn close(&mut self, store: Store) {
        let stats = store.stats();
        sound(&stats, &self.plan);
        self.model.lock().lost += stats.shed_records + stats.damaged;
        self.failed_syncs |= stats.failed_segments > 0;
        if stats.damaged > 0 {
            // What a damaged record had replaced may show once its segment has gone.
            self.model.lock().forget_but(|key| store.contains(key).is_some());
        }
        let used: u64 = stats.used.iter().map(|(_, bytes)| bytes).sum();
        let allocated = self.world.disk().allocated();
        assert!(allocated <= used, "{allocated} bytes of files and {used} on the ledger: {:?}", stats.used);
        drop(store);
        Trouble::end(&self.world.disk());
        assert!(self.world.disk().take_peak() <= self.plan.budget, "over the budget");
    }

    fn crash(&mut self, power: bool) {
        tracing::debug!(power, "crash");
        self.world.crash(if power { Crash::Power } else { Crash::Process });
        assert!(self.world.disk().take_peak() <= self.plan.budget, "over the budget");
        let mut model = self.model.lock();
        model.crashed();
        // After a failed sync the system drops what the device did not take, whenever it likes.
        let lossy = power || std::mem::take(&mut self.failed_syncs);
        let lossy = lossy && self.plan.durability != Durability::Always;
        if lossy {
            model.forget();
        }
    }
}

/// Has other quotas hold now and then, for as long as clients are at work.
async fn change_quotas(store: &Store, runtime: Arc<dyn Runtime>, plan: &Plan, mut random: fastrand::Rng) {
    if !plan.quotas {
        std::future::pending::<()>().await;
    }
    loop {
        runtime.sleep(Duration::from_micros(random.u64(0..LONGEST_QUOTAS_MICROS))).await;
        let quotas = plan.draw_quotas(&mut random);
        tracing::debug!(?quotas);
        store.set_quotas(quotas).expect("quotas of two segments or more");
    }
}
