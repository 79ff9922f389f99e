//! What a build cache means, above the store and below the protocols: one entry, [`Cache`], for all of them.
//!
//! - `artifact`: names. The way an [`ArtifactKey`] was made says what its bytes have to hold.
//! - `cas`: blobs are verified while they stream in, and never change.
//! - `action`: an action result is served only while every blob that it names is there; `names` reads what that is, `memory` remembers it.
//! - `presence`: what is there; `questions`: what one request asks about that.
//! - `splice`: a blob may be a list of others, a `recipe`, that is read back as one (`spliced`) and is there only while they all are; `chunk` cuts one
//!   that is stored in one piece, `unnamed` one that comes without its digest, both by `cutting`, where `chunker` says.
//! - `keyed`: the last writer wins.
//! - `multipart`: a keyed value that comes in parts, and stays a list of them, an `assembly`.
//! - `fetch`: bodies in the form that their reader wants; `transcode`, `zstd` and `pool` do the work, a bounded amount at a time.
//! - `namespace`: emptied as one. `list`: what is in it. `age`: how long values are there.
//! - `overlay`: a namespace over another, which is read and not written.
//! - `writer`: who stores.
//!
//! Absent on purpose: HTTP and gRPC (the adapters), files and segments (the store), and any task of its own.

mod action;
mod age;
mod artifact;
mod assembly;
mod body;
mod cas;
mod chunk;
mod chunker;
mod counters;
mod cutting;
mod digest;
mod error;
mod fetch;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod gate;
mod gathered;
mod keyed;
pub mod limits;
mod list;
mod memory;
mod multipart;
mod names;
mod namespace;
mod overlay;
mod pool;
mod presence;
mod questions;
mod recipe;
mod splice;
mod spliced;
mod transcode;
mod turns;
mod unnamed;
mod upload;
pub mod wire;
mod workspace;
mod writer;
mod zstd;

use std::sync::Arc;

use bytes::Bytes;
use kura_disk::Runtime;
use kura_store::{Stats, Store};

pub use age::{Ages, TenantAges};
pub use artifact::{ArtifactKey, DEFAULT_NAME, InvalidKey, Kind, Namespace, Overlay, Scope, Tenant};
pub use body::{Body, Pieces};
pub use chunk::Chunks;
pub use chunker::{AVERAGE_CHUNK_SIZE, CHUNKING_SEED, Chunking, MAX_CHUNK_SIZE};
pub use counters::KindStats;
pub use digest::{Digest, DigestFunction, MAX_HASH_LEN, Verifier};
pub use error::Error;
pub use fetch::{Compression, Form};
pub use kura_store::key::{AttributeName, Attributes};
pub use kura_store::types::Version;
pub use list::{Listed, Listing, Window};
pub use multipart::{Multipart, Part, PartLimits, PartNumber, PartUpload, UploadId};
pub use overlay::OverlaySettings;
pub use presence::{Presence, Probe};
pub use unnamed::Unnamed;
pub use upload::{Stored, Upload};
pub use workspace::Workspace;
pub use writer::WRITER;

use action::ReadAs;
use assembly::Assembly;
use counters::Counters;
use fetch::Codecs;
use gate::Gate;
use list::Place;
use memory::Memory;
use multipart::UnderWay;
use names::Names;
use recipe::{Recipe, StoredAt};
use turns::Turns;

/// The cache. Clones share it.
#[derive(Clone)]
pub struct Cache {
    inner: Arc<Inner>,
    /// What stands for whoever stores through this.
    writer: Option<Arc<str>>,
}

/// What the operator decides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settings {
    /// Whether to store blobs as zstd that come as they are, where they are short and it makes them smaller.
    pub compress: bool,
    /// What may be in memory at a time.
    pub workspace: Workspace,
    /// What holds of each overlay.
    pub overlays: OverlaySettings,
}

