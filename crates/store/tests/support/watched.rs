//! A disk that looks at what the store asks of it, before it happens. A segment's bytes are written once: what was written is never
//! written over, cut or renamed upon; the one cut there is takes nothing but zeros from behind a footer, once. A footer that does not hold, since
//! writing it failed or was torn, is no footer, and is written again.
//! Not here: what goes wrong (the simulated disk's faults); what a crash leaves.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use kura_disk::sim::{Operation, SimDisk};
use kura_disk::{Buffer, DirEntry, Disk, File, Io, Lock, Space, SyncReason};
use kura_store::format::footer::{Footer, LOCATOR_LEN, Locator};
use kura_store::format::segment::SEGMENT_HEADER_LEN;
use kura_store::key::Secret;
use parking_lot::Mutex;

use super::bytes_on_disk;

/// What was asked, of what, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) operation: Operation,
    pub(crate) path: String,
}

type FileId = usize;

/// What was asked since the store was opened, and what the files of segments were given.
#[derive(Default)]
pub(crate) struct Journal {
    pub(crate) asked: Vec<Asked>,
    files: Vec<Watch>,
    names: HashMap<String, FileId>,
}

#[derive(Default)]
struct Watch {
    path: String,
    content: Vec<u8>,
    cut: bool,
    sync_failed: bool,
}

impl Journal {
    pub(crate) fn count(&self, operation: Operation, path: &str) -> usize {
        self.asked.iter().filter(|asked| asked.operation == operation && asked.path.contains(path)).count()
    }

    fn ask(&mut self, operation: Operation, path: &str) {
        self.asked.push(Asked { operation, path: path.to_owned() });
    }

    fn file(&mut self, path: &str, content: impl FnOnce() -> Vec<u8>) -> FileId {
        if let Some(id) = self.names.get(path) {
            return *id;
        }
        self.files.push(Watch { path: path.to_owned(), content: content(), ..Watch::default() });
        self.names.insert(path.to_owned(), self.files.len() - 1);
        self.files.len() - 1
    }

    fn rename(&mut self, from: &str, to: &str) {
        self.ask(Operation::Rename, from);
        if let Some(id) = self.names.remove(from) {
            to.clone_into(&mut self.files[id].path);
            self.names.insert(to.to_owned(), id);
        }
    }

    fn unlink(&mut self, path: &str) {
        self.ask(Operation::Unlink, path);
        self.names.remove(path);
    }
}

impl Watch {
    fn is_segment(&self) -> bool {
        self.path.starts_with("segments/")
    }

    fn write(&mut self, offset: u64, data: &[Bytes], may_extend: bool, secret: impl FnOnce() -> Secret) {
        if !self.is_segment() {
            return;
        }
        assert!(!self.sync_failed, "{} is written after a failed sync", self.path);
        let (data, start) = (data.concat(), offset as usize);
        let end = start + data.len();
        if self.content.len() < end {
            let zeros = may_extend && data.iter().all(|byte| *byte == 0);
            assert!(zeros, "{} has {} bytes and is written up to {end}", self.path, self.content.len());
            self.content.resize(end, 0);
        }
        let differs = |(old, new): (&u8, &u8)| *old != 0 && old != new;
        let over = self.content[start..end].iter().zip(&data).position(differs);
        let is_footer = |at: usize| at > SEGMENT_HEADER_LEN as usize && end == self.content.len();
        let may_be = |at: &usize| is_footer(*at) && bytes_on_disk::footer(&self.content, &secret()).is_none();
        // A record whose commit failed is wiped before its segment is sealed.
        let wipes = data == [0; 64] && self.content[start..].starts_with(b"KREC");
        let over = over.filter(|over| !may_be(&(start + over)) && !wipes);
        assert!(over.is_none(), "{} is written over at {}", self.path, start + over.unwrap_or(0));
        self.content[start..end].copy_from_slice(&data);
    }

    fn allocate(&mut self, length: u64) {
        assert!(length as usize >= self.content.len(), "{} shrinks to {length}", self.path);
        self.content.resize(length as usize, 0);
    }

    fn truncate(&mut self, length: u64, secret: &Secret) {
        assert!(!self.cut, "{} is cut twice", self.path);
        self.cut = true;
        let rest = self.content.split_off(length as usize);
        assert!(rest.iter().all(|byte| *byte == 0), "{} loses bytes to a cut at {length}", self.path);
        let end = self.content.len();
        let locator =
            Locator::decode(&self.content[end - LOCATOR_LEN as usize..]).expect("a footer in front of the cut");
        let footer = Footer::decode(&self.content[end - locator.len as usize..], secret).expect("a whole footer");
        assert_eq!(footer.entries.len(), 1, "only a solo segment is cut: {}", self.path);
    }
}

/// The disk of one start.
pub(crate) struct Watched {
    disk: Arc<SimDisk>,
    journal: Arc<Mutex<Journal>>,
}

