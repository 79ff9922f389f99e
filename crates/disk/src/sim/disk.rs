//! [`SimDisk`]: the [`Disk`] of a [`World`](super::World).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use super::executor::Core;
use super::files::{Files, Inode};
use super::{Crash, Faults, Operation};
use crate::{Buffer, DirEntry, Disk, File, Io, Lock, Space, SyncReason};

/// How often a read finds its bytes in the cache: three times in four.
const CACHED_IN_FOUR: u8 = 3;

/// The system's word for too many open files.
const EMFILE: i32 = 24;

/// A disk in memory.
pub struct SimDisk {
    shared: Arc<Shared>,
}

struct Shared {
    core: Arc<Core>,
    files: Mutex<Files>,
    faults: Mutex<Faults>,
    locked: Mutex<Option<u64>>,
    /// Counts crashes: what was opened before one means nothing after it.
    life: AtomicU64,
    syncs: Mutex<std::collections::BTreeSet<SyncReason>>,
}

impl Shared {
    /// Whether what was opened in that life still means something.
    fn check_life(&self, life: u64) -> io::Result<()> {
        if self.life.load(Ordering::Relaxed) == life {
            Ok(())
        } else {
            Err(io::Error::other("the machine has crashed"))
        }
    }

    fn delay(&self, operation: Operation, path: &str) -> Duration {
        self.faults.lock().delay(operation, path)
    }

    /// Counts an operation and sets the clock by which it takes effect.
    fn check(&self, operation: Operation, path: &str) -> io::Result<()> {
        self.core.count_operation(operation as u64 + 1);
        self.files.lock().unix_millis = self.core.unix_millis();
        self.core.random(|random| self.faults.lock().check(operation, path, random))
    }

    fn operate<T: Send + 'static>(
        self: &Arc<Self>,
        operation: Operation,
        path: &str,
        work: impl FnOnce(&Arc<Shared>, &str) -> io::Result<T> + Send + 'static,
    ) -> Io<T> {
        let (shared, path) = (Arc::clone(self), path.to_owned());
        let life = self.life.load(Ordering::Relaxed);
        self.core.operate(self.delay(operation, &path), move || {
            shared.check_life(life)?;
            shared.check(operation, &path)?;
            work(&shared, &path)
        })
    }
}

impl SimDisk {
    pub(super) fn new(core: &Arc<Core>) -> Arc<SimDisk> {
        let shared = Shared {
            core: Arc::clone(core),
            files: Mutex::default(),
            faults: Mutex::default(),
            locked: Mutex::new(None),
            life: AtomicU64::new(0),
            syncs: Mutex::default(),
        };
        Arc::new(SimDisk { shared: Arc::new(shared) })
    }

    pub(super) fn crash(&self, crash: &Crash) {
        self.shared.life.fetch_add(1, Ordering::Relaxed);
        *self.shared.locked.lock() = None;
        self.shared.core.random(|random| self.shared.files.lock().crash(crash, random));
    }

    /// Changes what goes wrong.
    pub fn faults<T>(&self, change: impl FnOnce(&mut Faults) -> T) -> T {
        change(&mut self.shared.faults.lock())
    }

    /// The size of the filesystem in bytes.
    pub fn set_capacity(&self, bytes: u64) {
        self.shared.files.lock().capacity = bytes;
    }

    /// Bytes that others have taken of it.
    pub fn set_neighbour(&self, bytes: u64) {
        self.shared.files.lock().neighbour = bytes;
    }

    /// Bytes of all files, unlinked ones that are open included, in whole pages.
    #[must_use]
    pub fn allocated(&self) -> u64 {
        self.shared.files.lock().allocated()
    }

    /// The most that was allocated at any moment since the last call.
    pub fn take_peak(&self) -> u64 {
        self.shared.files.lock().take_peak()
    }

    /// Changes that no sync has covered.
    #[must_use]
    pub fn unsynced(&self) -> usize {
        self.shared.files.lock().unsynced()
    }