struct Inner {
    store: Store,
    settings: Settings,
    runtime: Arc<dyn Runtime>,
    counters: Counters,
    /// Bounds the trees that completeness checks hold in memory.
    trees: Gate,
    /// What trees and directories named.
    named: Memory<ReadAs, Names>,
    /// What blobs that are recipes are made of.
    recipes: Memory<StoredAt, Recipe>,
    /// What uploaded artifacts are made of.
    assemblies: Memory<StoredAt, Assembly>,
    /// Uploads in parts that are under way.
    uploads: UnderWay,
    /// What was sent to overlays.
    sent: overlay::Sent,
    ages: age::InForce,
    codecs: Codecs,
    /// Of those who store blobs, or change an upload in parts.
    turns: Turns,
    /// Bounds the blobs that are being cut into chunks.
    chunkers: Gate,
    /// Of lists that are looked for one is at a time.
    lister: Gate,
    /// Lists that somebody may go on with.
    windows: Memory<Place, Window>,
}

/// An artifact that is there.
#[derive(Debug)]
pub struct Artifact {
    /// Bytes of its content.
    pub length: u64,
    /// When it was stored.
    pub version: Version,
    /// What was kept beside the body.
    pub attributes: Attributes,
    /// How the body is compressed: not at all, unless it was asked for like that.
    pub compression: Compression,
    /// The bytes.
    pub body: Body,
}

impl Artifact {
    fn in_memory(body: Bytes, version: Version, attributes: Attributes) -> Artifact {
        let (length, compression) = (body.len() as u64, Compression::Identity);
        Artifact { length, version, attributes, compression, body: Body::Whole(body) }
    }
}

impl Cache {
    /// A cache in `store`, with the default settings.
    #[must_use]
    pub fn new(store: Store, runtime: Arc<dyn Runtime>) -> Cache {
        Cache::with_settings(store, runtime, Settings::default())
    }

    /// A cache in `store`.
    #[must_use]
    pub fn with_settings(store: Store, runtime: Arc<dyn Runtime>, settings: Settings) -> Cache {
        let inner = Inner {
            counters: Counters::default(),
            trees: Gate::new(settings.workspace.trees),
            named: Memory::new(settings.workspace.trees_remembered),
            recipes: Memory::new(settings.workspace.recipes_remembered),
            assemblies: Memory::new(limits::ASSEMBLIES_REMEMBERED),
            uploads: UnderWay::default(),
            sent: overlay::Sent::default(),
            ages: age::InForce::default(),
            codecs: Codecs::new(settings.workspace.codecs, &runtime),
            turns: Turns::default(),
            chunkers: Gate::new(limits::CHUNKERS),
            lister: Gate::new(1),
            windows: Memory::new(settings.workspace.windows_remembered()),
            store,
            settings,
            runtime,
        };
        Cache { inner: Arc::new(inner), writer: None }
    }

    /// The artifact, if it is there and can be vouched for. Counts as a hit or a miss.
    ///
    /// # Errors
    /// `Busy`, `Store`. What is damaged is a miss.
    pub async fn get(&self, key: &ArtifactKey) -> Result<Option<Artifact>, Error> {
        self.get_as(key, Form::Identity).await
    }

    /// Removes the artifact; whether it was there. The empty blob stays.
    ///
    /// # Errors
    /// `Busy`, `Full`, `ReadOnly`, `Closed`.
    pub async fn delete(&self, key: &ArtifactKey) -> Result<bool, Error> {
        let parts = self.assembly_of(key).await?;
        let found = self.inner.store.peek(&key.record);
        let is_over = found.is_some_and(|found| !self.is_fresh(&key.scope, &key.record, found.version));
        let there = self.inner.store.delete(&key.record).await? && !is_over;
        if let Some((parts, _)) = parts {
            self.delete_parts(&key.scope, &parts).await;
        }
        Ok(there)
    }

    /// The largest body taken, in bytes.
    #[must_use]
    pub fn max_artifact_size(&self) -> u64 {
        self.inner.store.max_artifact_size()
    }

    /// Bytes of memory that grow with what is stored.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.inner.store.memory()
    }

    /// The store's figures.
    #[must_use]
    pub fn store_stats(&self) -> Stats {
        self.inner.store.stats()
    }

    /// What happened to each kind of artifact.
    #[must_use]
    pub fn kind_stats(&self) -> Vec<(Kind, KindStats)> {
        self.inner.counters.snapshot()
    }
}