impl Watched {
    pub(crate) fn new(disk: Arc<SimDisk>, journal: Arc<Mutex<Journal>>) -> Watched {
        Watched { disk, journal }
    }

    fn watch(&self, operation: Operation, path: &str, opening: Io<Arc<dyn File>>) -> Io<Arc<dyn File>> {
        self.journal.lock().ask(operation, path);
        let (disk, journal, path) = (Arc::clone(&self.disk), Arc::clone(&self.journal), path.to_owned());
        Box::pin(async move {
            let file = opening.await?;
            let id = journal.lock().file(&path, || disk.content(&path).unwrap_or_default());
            Ok(Arc::new(WatchedFile { file, disk, journal, id }) as Arc<dyn File>)
        })
    }
}

impl Disk for Watched {
    fn lock(&self, path: &str) -> Io<Box<dyn Lock>> {
        self.disk.lock(path)
    }

    fn lock_holder(&self, path: &str) -> Io<Option<u32>> {
        self.disk.lock_holder(path)
    }

    fn create_directory(&self, path: &str) -> Io<()> {
        self.disk.create_directory(path)
    }

    fn list(&self, directory: &str) -> Io<Vec<DirEntry>> {
        self.disk.list(directory)
    }

    fn create(&self, path: &str) -> Io<Arc<dyn File>> {
        self.watch(Operation::Create, path, self.disk.create(path))
    }

    fn open(&self, path: &str) -> Io<Arc<dyn File>> {
        self.watch(Operation::Open, path, Disk::open(&*self.disk, path))
    }

    fn rename(&self, from: &str, to: &str) -> Io<()> {
        let covers = to.starts_with("segments/") && self.disk.content(to).is_some();
        assert!(!covers, "{from} is renamed upon {to}");
        self.journal.lock().rename(from, to);
        self.disk.rename(from, to)
    }

    fn unlink(&self, path: &str) -> Io<()> {
        self.journal.lock().unlink(path);
        self.disk.unlink(path)
    }

    fn sync_directory(&self, directory: &str, why: SyncReason) -> Io<()> {
        self.journal.lock().ask(Operation::SyncDirectory, directory);
        self.disk.sync_directory(directory, why)
    }

    fn space(&self) -> Io<Space> {
        self.disk.space()
    }
}

struct WatchedFile {
    file: Arc<dyn File>,
    disk: Arc<SimDisk>,
    journal: Arc<Mutex<Journal>>,
    id: FileId,
}

impl WatchedFile {
    fn ask(&self, operation: Operation, then: impl FnOnce(&mut Watch)) {
        let mut journal = self.journal.lock();
        let path = journal.files[self.id].path.clone();
        journal.ask(operation, &path);
        then(&mut journal.files[self.id]);
    }
}

impl File for WatchedFile {
    fn len(&self) -> Io<u64> {
        self.file.len()
    }

    fn allocate(&self, length: u64) -> Io<()> {
        if !self.disk.faults(|faults| faults.no_allocation) {
            self.ask(Operation::Allocate, |watch| watch.allocate(length));
        }
        self.file.allocate(length)
    }

    fn write_at(&self, offset: u64, data: Vec<Bytes>) -> Io<()> {
        let may_extend = self.disk.faults(|faults| faults.no_allocation);
        let secret = || bytes_on_disk::identity(&self.disk).secret;
        self.ask(Operation::Write, |watch| watch.write(offset, &data, may_extend, secret));
        self.file.write_at(offset, data)
    }

    fn read_at(&self, offset: u64, buffer: Buffer) -> Io<Buffer> {
        self.file.read_at(offset, buffer)
    }

    fn read_cached(&self, offset: u64, buffer: &mut [u8]) -> io::Result<bool> {
        self.file.read_cached(offset, buffer)
    }

    fn sync(&self, why: SyncReason) -> Io<()> {
        self.ask(Operation::Sync, |watch| assert!(!watch.sync_failed, "{} is synced again", watch.path));
        let (syncing, journal, id) = (self.file.sync(why), Arc::clone(&self.journal), self.id);
        Box::pin(async move {
            let synced = syncing.await;
            journal.lock().files[id].sync_failed |= synced.is_err();
            synced
        })
    }

    fn start_writeback(&self, offset: u64, length: u64) -> Io<()> {
        self.file.start_writeback(offset, length)
    }

    fn truncate(&self, length: u64) -> Io<()> {
        let secret = bytes_on_disk::identity(&self.disk).secret;
        self.ask(Operation::Truncate, |watch| watch.truncate(length, &secret));
        self.file.truncate(length)
    }

    fn forget_cached(&self) -> Io<()> {
        self.file.forget_cached()
    }

    fn close(self: Arc<Self>) -> Io<()> {
        let file = Arc::clone(&self.file);
        drop(self);
        file.close()
    }
}
