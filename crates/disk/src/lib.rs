//! The only door to the machine: files ([`Disk`], [`File`]) and time ([`Runtime`]).
//!
//! Each operation states what is left of it after a crash, because the store is built on these sentences and on
//! nothing else. Two kinds of crash are told apart: a *killed process* loses nothing that an operation has
//! completed; a *power cut* loses, tears or reorders whatever no [`File::sync`] or [`Disk::sync_directory`]
//! has covered.
//!
//! Two implementations exist: [`real`] (Linux) and [`sim`] (in memory, single-threaded, in virtual time, repeatable
//! from a seed). Both pass `tests/contract.rs`.
//!
//! Not here: what is in the files (`kura-store`).

pub mod buffer;
mod error;
pub mod real;
pub mod runtime;
pub mod sim;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

pub use buffer::{Buffer, BufferPool};
pub use error::{again, errno};
pub use runtime::{Runtime, Task, TokioRuntime};

// Lengths of files are indexes into memory in many places: 32-bit machines are not served.
const _: () = assert!(size_of::<usize>() >= size_of::<u64>());

/// The future of one disk operation. Dropping it does not undo the operation, nor stop it once begun.
pub type Io<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'static>>;

/// A directory that one process owns. Paths are relative to it, with `/` between their parts; a path never
/// starts with `/` and holds no `..`.
pub trait Disk: Send + Sync + 'static {
    /// Takes the exclusive lock on `path` (created if absent) until the returned guard is dropped.
    ///
    /// # Errors
    /// `WouldBlock` when another process holds it; [`Disk::lock_holder`] then tells which.
    fn lock(&self, path: &str) -> Io<Box<dyn Lock>>;

    /// The process id that the holder of the lock on `path` wrote into it, if there was room for it and it can be read.
    fn lock_holder(&self, path: &str) -> Io<Option<u32>>;

    /// Creates a directory and its parents; one that exists is left as it is.
    fn create_directory(&self, path: &str) -> Io<()>;

    /// Lists a directory, in no order. Absent: `NotFound`.
    fn list(&self, directory: &str) -> Io<Vec<DirEntry>>;

    /// Creates a file that must not exist (`AlreadyExists`), open for reading and writing. Its name survives a
    /// power cut only after [`Disk::sync_directory`].
    fn create(&self, path: &str) -> Io<Arc<dyn File>>;

    /// Opens an existing file for reading and writing.
    fn open(&self, path: &str) -> Io<Arc<dyn File>>;

    /// Gives `from` the name `to`, replacing what had it. Atomic: a crash shows the old name or the new one.
    /// Which, after a power cut, is settled only by [`Disk::sync_directory`].
    fn rename(&self, from: &str, to: &str) -> Io<()>;

    /// Takes the name away. The bytes stay allocated until the last open [`File`] of it is closed. A power cut may bring
    /// the name back until [`Disk::sync_directory`]; unlinks and renames that no sync separates may survive in any combination.
    fn unlink(&self, path: &str) -> Io<()>;

    /// Makes creations, renames and unlinks in `directory` survive a power cut. `why` names the caller's
    /// reason: it is shown in errors, and a simulation can be told to ignore it.
    fn sync_directory(&self, directory: &str, why: SyncReason) -> Io<()>;

    /// The filesystem's size and what is free for this process, in bytes.
    fn space(&self) -> Io<Space>;
}

/// An open file. All offsets and lengths are bytes. Operations may run side by side.
///
/// Every operation either does all that it was asked, or fails: short reads and writes and `EINTR` are the implementation's to continue.
#[expect(clippy::len_without_is_empty, reason = "nobody asks whether a file is empty")]
pub trait File: Send + Sync + 'static {
    /// The file's present length.
    fn len(&self) -> Io<u64>;

    /// Allocates blocks for `[0, length)` and makes the file that long. New bytes read as zero. Once this
    /// returned, writes within the range do not meet `StorageFull`. Where the filesystem has no such call: `Unsupported`.
    /// After a power cut the length is settled only by [`File::sync`].
    fn allocate(&self, length: u64) -> Io<()>;

    /// Writes the buffers one after another at `offset`. After a power cut any of the 512-byte sectors may be old or
    /// new until [`File::sync`] has returned success.
    ///
    /// # Errors
    /// Any part of it may have been written.
    fn write_at(&self, offset: u64, data: Vec<Bytes>) -> Io<()>;

    /// Fills `buffer` from `offset`; past the end of the file: `UnexpectedEof`.
    fn read_at(&self, offset: u64, buffer: Buffer) -> Io<Buffer>;

    /// As [`File::read_at`], but only if that needs no wait for the device. `Ok(false)`: it would have to wait, and the
    /// content of `buffer` is then unspecified. Never blocks: callable from an async worker.
    ///
    /// # Errors
    /// As [`File::read_at`].
    fn read_cached(&self, offset: u64, buffer: &mut [u8]) -> io::Result<bool>;

    /// Makes everything written and allocated before this call survive a power cut (`fdatasync`). After an error it is unknown what
    /// of it is on the disk, and later calls may report success without having written anything.
    fn sync(&self, why: SyncReason) -> Io<()>;

    /// Starts writing the range out to the device without waiting for it. A hint: promises nothing.
    fn start_writeback(&self, offset: u64, length: u64) -> Io<()>;

    /// Cuts or extends the file to `length`.
    fn truncate(&self, length: u64) -> Io<()>;

    /// Lets go of cached pages, so that the next read comes from the device.
    fn forget_cached(&self) -> Io<()>;

    /// Closes the file, and completes when its blocks have been given back if it was unlinked and this was the last handle.
    /// Dropping the last `Arc` closes too, at some time soon.
    fn close(self: Arc<Self>) -> Io<()>;
}

/// Held for as long as the directory is owned. Dropping it releases the lock.
pub trait Lock: Send + Sync {}

/// Why a sync is asked for: a short phrase, unique to its call site.
pub type SyncReason = &'static str;

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// The name, without its directory. `None` where it is not UTF-8: then it is not one of ours.
    pub name: Option<String>,
    /// Whether this is a regular file.
    pub is_file: bool,
    /// Length in bytes.
    pub length: u64,
    /// Bytes that its blocks occupy.
    pub allocated: u64,
    /// When its content was last changed, by the wall clock of that moment, in milliseconds since the Unix epoch; coarse, to the low tens of them.
    pub modified_unix_millis: u64,
}

/// A filesystem's capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Size of the whole filesystem in bytes.
    pub total: u64,
    /// Bytes that this process can still allocate.
    pub available: u64,
}
