//! A cache on a simulated machine: one thread, virtual time, a disk in memory.
#![allow(dead_code, reason = "each file of tests uses a part of it")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kura_cache::{
    ArtifactKey, Attributes, Cache, Chunking, Digest, DigestFunction, Error, Form, Scope, Stored, Upload,
};
use kura_disk::Runtime;
use kura_disk::sim::{Crash, Operation, Rule, SimDisk, World};
use kura_store::geometry::Geometry;
use kura_store::{Progress, Settings, Store};

pub(crate) const SHA256: DigestFunction = DigestFunction::Sha256;

pub(crate) const MIB: usize = 1 << 20;

/// Enough for bodies of some mebibytes: the largest is a quarter of it.
pub(crate) const BUDGET: u64 = 64 << 20;

#[derive(Clone)]
pub(crate) struct Life {
    pub(crate) store: Store,
    pub(crate) cache: Cache,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) disk: Arc<SimDisk>,
    pub(crate) scope: Scope,
}

/// A machine that outlives the caches on it.
pub(crate) struct Machine {
    world: World,
    settings: Settings,
    chosen: kura_cache::Settings,
}

impl Machine {
    pub(crate) fn new() -> Machine {
        Machine::with_budget(BUDGET)
    }

    pub(crate) fn with_budget(budget: u64) -> Machine {
        Machine::with_seed(1, budget)
    }

    pub(crate) fn with_seed(seed: u64, budget: u64) -> Machine {
        let machine = Machine {
            world: World::new(seed),
            settings: Settings::new(Geometry::simulation(budget)),
            chosen: kura_cache::Settings::default(),
        };
        machine.world.disk().set_capacity(4 * budget);
        machine
    }

    pub(crate) fn disk(&self) -> Arc<SimDisk> {
        self.world.disk()
    }

    /// Opens a cache, does `what` with it, and kills it.
    pub(crate) fn live<T, F: Future<Output = T>>(&mut self, what: impl FnOnce(Life) -> F) -> T {
        self.live_for(u64::MAX, Crash::Process, what).expect("it is not killed before its end")
    }

    /// The same, killed after so many operations of the disk; nothing, if it had not come to its end by then.
    pub(crate) fn live_for<T, F: Future<Output = T>>(
        &mut self,
        operations: u64,
        crash: Crash,
        what: impl FnOnce(Life) -> F,
    ) -> Option<T> {
        let (disk, runtime) = (self.world.disk(), self.world.runtime());
        let (settings, chosen) = (self.settings.clone(), self.chosen);
        let done = self.world.block_on_for(operations, async move {
            let progress = Arc::new(Progress::default());
            let store = Store::open(disk.clone(), Arc::clone(&runtime), settings, progress).await.unwrap();
            let cache = Cache::with_settings(store.clone(), Arc::clone(&runtime), chosen);
            what(Life { store, cache, runtime, disk, scope: Scope::default() }).await
        });
        // Tasks hold the machine that holds them: without an end they and their disk would stay in memory.
        self.world.crash(crash);
        done
    }
}

/// Opens a cache on a new machine, and does `what` with it.
pub(crate) fn live<T, F: Future<Output = T>>(what: impl FnOnce(Life) -> F) -> T {
    Machine::new().live(what)
}

pub(crate) fn live_with<T, F: Future<Output = T>>(chosen: kura_cache::Settings, what: impl FnOnce(Life) -> F) -> T {
    Machine { chosen, ..Machine::new() }.live(what)
}

impl Life {
    pub(crate) fn blob(&self, digest: &Digest) -> ArtifactKey {
        ArtifactKey::blob(&self.scope, digest).unwrap()
    }

    /// Stores a blob under its digest.
    pub(crate) async fn add(&self, body: &[u8]) -> Digest {
        let digest = Digest::of(SHA256, body);
        let upload = self.cache.put(&self.blob(&digest), Attributes::default(), digest.size()).await.unwrap();
        send(upload, body).await.unwrap();
        digest
    }

    pub(crate) async fn put_zstd(&self, digest: &Digest, frames: &[u8]) -> Result<Stored, Error> {
        send(self.cache.put_zstd(&self.blob(digest), Attributes::default(), None).await?, frames).await
    }

    /// Stores a blob as zstd under its digest.
    pub(crate) async fn add_zstd(&self, body: &[u8], frames: &[u8]) -> Digest {
        let digest = Digest::of(SHA256, body);
        self.put_zstd(&digest, frames).await.unwrap();
        digest
    }

    pub(crate) async fn get(&self, digest: &Digest) -> Option<Bytes> {
        self.get_as(digest, Form::Identity).await
    }

    pub(crate) async fn get_as(&self, digest: &Digest, form: Form) -> Option<Bytes> {
        let found = self.cache.get_as(&self.blob(digest), form).await.unwrap()?;
        Some(found.body.collect().await.unwrap())
    }

    pub(crate) async fn has(&self, digest: &Digest) -> bool {
        self.cache.present(&self.blob(digest)).await.unwrap().is_some()
    }

    pub(crate) async fn splice(&self, blob: &Digest, chunks: &[Digest]) -> Result<Stored, Error> {
        self.cache.splice(&self.scope, blob, chunks, Chunking::Unknown).await
    }

    /// Writes blobs that nobody asks for until so many bytes have come.
    pub(crate) async fn fill(&self, bytes: u64) {
        let enough = self.store.stats().bytes_written + bytes;
        while self.store.stats().bytes_written < enough {
            self.add(&compressible(self.store.stats().bytes_written, 50_000)).await;
        }
    }

    pub(crate) async fn delete(&self, digest: &Digest) {
        assert!(self.cache.delete(&self.blob(digest)).await.unwrap(), "{digest:?} was there");
    }

    /// From now on nothing can be read.
    pub(crate) fn fail_reads(&self) {
        let rule = Rule { operation: Some(Operation::Read), path: "segments/", after: 0, times: u64::MAX, errno: 5 };
        self.disk.faults(|faults| faults.fail(rule));
    }

    pub(crate) async fn wait(&self, duration: Duration) {
        self.runtime.sleep(duration).await;
    }
}

/// Sends a body in pieces.
pub(crate) async fn send(mut upload: Upload, body: &[u8]) -> Result<Stored, Error> {
    for piece in body.chunks(10_000) {
        upload.write(Bytes::copy_from_slice(piece)).await?;
    }
    upload.commit().await
}

/// One zstd frame that holds `content`.
pub(crate) fn frame(content: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(zstd_safe::compress_bound(content.len()));
    zstd_safe::compress(&mut frame, content, 3).unwrap();
    frame
}

/// The content of one frame.
pub(crate) fn content(frame: &[u8]) -> Vec<u8> {
    let length = zstd_safe::get_frame_content_size(frame).unwrap().unwrap();
    let mut content = Vec::with_capacity(usize::try_from(length).unwrap());
    zstd_safe::decompress(&mut content, frame).unwrap();
    content
}

/// Bytes that compress to about half, the same for the same seed.
pub(crate) fn compressible(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        b"abcdefghijklmnop"[(state >> 60) as usize]
    };
    (0..length).map(|_| next()).collect()
}

/// Bytes that look like no others.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}
