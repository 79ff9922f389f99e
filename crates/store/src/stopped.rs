//! A data directory that no server uses, looked at from outside: what lies in it, and what of that does not hold.
//! Promise: nothing is changed but by [`Stopped::repair`] and [`Stopped::mend_store_file`]; only `kura.lock` is held, so that no server starts
//! meanwhile.
//! Not here: one segment (`stopped/examine`), how damage is dropped (`stopped/repair`), words for people (the binary).

mod examine;
mod repair;

use std::sync::Arc;

use kura_disk::buffer::BufferPool;
use kura_disk::{DirEntry, Disk, Lock, Runtime};

use crate::error::{During, Error};
use crate::format::store_file::StoreFile;
use crate::format::{SEGMENTS_DIRECTORY, TEMPORARY_PREFIX};
use crate::geometry::Geometry;
use crate::identify::{Identity, read_identity, write_identity};
use crate::look::Looker;
use crate::recover::{is_ours, segments_of, take_lock};
use crate::types::SegmentNumber;

pub use examine::{Depth, Examined, Seen, State};

/// A stopped directory. It stays locked until this is dropped.
pub struct Stopped {
    disk: Arc<dyn Disk>,
    runtime: Arc<dyn Runtime>,
    identity: StoreFile,
    /// Whether both copies in `STORE` are what was written.
    store_file_is_whole: bool,
    buffers: BufferPool,
    block: u32,
    _lock: Box<dyn Lock>,
}

/// What lies in a data directory.
#[derive(Debug, Default)]
pub struct Contents {
    /// The files that have a segment's name, oldest first.
    pub segments: Vec<SegmentFile>,
    /// Files that were never complete: the next start removes them.
    pub leftovers: Vec<String>,
    /// What is not Kura's: a start leaves it alone, and counts it against the capacity.
    pub strays: Vec<String>,
}

/// A file that has a segment's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentFile {
    /// Its number: its place in the ring.
    pub number: SegmentNumber,
    /// Its length in bytes.
    pub length: u64,
    /// Bytes that it occupies.
    pub allocated: u64,
}

impl Stopped {
    /// Locks the directory and reads who the store is. Creates nothing where there is no store.
    ///
    /// # Errors
    /// `NoStore`, `Locked`, `NewerFormat`, `StoreDamaged`, `Io`.
    pub async fn open(disk: Arc<dyn Disk>, runtime: Arc<dyn Runtime>) -> Result<Stopped, Error> {
        Stopped::open_with_block(disk, runtime, Geometry::BLOCK).await
    }

    /// The same for a store of [`Geometry::simulation`], where a segment's header is lost.
    ///
    /// # Errors
    /// As [`Stopped::open`].
    pub async fn open_with_block(disk: Arc<dyn Disk>, runtime: Arc<dyn Runtime>, block: u32) -> Result<Stopped, Error> {
        // Before the lock, whose file would be made.
        if let Identity::Absent = read_identity(&disk).await? {
            return Err(Error::NoStore);
        }
        let lock = take_lock(&disk).await?;
        let (identity, store_file_is_whole) = match read_identity(&disk).await? {
            Identity::Known { identity, is_whole } => (identity, is_whole),
            Identity::Absent => return Err(Error::NoStore),
            Identity::Damaged => {
                let segments = list(&disk, SEGMENTS_DIRECTORY).await?;
                return Err(Error::StoreDamaged { segments: segments_of(&segments).len() });
            }
        };
        let buffers = BufferPool::default();
        Ok(Stopped { disk, runtime, identity, store_file_is_whole, buffers, block, _lock: lock })
    }

    /// Whether both copies in `STORE` are what was written; one is enough to work with.
    #[must_use]
    pub fn store_file_is_whole(&self) -> bool {
        self.store_file_is_whole
    }

    /// Writes `STORE` anew, so that it has two good copies again.
    ///
    /// # Errors
    /// `Io`: the old one stays.
    pub async fn mend_store_file(&mut self) -> Result<(), Error> {
        write_identity(&self.disk, &self.identity).await?;
        self.disk.sync_directory("", "name of a mended STORE").await.during("syncing STORE's name")?;
        self.store_file_is_whole = true;
        Ok(())
    }

    /// Lists the directory.
    ///
    /// # Errors
    /// `Io`.
    pub async fn contents(&self) -> Result<Contents, Error> {
        let mut contents = Contents::default();
        for directory in ["", SEGMENTS_DIRECTORY] {
            let entries = list(&self.disk, directory).await?;
            if directory == SEGMENTS_DIRECTORY {
                contents.segments = segment_files(&entries);
            }
            for entry in &entries {
                let name = entry.name.as_deref().unwrap_or("(not UTF-8)");
                let path = if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") };
                if !is_ours(directory, entry) {
                    contents.strays.push(path);
                } else if name.starts_with(TEMPORARY_PREFIX) {
                    contents.leftovers.push(path);
                }
            }
        }
        contents.segments.sort_unstable_by_key(|segment| segment.number);
        contents.strays.sort_unstable();
        contents.leftovers.sort_unstable();
        Ok(contents)
    }

    fn looker(&self) -> Looker<'_> {
        Looker { disk: &self.disk, identity: &self.identity, buffers: &self.buffers, block: self.block }
    }
}

fn segment_files(entries: &[DirEntry]) -> Vec<SegmentFile> {
    let file = |found: crate::recover::FoundFile| SegmentFile {
        number: found.number,
        length: found.length,
        allocated: found.space,
    };
    segments_of(entries).into_iter().map(file).collect()
}

/// What a directory holds; one that is not there holds nothing.
async fn list(disk: &Arc<dyn Disk>, directory: &str) -> Result<Vec<DirEntry>, Error> {
    match disk.list(directory).await {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries.during("listing the data directory"),
    }
}