    /// The paths of all files.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        self.shared.files.lock().names().keys().cloned().collect()
    }

    /// What a file holds.
    #[must_use]
    pub fn content(&self, path: &str) -> Option<Vec<u8>> {
        let files = self.shared.files.lock();
        let inode = *files.names().get(path)?;
        let mut bytes = vec![0; files.length(inode) as usize];
        files.read(inode, 0, &mut bytes).ok()?;
        Some(bytes)
    }

    /// Plants a file, durably.
    pub fn plant(&self, path: &str, bytes: &[u8]) {
        let mut files = self.shared.files.lock();
        let _ = files.unlink(path);
        files.create_directory(path.rsplit_once('/').map_or("", |(directory, _)| directory));
        let Ok(inode) = files.create(path) else {
            return;
        };
        let _ = files.write(inode, 0, vec![Bytes::copy_from_slice(bytes)]);
        let now = files.moment();
        files.sync(inode, now);
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        files.sync_directory(directory, now);
        files.close(inode);
    }

    /// Flips a bit of a file at rest.
    pub fn flip(&self, path: &str, bit: u64) {
        self.shared.files.lock().flip(path, bit);
    }

    /// Every reason that a sync was asked for.
    #[must_use]
    pub fn sync_reasons(&self) -> Vec<SyncReason> {
        self.shared.syncs.lock().iter().copied().collect()
    }

    fn opened(
        &self,
        operation: Operation,
        path: &str,
        open: fn(&mut Files, &str) -> io::Result<Inode>,
    ) -> Io<Arc<dyn File>> {
        self.shared.operate(operation, path, move |shared, path| {
            let most = shared.faults.lock().most_open_files;
            let mut files = shared.files.lock();
            if most.is_some_and(|most| files.open_files() >= most) {
                return Err(io::Error::from_raw_os_error(EMFILE));
            }
            let inode = open(&mut files, path)?;
            drop(files);
            let life = shared.life.load(Ordering::Relaxed);
            let file =
                SimFile { shared: Arc::clone(shared), inode, path: path.to_owned(), life, closed: Mutex::new(false) };
            Ok(Arc::new(file) as Arc<dyn File>)
        })
    }
}

impl Disk for SimDisk {
    fn lock(&self, path: &str) -> Io<Box<dyn Lock>> {
        self.shared.operate(Operation::Lock, path, |shared, path| {
            let life = shared.life.load(Ordering::Relaxed);
            let mut locked = shared.locked.lock();
            if *locked == Some(life) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let mut files = shared.files.lock();
            if !files.names().contains_key(path) {
                let inode = files.create(path)?;
                files.close(inode);
            }
            *locked = Some(life);
            Ok(Box::new(SimLock { shared: Arc::clone(shared), life }) as Box<dyn Lock>)
        })
    }

    fn lock_holder(&self, path: &str) -> Io<Option<u32>> {
        self.shared.operate(Operation::Read, path, |_, _| Ok(Some(1)))
    }

    fn create_directory(&self, path: &str) -> Io<()> {
        self.shared.operate(Operation::CreateDirectory, path, |shared, path| {
            shared.files.lock().create_directory(path);
            Ok(())
        })
    }

    fn list(&self, directory: &str) -> Io<Vec<DirEntry>> {
        self.shared.operate(Operation::List, directory, |shared, directory| {
            let files = shared.files.lock();
            let entry = |(name, inode): (&str, Option<Inode>)| {
                let length = inode.map_or(0, |inode| files.length(inode));
                DirEntry {
                    name: Some(name.to_owned()),
                    is_file: inode.is_some(),
                    length,
                    allocated: length.div_ceil(4096) * 4096,
                    modified_unix_millis: inode.map_or(0, |inode| files.modified_unix_millis(inode)),
                }
            };
            Ok(files.list(directory)?.into_iter().map(entry).collect())
        })
    }

    fn create(&self, path: &str) -> Io<Arc<dyn File>> {
        self.opened(Operation::Create, path, Files::create)
    }

    fn open(&self, path: &str) -> Io<Arc<dyn File>> {
        self.opened(Operation::Open, path, Files::open)
    }

    fn rename(&self, from: &str, to: &str) -> Io<()> {
        let to = to.to_owned();
        self.shared.operate(Operation::Rename, from, move |shared, from| shared.files.lock().rename(from, &to))
    }

    fn unlink(&self, path: &str) -> Io<()> {
        self.shared.operate(Operation::Unlink, path, |shared, path| shared.files.lock().unlink(path))
    }

    fn sync_directory(&self, directory: &str, why: SyncReason) -> Io<()> {
        self.shared.syncs.lock().insert(why);
        let before = self.shared.files.lock().moment();
        self.shared.operate(Operation::SyncDirectory, directory, move |shared, directory| {
            if !shared.faults.lock().ignores(why) {
                shared.files.lock().sync_directory(directory, before);
            }
            Ok(())
        })
    }

