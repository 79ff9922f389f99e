//! Linux files. Blocking calls run on Tokio's blocking threads, at most so many of each class at a time: reads have permits of their own, since
//! a throttled write or a sync would otherwise hold them up.
//! A file is never closed on an async worker: closing an unlinked one frees its blocks, which can take milliseconds.

use std::fs::{File as StdFile, OpenOptions};
use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::{Advice, FallocateFlags, FlockOperation};
use rustix::io::{Errno, ReadWriteFlags};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::error::on_file;
use crate::{Buffer, DirEntry, Disk, File, Io, Lock, Space, SyncReason};

/// Reads that may wait for the device at once.
const READS: usize = 32;

/// Writes, syncs and changes of names at once.
const WRITES: usize = 16;

/// Buffers that one `pwritev` takes (the kernel's `UIO_MAXIOV`).
const MAX_BUFFERS: usize = 1024;

/// A directory of this machine.
pub struct RealDisk {
    root: PathBuf,
    pool: Arc<Pool>,
}

struct Pool {
    handle: Handle,
    reads: Arc<Semaphore>,
    writes: Arc<Semaphore>,
}

impl Pool {
    fn run<T: Send + 'static>(
        &self,
        class: &Arc<Semaphore>,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Io<T> {
        let (class, handle) = (Arc::clone(class), self.handle.clone());
        Box::pin(async move {
            let permit = class.acquire_owned().await.map_err(io::Error::other)?;
            let task = handle.spawn_blocking(move || {
                let done = work();
                drop(permit);
                done
            });
            task.await.map_err(io::Error::other)?
        })
    }

    fn read<T: Send + 'static>(&self, work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Io<T> {
        self.run(&self.reads, work)
    }

    fn write<T: Send + 'static>(&self, work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Io<T> {
        self.run(&self.writes, work)
    }
}

impl RealDisk {
    /// The directory `root`, which need not exist yet. Its blocking work runs on the Tokio runtime that this is called in.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    #[must_use]
    pub fn new(root: &Path) -> RealDisk {
        let pool = Pool {
            handle: Handle::current(),
            reads: Arc::new(Semaphore::new(READS)),
            writes: Arc::new(Semaphore::new(WRITES)),
        };
        RealDisk { root: root.to_owned(), pool: Arc::new(pool) }
    }

    /// Runs a change of names, telling its path if it fails.
    fn named<T: Send + 'static>(
        &self,
        operation: &'static str,
        path: &str,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Io<T> {
        let full = if path.is_empty() { self.root.clone() } else { self.root.join(path) };
        self.pool.write(move || work(&full).map_err(|error| on_file(operation, &full.to_string_lossy(), error)))
    }

    fn opened(&self, operation: &'static str, path: &str, options: OpenOptions) -> Io<Arc<dyn File>> {
        let pool = Arc::clone(&self.pool);
        self.named(operation, path, move |full| {
            let file = Arc::new(options.open(full)?);
            Ok(Arc::new(RealFile { file: Some(file), path: full.to_string_lossy().into(), pool }) as Arc<dyn File>)
        })
    }
}

impl Disk for RealDisk {
    fn lock(&self, path: &str) -> Io<Box<dyn Lock>> {
        self.named("lock", path, |full| {
            let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(full)?;
            rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
            let lock = RealLock { file };
            // For people only: where there is no room for it, nobody's is better than the last holder's.
            if write_process_id(&lock.file).is_err() {
                let _ = lock.file.set_len(0);
            }
            Ok(Box::new(lock) as Box<dyn Lock>)
        })
    }

    fn lock_holder(&self, path: &str) -> Io<Option<u32>> {
        self.named("read", path, |full| Ok(std::fs::read_to_string(full)?.trim().parse().ok()))
    }

    fn create_directory(&self, path: &str) -> Io<()> {
        self.named("create directory", path, |full| std::fs::DirBuilder::new().recursive(true).mode(0o700).create(full))
    }

    fn list(&self, directory: &str) -> Io<Vec<DirEntry>> {
        self.named("list", directory, |full| {
            let mut entries = Vec::new();
            for entry in std::fs::read_dir(full)? {
                let entry = entry?;
                let metadata = match entry.metadata() {
                    // Removed since it was listed.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    other => other?,
                };
                entries.push(DirEntry {
                    name: entry.file_name().into_string().ok(),
                    is_file: metadata.is_file(),
                    length: metadata.len(),
                    allocated: metadata.blocks() * 512,
                    modified_unix_millis: unix_millis(&metadata),
                });
            }
            Ok(entries)
        })
    }

    fn create(&self, path: &str) -> Io<Arc<dyn File>> {
        let mut options = OpenOptions::new();
        options.create_new(true).read(true).write(true).mode(0o600);
        self.opened("create", path, options)
    }

    fn open(&self, path: &str) -> Io<Arc<dyn File>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        self.opened("open", path, options)
    }

    fn rename(&self, from: &str, to: &str) -> Io<()> {
        let to = self.root.join(to);
        self.named("rename", from, move |from| std::fs::rename(from, to))
    }

    fn unlink(&self, path: &str) -> Io<()> {
        self.named("unlink", path, |full| std::fs::remove_file(full))
    }

    fn sync_directory(&self, directory: &str, why: SyncReason) -> Io<()> {
        self.named(why, directory, |full| StdFile::open(full)?.sync_all())
    }

    fn space(&self) -> Io<Space> {
        self.named("statvfs", "", |full| {
            let stat = rustix::fs::statvfs(full)?;
            Ok(Space { total: stat.f_blocks * stat.f_frsize, available: stat.f_bavail * stat.f_frsize })
        })
    }
}

