//! One history: a store is opened, clients do what the seed says, then it is stopped or crashes, several times over.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kura_disk::sim::{Crash, SimDisk, World};
use kura_disk::{Disk, Runtime};
use kura_store::geometry::Geometry;
use kura_store::key::{Attributes, RecordKey};
use kura_store::types::Encoding;
use kura_store::{Commit, Durability, Error, Progress, PutRequest, Settings, Stats, Store};
use parking_lot::Mutex;

use crate::model::{Model, NAMESPACES, key, namespace};

const SEGMENT: u64 = 64 << 10;

/// So much that the scrubber goes over everything several times in a history.
const SCRUB_RATE: u64 = 1 << 30;

/// The clients of a history, and the keys that each writes.
const CLIENTS: usize = 3;
const KEYS: usize = 6;

/// What a history is made of.
#[derive(Debug)]
struct Plan {
    budget: u64,
    durability: Durability,
    lives: usize,
    operations: usize,
    largest: usize,
    lease: Duration,
}

impl Plan {
    fn draw(random: &mut fastrand::Rng) -> Plan {
        let durability = match random.u8(0..8) {
            0 => Durability::None,
            1 => Durability::Interval(Duration::from_millis(5)),
            _ => Durability::Always,
        };
        Plan {
            budget: SEGMENT * random.u64(9..14),
            durability,
            lives: random.usize(2..6),
            operations: random.usize(4..60),
            largest: *random.choice(&[300, 3000, 30_000, 140_000]).unwrap(),
            lease: if random.bool() { Duration::ZERO } else { Duration::from_secs(3 * 3600) },
        }
    }

    fn settings(&self) -> Settings {
        let mut settings = Settings::new(Geometry::simulation(self.budget));
        settings.durability = self.durability;
        settings.lease = self.lease;
        settings.open_files = 3;
        settings.heat_interval = Duration::from_millis(20);
        settings.scrub_rate = SCRUB_RATE;
        settings.scrub_interval = Duration::from_millis(5);
        settings
    }
}

pub(crate) async fn open(disk: &Arc<SimDisk>, runtime: &Arc<dyn Runtime>, settings: Settings) -> Result<Store, Error> {
    let disk = Arc::clone(disk) as Arc<dyn Disk>;
    Store::open(disk, Arc::clone(runtime), settings, Arc::new(Progress::default())).await
}

pub(crate) async fn put(store: &Store, key: &RecordKey, body: &Bytes, known: bool, piece: usize) -> Result<(), Error> {
    let request = PutRequest {
        key: key.clone(),
        attributes: Attributes::default(),
        encoding: Encoding::Identity,
        length: known.then_some(body.len() as u64),
    };
    let mut upload = store.put(request).await?;
    for piece in body.chunks(piece) {
        upload.write(body.slice_ref(piece)).await?;
    }
    upload.commit(Commit::default()).await.map(drop)
}

pub(crate) async fn get(store: &Store, key: &RecordKey) -> Result<Option<Bytes>, Error> {
    let Some(mut artifact) = store.get(key).await? else {
        return Ok(None);
    };
    let mut all = Vec::new();
    while let Some(piece) = artifact.body.next().await? {
        all.extend_from_slice(&piece);
    }
    Ok(Some(all.into()))
}

struct Client {
    number: usize,
    store: Store,
    model: Arc<Mutex<Model>>,
    random: fastrand::Rng,
    largest: usize,
}

impl Client {
    async fn run(mut self, operations: usize) {
        for _ in 0..operations {
            match self.random.u8(0..20) {
                0..=8 => self.put().await,
                9..=16 => self.get().await,
                17 | 18 => self.delete().await,
                _ => self.clean().await,
            }
        }
    }

    fn own_key(&mut self) -> RecordKey {
        key(self.random.usize(0..NAMESPACES.len()), self.number * KEYS + self.random.usize(0..KEYS))
    }

    async fn put(&mut self) {
        let key = self.own_key();
        let length = match self.random.u8(0..3) {
            0 => self.random.usize(8..64),
            1 => self.random.usize(8..=self.largest.min(4000)),
            _ => self.random.usize(8..=self.largest),
        };
        let (write, body) = self.model.lock().begin_put(&key, length);
        tracing::debug!(?key, write, length, "put");
        let (known, piece) = (self.random.bool(), self.random.usize(100..9000));
        match put(&self.store, &key, &body, known, piece).await {
            Ok(()) => {
                tracing::debug!(?key, write, "acknowledged");
                self.model.lock().acknowledged(&key, write);
            }
            Err(Error::Busy { .. } | Error::Full(_) | Error::Evicted | Error::Closed) => {}
            Err(error) => panic!("put of {length} bytes: {error}"),
        }
    }

    async fn get(&mut self) {
        let key = key(self.random.usize(0..NAMESPACES.len()), self.random.usize(0..CLIENTS * KEYS));
        let least = self.model.lock().least(&key);
        match get(&self.store, &key).await {
            Ok(Some(bytes)) => self.model.lock().shown(&key, least, &bytes),
            Ok(None) | Err(Error::Evicted | Error::Busy { .. }) => {}
            Err(error) => panic!("get: {error}"),
        }
    }

