//! One machine with one store on it: a simulated disk that is watched, the simulation's geometry, one life after another.
#![allow(dead_code, reason = "each file of tests uses a part of it")]

pub(crate) mod bytes_on_disk;
pub(crate) mod captured;
pub(crate) mod skewed_clock;
pub(crate) mod stopped_clock;
pub(crate) mod watched;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kura_disk::sim::{Crash, Rule, SimDisk, World};
use kura_disk::{Disk, Runtime};
use kura_store::format::segment::file_name;
use kura_store::geometry::Geometry;
use kura_store::key::{Attributes, RecordKey};
use kura_store::types::{Encoding, Kind, SegmentNumber, Version};
use kura_store::{Commit, Error, Progress, PutRequest, Settings, Store};
use parking_lot::Mutex;

use skewed_clock::{Skew, SkewedClock};
use stopped_clock::StoppedClock;
use watched::{Journal, Watched};

pub(crate) const EIO: i32 = 5;
pub(crate) const PAGE: u64 = 4096;
/// Bytes of a shared segment in the simulation's geometry.
pub(crate) const SEGMENT: u64 = 64 << 10;
/// Two segments above the least that a store works with.
pub(crate) const BUDGET: u64 = 11 * SEGMENT;
/// Bytes of the machine's filesystem.
pub(crate) const FILESYSTEM: u64 = 64 << 20;

/// A machine, and how its store is opened.
pub(crate) struct Machine {
    pub(crate) world: World,
    pub(crate) settings: Settings,
    /// Whether the clock stands still.
    pub(crate) stopped_clock: bool,
    /// What has been done to its clocks.
    pub(crate) skew: Arc<Skew>,
    /// What the store asked of the disk since the last start.
    pub(crate) journal: Arc<Mutex<Journal>>,
}

impl Machine {
    pub(crate) fn new(seed: u64) -> Machine {
        let machine = Machine {
            world: World::new(seed),
            settings: Settings::new(Geometry::simulation(BUDGET)),
            stopped_clock: false,
            skew: Arc::default(),
            journal: Arc::default(),
        };
        machine.world.disk().set_capacity(FILESYSTEM);
        machine
    }

    /// One in which nothing is kept for having been vouched for in an earlier minute.
    pub(crate) fn without_leases(seed: u64) -> Machine {
        let mut machine = Machine::new(seed);
        machine.settings.lease = Duration::ZERO;
        machine
    }

    pub(crate) fn disk(&self) -> Arc<SimDisk> {
        self.world.disk()
    }

    pub(crate) fn fail(&self, rule: Rule) {
        self.disk().faults(|faults| faults.fail(rule));
    }

    /// A new start's store, not opened yet.
    fn start(&mut self) -> impl Future<Output = Result<Life, Error>> + use<> {
        let (disk, settings) = (self.disk(), self.settings.clone());
        let mut runtime: Arc<dyn Runtime> = Arc::new(SkewedClock::new(self.world.runtime(), Arc::clone(&self.skew)));
        if self.stopped_clock {
            runtime = Arc::new(StoppedClock::new(runtime));
        }
        self.journal = Arc::default();
        let watched: Arc<dyn Disk> = Arc::new(Watched::new(Arc::clone(&disk), Arc::clone(&self.journal)));
        async move {
            let store = Store::open(watched, Arc::clone(&runtime), settings, Arc::new(Progress::default())).await?;
            Ok(Life { store, runtime, disk })
        }
    }

    /// Tries to open the store.
    pub(crate) fn open(&mut self) -> Result<Life, Error> {
        let opening = self.start();
        self.world.block_on(opening)
    }

    /// Opens the store and does `what` with it. What it left running goes on with the next call, unless there is a crash between them.
    pub(crate) fn live<T, F: Future<Output = T>>(&mut self, what: impl FnOnce(Life) -> F) -> T {
        let opening = self.start();
        self.world.block_on(async { what(opening.await.expect("it opens")).await })
    }

    /// As [`Machine::live`], but everything stops after so many disk operations.
    pub(crate) fn live_for<T, F: Future<Output = T>>(
        &mut self,
        operations: u64,
        what: impl FnOnce(Life) -> F,
    ) -> Option<T> {
        let opening = self.start();
        self.world.block_on_for(operations, async { what(opening.await.expect("it opens")).await })
    }

    pub(crate) fn crash(&mut self, crash: Crash) {
        self.world.crash(crash);
    }

    /// The paths of the segments, leftovers included.
    pub(crate) fn segments(&self) -> Vec<String> {
        segments(&self.disk())
    }
}

impl Drop for Machine {
    /// Tasks hold the machine that holds them: without an end they and their disk would stay in memory.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.world.crash(Crash::Process);
        }
    }
}

/// An open store and the machine under it.
#[derive(Clone)]
pub(crate) struct Life {
    pub(crate) store: Store,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) disk: Arc<SimDisk>,
}