    fn space(&self) -> Io<Space> {
        self.shared.operate(Operation::Space, "", |shared, _| Ok(shared.files.lock().space()))
    }
}

struct SimLock {
    shared: Arc<Shared>,
    life: u64,
}

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut locked = self.shared.locked.lock();
        if *locked == Some(self.life) {
            *locked = None;
        }
    }
}

struct SimFile {
    shared: Arc<Shared>,
    inode: Inode,
    path: String,
    life: u64,
    closed: Mutex<bool>,
}

impl SimFile {
    fn operate<T: Send + 'static>(
        &self,
        operation: Operation,
        work: impl FnOnce(&mut Files, Inode) -> io::Result<T> + Send + 'static,
    ) -> Io<T> {
        let (inode, life) = (self.inode, self.life);
        self.shared.operate(operation, &self.path, move |shared, _| {
            shared.check_life(life)?;
            work(&mut shared.files.lock(), inode)
        })
    }

    fn close_now(&self) {
        if !std::mem::replace(&mut *self.closed.lock(), true) && self.shared.life.load(Ordering::Relaxed) == self.life {
            self.shared.files.lock().close(self.inode);
        }
    }
}

impl File for SimFile {
    fn len(&self) -> Io<u64> {
        self.operate(Operation::Length, |files, inode| Ok(files.length(inode)))
    }

    fn allocate(&self, length: u64) -> Io<()> {
        if self.shared.faults.lock().no_allocation {
            return Box::pin(std::future::ready(Err(io::ErrorKind::Unsupported.into())));
        }
        self.operate(Operation::Allocate, move |files, inode| files.set_length(inode, length))
    }

    fn write_at(&self, offset: u64, data: Vec<Bytes>) -> Io<()> {
        let (shared, path, inode, life) = (Arc::clone(&self.shared), self.path.clone(), self.inode, self.life);
        self.shared.core.operate(self.shared.delay(Operation::Write, &self.path), move || {
            shared.check_life(life)?;
            if let Err(error) = shared.check(Operation::Write, &path) {
                shared.core.random(|random| shared.files.lock().write_in_part(inode, offset, &data, random));
                return Err(error);
            }
            shared.files.lock().write(inode, offset, data)
        })
    }

    fn read_at(&self, offset: u64, mut buffer: Buffer) -> Io<Buffer> {
        self.operate(Operation::Read, move |files, inode| {
            files.read(inode, offset, &mut buffer)?;
            Ok(buffer)
        })
    }

    fn read_cached(&self, offset: u64, buffer: &mut [u8]) -> io::Result<bool> {
        self.shared.check_life(self.life)?;
        if self.shared.core.random(|random| random.u8(0..4)) >= CACHED_IN_FOUR {
            return Ok(false);
        }
        self.shared.files.lock().read(self.inode, offset, buffer)?;
        Ok(true)
    }

    fn sync(&self, why: SyncReason) -> Io<()> {
        self.shared.syncs.lock().insert(why);
        let before = self.shared.files.lock().moment();
        let (inode, life) = (self.inode, self.life);
        let (shared, path) = (Arc::clone(&self.shared), self.path.clone());
        self.shared.core.operate(self.shared.delay(Operation::Sync, &self.path), move || {
            shared.check_life(life)?;
            if let Err(error) = shared.check(Operation::Sync, &path) {
                shared.core.random(|random| shared.files.lock().fail_sync(inode, random));
                return Err(error);
            }
            if !shared.faults.lock().ignores(why) {
                shared.files.lock().sync(inode, before);
            }
            Ok(())
        })
    }

    fn start_writeback(&self, _offset: u64, _length: u64) -> Io<()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn truncate(&self, length: u64) -> Io<()> {
        self.operate(Operation::Truncate, move |files, inode| files.set_length(inode, length))
    }

    fn forget_cached(&self) -> Io<()> {
        self.operate(Operation::ForgetCached, |files, inode| {
            files.forget_cached(inode);
            Ok(())
        })
    }

    fn close(self: Arc<Self>) -> Io<()> {
        let shared = Arc::clone(&self.shared);
        let path = self.path.clone();
        shared.operate(Operation::Close, &path, move |_, _| {
            drop(self);
            Ok(())
        })
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.close_now();
    }
}