fn unix_millis(metadata: &std::fs::Metadata) -> u64 {
    let seconds = u64::try_from(metadata.mtime()).unwrap_or(0);
    let nanos = u64::try_from(metadata.mtime_nsec()).unwrap_or(0);
    seconds.saturating_mul(1000).saturating_add(nanos / 1_000_000)
}

/// In place of the one before, so that no block is given back that would have to be found again.
fn write_process_id(file: &StdFile) -> io::Result<()> {
    let id = std::process::id().to_string();
    file.write_all_at(id.as_bytes(), 0)?;
    file.set_len(id.len() as u64)
}

struct RealLock {
    file: StdFile,
}

impl Lock for RealLock {}

impl Drop for RealLock {
    fn drop(&mut self) {
        // A process that is being started has a copy of the descriptor until it is another program: closing ours would leave it the lock.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

struct RealFile {
    /// `None` only while dropping.
    file: Option<Arc<StdFile>>,
    path: Arc<str>,
    pool: Arc<Pool>,
}

impl RealFile {
    fn file(&self) -> &Arc<StdFile> {
        self.file.as_ref().expect("taken only by drop")
    }

    fn on<T: Send + 'static>(
        &self,
        class: &Arc<Semaphore>,
        operation: &'static str,
        work: impl FnOnce(&StdFile) -> io::Result<T> + Send + 'static,
    ) -> Io<T> {
        let (file, path) = (Arc::clone(self.file()), Arc::clone(&self.path));
        self.pool.run(class, move || work(&file).map_err(|error| on_file(operation, &path, error)))
    }

    fn writing<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&StdFile) -> io::Result<T> + Send + 'static,
    ) -> Io<T> {
        self.on(&self.pool.writes, operation, work)
    }
}

impl File for RealFile {
    fn len(&self) -> Io<u64> {
        self.writing("stat", |file| Ok(file.metadata()?.len()))
    }

    fn allocate(&self, length: u64) -> Io<()> {
        self.writing("allocate", move |file| {
            loop {
                match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, length) {
                    Err(Errno::INTR) => {}
                    Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                        return Err(io::ErrorKind::Unsupported.into());
                    }
                    other => return Ok(other?),
                }
            }
        })
    }

    fn write_at(&self, offset: u64, data: Vec<Bytes>) -> Io<()> {
        self.writing("write", move |file| write_all_at(file, offset, &data))
    }

    fn read_at(&self, offset: u64, mut buffer: Buffer) -> Io<Buffer> {
        let (file, path) = (Arc::clone(self.file()), Arc::clone(&self.path));
        self.pool.read(move || match file.read_exact_at(&mut buffer, offset) {
            Ok(()) => Ok(buffer),
            Err(error) => Err(on_file("read", &path, error)),
        })
    }

    fn read_cached(&self, offset: u64, buffer: &mut [u8]) -> io::Result<bool> {
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let target = &mut [io::IoSliceMut::new(&mut buffer[done..])];
            let read = match rustix::io::preadv2(self.file().as_fd(), target, at, ReadWriteFlags::NOWAIT) {
                Err(Errno::AGAIN) => return Ok(false),
                Err(Errno::INTR) => continue,
                // A filesystem in memory refuses the flag, and never blocks.
                Err(Errno::OPNOTSUPP) => self.file().read_at(&mut buffer[done..], at)?,
                other => other?,
            };
            if read == 0 {
                return Err(on_file("read", &self.path, io::ErrorKind::UnexpectedEof.into()));
            }
            done += read;
        }
        Ok(true)
    }

    fn sync(&self, why: SyncReason) -> Io<()> {
        self.writing(why, |file| file.sync_data())
    }

    fn start_writeback(&self, _offset: u64, _length: u64) -> Io<()> {
        // `sync_file_range` would do; `rustix` does not have it, and nothing measured so far asks for it.
        Box::pin(std::future::ready(Ok(())))
    }

    fn truncate(&self, length: u64) -> Io<()> {
        self.writing("truncate", move |file| file.set_len(length))
    }

    fn forget_cached(&self) -> Io<()> {
        self.writing("forget cached pages of", |file| Ok(rustix::fs::fadvise(file, 0, None, Advice::DontNeed)?))
    }

    fn close(self: Arc<Self>) -> Io<()> {
        let pool = Arc::clone(&self.pool);
        let file = Arc::clone(self.file());
        drop(self);
        pool.write(move || {
            drop(file);
            Ok(())
        })
    }
}

impl Drop for RealFile {
    fn drop(&mut self) {
        // Whoever drops the last handle may be an async worker.
        if let Some(file) = self.file.take().and_then(Arc::into_inner) {
            self.pool.handle.spawn_blocking(move || drop(file));
        }
    }
}

fn write_all_at(file: &StdFile, mut offset: u64, data: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = data.iter().map(|bytes| IoSlice::new(bytes)).collect();
    let mut rest = &mut slices[..];
    while !rest.is_empty() {
        let some = &rest[..rest.len().min(MAX_BUFFERS)];
        match rustix::io::pwritev(file, some, offset) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(0) if some.iter().any(|slice| !slice.is_empty()) => {
                return Err(io::ErrorKind::WriteZero.into());
            }
            Ok(written) => {
                offset += written as u64;
                IoSlice::advance_slices(&mut rest, written);
                // Empty slices at the front would never be advanced over.
                while rest.first().is_some_and(|slice| slice.is_empty()) {
                    rest = &mut rest[1..];
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lock_is_released_though_a_copy_of_its_descriptor_is_open() {
        let directory = tempfile::tempdir().unwrap();
        let file = StdFile::create(directory.path().join("lock")).unwrap();
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
        let copy = file.try_clone().unwrap();
        drop(RealLock { file });
        assert!(RealDisk::new(directory.path()).lock("lock").await.is_ok());
        drop(copy);
    }
}