impl Life {
    pub(crate) async fn put(&self, name: &str, length: usize) -> Result<Version, Error> {
        put(&self.store, &key(name), &body(name, length), true).await
    }

    /// As [`Life::put`], where there is room for certain.
    pub(crate) async fn keep(&self, name: &str, length: usize) {
        if let Err(error) = self.put(name, length).await {
            panic!("{name}: {error}");
        }
    }

    /// Whether exactly what was put is there. Reading it is a use, and vouches for it.
    pub(crate) async fn has(&self, name: &str, length: usize) -> bool {
        let Some(found) = self.get(name).await else { return false };
        assert!(found == body(name, length), "{name} has other bytes");
        true
    }

    pub(crate) async fn get(&self, name: &str) -> Option<Bytes> {
        get(&self.store, &key(name)).await
    }

    pub(crate) async fn wait(&self, seconds: u64) {
        self.runtime.sleep(Duration::from_secs(seconds)).await;
    }

    /// Writes until so many more segments were evicted; the keeper has its turn after each artifact.
    pub(crate) async fn fill(&self, evictions: u64) {
        let enough = self.store.stats().evictions + evictions;
        while self.store.stats().evictions < enough {
            let written = self.store.stats().bytes_written;
            self.keep(&format!("filler {written}"), 4000).await;
            self.runtime.sleep(Duration::from_millis(1)).await;
        }
    }

    /// Bytes on the ledger.
    pub(crate) fn used(&self) -> u64 {
        self.store.stats().used.iter().map(|(_, bytes)| bytes).sum()
    }

    pub(crate) fn used_by(&self, category: &str) -> u64 {
        self.store.stats().used.iter().find(|(name, _)| *name == category).map_or(0, |(_, bytes)| *bytes)
    }

    /// Ledger and files agree, every file belongs to a segment, and the budget holds.
    pub(crate) fn check(&self, budget: u64) {
        let (files, stats) = (segments(&self.disk), self.store.stats());
        assert_eq!(files.len() as u64, stats.segments, "a file that is no segment, or the other way round: {files:?}");
        let (on_disk, on_ledger) = (self.disk.allocated(), self.used());
        assert!(
            on_disk <= on_ledger && on_ledger <= budget,
            "{on_disk} on disk, {on_ledger} on the ledger, {budget} allowed: {:?}",
            stats.used
        );
    }
}

fn segments(disk: &SimDisk) -> Vec<String> {
    disk.paths().into_iter().filter(|path| path.starts_with("segments/")).collect()
}

pub(crate) fn key(name: &str) -> RecordKey {
    key_of("tenant", "namespace", name)
}

pub(crate) fn key_of(tenant: &str, namespace: &str, name: &str) -> RecordKey {
    RecordKey::new(Kind(1), tenant, namespace, name.as_bytes()).expect("a key")
}

/// Bytes that follow from name and length, none of them zero.
pub(crate) fn body(name: &str, length: usize) -> Bytes {
    let seed = name.bytes().fold(length as u64, |seed, byte| seed.wrapping_mul(31) + u64::from(byte));
    let mut random = fastrand::Rng::with_seed(seed);
    (0..length).map(|_| random.u8(1..)).collect()
}

pub(crate) fn request(key: &RecordKey, length: Option<u64>) -> PutRequest {
    PutRequest { key: key.clone(), attributes: Attributes::default(), encoding: Encoding::Identity, length }
}

pub(crate) async fn put(store: &Store, key: &RecordKey, body: &Bytes, known: bool) -> Result<Version, Error> {
    let mut upload = store.put(request(key, known.then_some(body.len() as u64))).await?;
    for piece in body.chunks(3000) {
        upload.write(body.slice_ref(piece)).await?;
    }
    upload.commit(Commit::default()).await
}

pub(crate) async fn get(store: &Store, key: &RecordKey) -> Option<Bytes> {
    let mut artifact = store.get(key).await.expect("a read")?;
    let mut all = Vec::new();
    while let Some(piece) = artifact.body.next().await.expect("a piece") {
        all.extend_from_slice(&piece);
    }
    Some(all.into())
}

/// A store that holds one artifact in a shared segment and one in a solo, and was killed.
pub(crate) fn with_artifacts() -> Machine {
    let mut machine = Machine::without_leases(1);
    machine.live(|life| async move {
        life.keep("shared", 300).await;
        life.keep("solo", 30_000).await;
        life.wait(2).await;
    });
    machine.crash(Crash::Process);
    machine
}

pub(crate) async fn has_artifacts(life: &Life) -> bool {
    life.has("shared", 300).await && life.has("solo", 30_000).await
}

/// Every file.
pub(crate) fn names(disk: &SimDisk) -> BTreeSet<String> {
    disk.paths().into_iter().collect()
}

/// The file of a segment.
pub(crate) fn segment(number: u64) -> String {
    format!("segments/{}", file_name(SegmentNumber(number)))
}