    async fn delete(&mut self) {
        let key = self.own_key();
        let ends = self.model.lock().begin_end(|other| *other == key);
        tracing::debug!(?key, "delete");
        match self.store.delete(&key).await {
            Ok(_) => self.model.lock().ended(ends),
            Err(Error::Busy { .. } | Error::Closed) => {}
            Err(error) => panic!("delete: {error}"),
        }
    }

    async fn clean(&mut self) {
        let at = self.random.usize(0..NAMESPACES.len());
        let ends = self.model.lock().begin_clean(NAMESPACES[at]);
        tracing::debug!(namespace = NAMESPACES[at], "clean");
        let cleaned = self.store.clean(&namespace(at)).await;
        self.model.lock().end_clean(NAMESPACES[at]);
        match cleaned {
            Ok(()) => self.model.lock().ended(ends),
            Err(Error::Busy { .. } | Error::Closed) => {}
            Err(error) => panic!("clean: {error}"),
        }
    }
}

pub(crate) fn run(seed: u64) {
    run_on(World::new(seed), seed);
}

/// The history of `seed` on a machine with faults of its own.
pub(crate) fn run_on(mut world: World, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let plan = Plan::draw(&mut random);
    world.disk().set_capacity(64 << 20);
    let model = Arc::new(Mutex::new(Model::default()));
    tracing::debug!(?plan);
    for _ in 0..plan.lives {
        live(&mut world, &plan, &model, &mut random);
    }
}

fn live(world: &mut World, plan: &Plan, model: &Arc<Mutex<Model>>, random: &mut fastrand::Rng) {
    let (disk, runtime) = (world.disk(), world.runtime());
    let crash_while_opening = random.u8(0..10) == 0;
    let settings = plan.settings();
    if crash_while_opening {
        let opened = world.block_on_for(random.u64(1..60), open(&disk, &runtime, settings.clone()));
        if let Some(Ok(store)) = &opened {
            model.lock().shed += store.stats().shed_records;
        }
        drop(opened);
        crash(world, plan, model, random.bool());
        assert!(disk.take_peak() <= plan.budget, "over the budget while opening");
    }
    let runtime = world.runtime();
    let store = world.block_on(open(&disk, &runtime, settings)).expect("a store opens after any crash");
    world.block_on(check(&store, &disk, model, plan.budget));
    let clients: Vec<Client> = (0..CLIENTS)
        .map(|number| Client {
            number,
            store: store.clone(),
            model: Arc::clone(model),
            random: random.fork(),
            largest: plan.largest,
        })
        .collect();
    let operations = plan.operations;
    let all = futures_util::future::join_all(clients.into_iter().map(|client| client.run(operations)));
    let stop = random.u8(0..4);
    if stop == 0 {
        world.block_on(all);
        world.block_on(check(&store, &disk, model, plan.budget));
        world.block_on(store.shutdown()).expect("a clean stop");
        model.lock().shed += store.stats().shed_records;
        drop(store);
        // What still runs ends with the process.
        world.crash(Crash::Process);
        return;
    }
    let ended = world.block_on_for(random.u64(1..2500), all);
    model.lock().shed += sound(&store.stats()).shed_records;
    drop((ended, store));
    crash(world, plan, model, stop > 1);
    assert!(disk.take_peak() <= plan.budget, "over the budget");
}

fn crash(world: &mut World, plan: &Plan, model: &Mutex<Model>, power: bool) {
    tracing::debug!(power, "crash");
    world.crash(if power { Crash::Power } else { Crash::Process });
    let mut model = model.lock();
    model.crashed();
    if power && plan.durability != Durability::Always {
        model.forget_certainty();
    }
}

fn sound(stats: &Stats) -> &Stats {
    assert_eq!(stats.damaged, 0, "nothing was damaged, so nothing may look so");
    stats
}

/// At rest: everything certain is there or was evicted, files and ledger agree, and the budget holds.
async fn check(store: &Store, disk: &Arc<SimDisk>, model: &Arc<Mutex<Model>>, budget: u64) {
    let certain = model.lock().certain();
    let mut missing = 0;
    for (key, write) in certain {
        match get(store, &key).await.expect("a read at rest") {
            Some(bytes) => {
                let mut model = model.lock();
                let least = model.least(&key).max(write);
                model.shown(&key, least, &bytes);
            }
            None => {
                tracing::debug!(?key, write, "missing");
                missing += 1;
            }
        }
    }
    let stats = store.stats();
    sound(&stats);
    let shed = model.lock().shed + stats.shed_records;
    assert!(missing <= shed, "{missing} acknowledged artifacts are missing, and {shed} were evicted");
    let segments = disk.paths().iter().filter(|path| path.starts_with("segments/")).count() as u64;
    assert!(segments >= stats.segments.saturating_sub(1), "{} segments and {segments} files", stats.segments);
    assert!(disk.take_peak() <= budget, "over the budget");
    let used: u64 = stats.used.iter().map(|(_, bytes)| bytes).sum();
    assert!(
        disk.allocated() <= used && used <= budget,
        "{} bytes of files, {used} on the ledger: {:?}, {:?}",
        disk.allocated(),
        stats.used,
        disk.paths()
    );
}
