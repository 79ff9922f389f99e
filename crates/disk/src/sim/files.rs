//! The simulated filesystem: what reads see, what is durable, and what lies between.
//! Writes and lengths of a file wait for its sync, names for their directory's. A failed sync marks what waited as clean: it never becomes durable, though
//! reads show it until the cached pages are let go.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;

use bytes::Bytes;

use super::Crash;
use crate::Space;

const SECTOR: u64 = 512;
const PAGE: u64 = 4096;

/// The system's word for a full disk.
const ENOSPC: i32 = 28;

pub(super) type Inode = u64;

#[derive(Debug, Clone)]
enum Change {
    Write { offset: u64, bytes: Vec<Bytes> },
    Length(u64),
}

/// Bytes up to a length; what was never written is zero and takes no memory.
#[derive(Debug, Clone, Default)]
struct Content {
    bytes: Vec<u8>,
    length: u64,
}

impl Content {
    fn apply(&mut self, change: &Change, keep_sector: &mut dyn FnMut() -> bool) {
        match change {
            Change::Length(length) => {
                self.length = *length;
                self.bytes.truncate(*length as usize);
            }
            Change::Write { offset, bytes } => {
                let all = bytes.concat();
                let mut at = 0;
                while at < all.len() {
                    let place = offset + at as u64;
                    let end = all.len().min(at + (SECTOR - place % SECTOR) as usize);
                    if keep_sector() {
                        self.write(place, &all[at..end]);
                    }
                    at = end;
                }
            }
        }
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) {
        let end = offset as usize + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[offset as usize..end].copy_from_slice(bytes);
        self.length = self.length.max(end as u64);
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        if offset + buffer.len() as u64 > self.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let from = self.bytes.len().min(offset as usize);
        let to = self.bytes.len().min(offset as usize + buffer.len());
        buffer[..to - from].copy_from_slice(&self.bytes[from..to]);
        buffer[to - from..].fill(0);
        Ok(())
    }
}

#[derive(Debug, Default)]
struct FileState {
    seen: Content,
    durable: Content,
    /// Not covered by a sync, with the order in which they came.
    waiting: Vec<(u64, Change)>,
    /// Whether a failed sync left cached pages that will never be written.
    cache_lies: bool,
    handles: usize,
    named: bool,
    modified_unix_millis: u64,
}

#[derive(Debug, Clone)]
enum NameChange {
    Create(String, Inode),
    Rename(String, String),
    Unlink(String),
}

impl NameChange {
    fn directory(&self) -> &str {
        let (Self::Create(path, _) | Self::Rename(path, _) | Self::Unlink(path)) = self;
        path.rsplit_once('/').map_or("", |(directory, _)| directory)
    }

    /// Applies the change where it is possible.
    fn apply(&self, names: &mut BTreeMap<String, Inode>) {
        match self {
            Self::Create(path, inode) => {
                names.insert(path.clone(), *inode);
            }
            Self::Rename(from, to) => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
            Self::Unlink(path) => {
                names.remove(path);
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct Files {
    files: HashMap<Inode, FileState>,
    names: BTreeMap<String, Inode>,
    durable_names: BTreeMap<String, Inode>,
    /// Durable at once: what a lost directory costs is not simulated.
    directories: BTreeSet<String>,
    waiting_names: Vec<(u64, NameChange)>,
    next: u64,
    /// The wall clock, as it stood when the last operation took effect.
    pub(super) unix_millis: u64,
    pub(super) capacity: u64,
    pub(super) neighbour: u64,
    peak: u64,
}

impl Default for Files {
    fn default() -> Files {
        Files {
            files: HashMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            directories: BTreeSet::new(),
            waiting_names: Vec::new(),
            next: 1,
            unix_millis: 0,
            capacity: u64::MAX / 4,
            neighbour: 0,
            peak: 0,
        }
    }
}

fn pages(length: u64) -> u64 {
    length.div_ceil(PAGE) * PAGE
}

impl Files {
    fn tick(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// What comes before this moment.
    pub(super) fn moment(&mut self) -> u64 {
        self.tick()
    }

    pub(super) fn allocated(&self) -> u64 {
        self.files.values().map(|file| pages(file.seen.length)).sum()
    }

    /// The most that was ever allocated since the last call.
    pub(super) fn take_peak(&mut self) -> u64 {
        let peak = self.peak.max(self.allocated());
        self.peak = 0;
        peak
    }

    pub(super) fn space(&self) -> Space {
        Space { total: self.capacity, available: self.capacity.saturating_sub(self.allocated() + self.neighbour) }
    }

    pub(super) fn open_files(&self) -> usize {
        self.files.values().map(|file| file.handles).sum()
    }

    pub(super) fn names(&self) -> &BTreeMap<String, Inode> {
        &self.names
    }

    pub(super) fn create_directory(&mut self, path: &str) {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        self.directories.extend(ends.map(|end| path[..end].to_owned()));
    }

    /// What a directory holds: name, and the file if it is one.
    pub(super) fn list(&self, directory: &str) -> io::Result<Vec<(&str, Option<Inode>)>> {
        if !directory.is_empty() && !self.directories.contains(directory) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let files = self.names.iter().map(|(path, inode)| (path.as_str(), Some(*inode)));
        let all = files.chain(self.directories.iter().map(|path| (path.as_str(), None)));
        let split = all.map(|(path, inode)| (path.rsplit_once('/').unwrap_or(("", path)), inode));
        let inside = split.filter(|((parent, name), _)| *parent == directory && !name.is_empty());
        Ok(inside.map(|((_, name), inode)| (name, inode)).collect())
    }

    pub(super) fn length(&self, inode: Inode) -> u64 {
        self.files.get(&inode).map_or(0, |file| file.seen.length)
    }

    fn file(&mut self, inode: Inode) -> &mut FileState {
        self.files.get_mut(&inode).expect("an open file exists")
    }

    pub(super) fn create(&mut self, path: &str) -> io::Result<Inode> {
        if self.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = self.tick();
        self.files.insert(inode, FileState { handles: 1, named: true, ..FileState::default() });
        self.change_name(NameChange::Create(path.to_owned(), inode));
        Ok(inode)
    }

    pub(super) fn open(&mut self, path: &str) -> io::Result<Inode> {
        let inode = *self.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        self.file(inode).handles += 1;
        Ok(inode)
    }

    pub(super) fn close(&mut self, inode: Inode) {
        if let Some(file) = self.files.get_mut(&inode) {
            file.handles = file.handles.saturating_sub(1);
            self.drop_if_unreachable(inode);
        }
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        if !self.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let replaced = self.names.get(to).copied();
        self.change_name(NameChange::Rename(from.to_owned(), to.to_owned()));
        if let Some(inode) = replaced {
            self.file(inode).named = false;
            self.drop_if_unreachable(inode);
        }
        Ok(())
    }

    pub(super) fn unlink(&mut self, path: &str) -> io::Result<()> {
        let inode = *self.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        self.change_name(NameChange::Unlink(path.to_owned()));
        self.file(inode).named = false;
        self.drop_if_unreachable(inode);
        Ok(())
    }

    fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        let order = self.tick();
        self.waiting_names.push((order, change));
    }

    /// The bytes of a file go with its last name and handle, unless a power cut can bring a name back.
    fn drop_if_unreachable(&mut self, inode: Inode) {
        let file = &self.files[&inode];
        if file.named || file.handles > 0 {
            return;
        }
        if self.can_come_back(inode) {
            // Free as far as the filesystem's space is concerned: kept aside for a crash.
            let file = self.file(inode);
            file.seen.length = 0;
            return;
        }
        self.files.remove(&inode);
    }

    /// Whether a power cut can bring a name of it back.
    fn can_come_back(&self, inode: Inode) -> bool {
        let created = |change: &NameChange| matches!(change, NameChange::Create(_, of) if *of == inode);
        self.durable_names.values().any(|durable| *durable == inode)
            || self.waiting_names.iter().any(|(_, change)| created(change))
    }

    pub(super) fn sync_directory(&mut self, directory: &str, before: u64) {
        let (covered, rest) = std::mem::take(&mut self.waiting_names)
            .into_iter()
            .partition(|(order, change)| *order < before && change.directory() == directory);
        self.waiting_names = rest;
        let covered: Vec<(u64, NameChange)> = covered;
        covered.iter().for_each(|(_, change)| change.apply(&mut self.durable_names));
        let gone: Vec<Inode> = self
            .files
            .iter()
            .filter(|(inode, file)| !file.named && file.handles == 0 && !self.can_come_back(**inode))
            .map(|(inode, _)| *inode)
            .collect();
        gone.iter().for_each(|inode| {
            self.files.remove(inode);
        });
    }

    /// Changes a file's length or content; growing needs space.
    fn change(&mut self, inode: Inode, change: Change, length: u64) -> io::Result<()> {
        let before = pages(self.length(inode));
        let more = pages(length).saturating_sub(before);
        if self.allocated() + self.neighbour + more > self.capacity {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        let (order, now) = (self.tick(), self.unix_millis);
        let file = self.file(inode);
        file.modified_unix_millis = now;
        file.seen.apply(&change, &mut || true);
        file.waiting.push((order, change));
        self.peak = self.peak.max(self.allocated());
        Ok(())
    }

    pub(super) fn modified_unix_millis(&self, inode: Inode) -> u64 {
        self.files.get(&inode).map_or(0, |file| file.modified_unix_millis)
    }

    pub(super) fn write(&mut self, inode: Inode, offset: u64, bytes: Vec<Bytes>) -> io::Result<()> {
        let end = offset + bytes.iter().map(|piece| piece.len() as u64).sum::<u64>();
        let length = self.length(inode).max(end);
        self.change(inode, Change::Write { offset, bytes }, length)
    }

    /// A write that failed: any of its sectors may have been written, where that needs no space.
    pub(super) fn write_in_part(&mut self, inode: Inode, offset: u64, bytes: &[Bytes], random: &mut fastrand::Rng) {
        let all = Bytes::from(bytes.concat());
        let (whole, length) = (random.bool(), self.length(inode));
        let mut at = 0;
        while at < all.len() {
            let place = offset + at as u64;
            let end = all.len().min(at + (SECTOR - place % SECTOR) as usize);
            if (whole || random.bool()) && offset + end as u64 <= length {
                // It fits, so there is space for it.
                let _ = self.write(inode, place, vec![all.slice(at..end)]);
            }
            at = end;
        }
    }

    pub(super) fn set_length(&mut self, inode: Inode, length: u64) -> io::Result<()> {
        self.change(inode, Change::Length(length), length)
    }

    pub(super) fn read(&self, inode: Inode, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.files.get(&inode).ok_or(io::ErrorKind::NotFound)?.seen.read(offset, buffer)
    }

    pub(super) fn sync(&mut self, inode: Inode, before: u64) {
        let file = self.file(inode);
        let (covered, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut file.waiting).into_iter().partition(|(order, _)| *order < before);
        file.waiting = rest;
        covered.iter().for_each(|(_, change)| file.durable.apply(change, &mut || true));
    }

    /// A sync failed: what waited looks clean, and any part of it is lost.
    pub(super) fn fail_sync(&mut self, inode: Inode, random: &mut fastrand::Rng) {
        let file = self.file(inode);
        for (_, change) in std::mem::take(&mut file.waiting) {
            if random.bool() {
                let whole = random.bool();
                file.durable.apply(&change, &mut || whole || random.bool());
            }
        }
        file.cache_lies = true;
    }

    pub(super) fn forget_cached(&mut self, inode: Inode) {
        let file = self.file(inode);
        if std::mem::take(&mut file.cache_lies) {
            file.seen = file.durable.clone();
            for (_, change) in &file.waiting {
                file.seen.apply(change, &mut || true);
            }
        }
    }

    /// Flips a bit of what a file holds.
    pub(super) fn flip(&mut self, path: &str, bit: u64) {
        let Some(inode) = self.names.get(path).copied() else {
            return;
        };
        let file = self.file(inode);
        for content in [&mut file.seen, &mut file.durable] {
            if let Some(byte) = content.bytes.get_mut((bit / 8) as usize) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }

    /// Changes that no sync has covered.
    pub(super) fn unsynced(&self) -> usize {
        self.waiting_names.len() + self.files.values().map(|file| file.waiting.len()).sum::<usize>()
    }

    pub(super) fn crash(&mut self, crash: &Crash, random: &mut fastrand::Rng) {
        if *crash != Crash::Process {
            self.lose_power(crash, random);
        }
        for file in self.files.values_mut() {
            file.handles = 0;
            file.named = false;
        }
        for inode in self.names.values() {
            if let Some(file) = self.files.get_mut(inode) {
                file.named = true;
            }
        }
        let nameless: Vec<Inode> = self.files.iter().filter(|(_, file)| !file.named).map(|(inode, _)| *inode).collect();
        nameless.into_iter().for_each(|inode| self.drop_if_unreachable(inode));
    }

    fn lose_power(&mut self, crash: &Crash, random: &mut fastrand::Rng) {
        let mut bit = 0;
        let mut keep = |random: &mut fastrand::Rng| match crash {
            Crash::PowerKeeping(mask) => {
                bit += 1;
                mask >> ((bit - 1) % 64) & 1 == 1
            }
            _ => random.bool(),
        };
        let tears = *crash == Crash::Power;
        for (_, change) in std::mem::take(&mut self.waiting_names) {
            if keep(random) {
                change.apply(&mut self.durable_names);
            }
        }
        self.names = self.durable_names.clone();
        let mut inodes: Vec<Inode> = self.files.keys().copied().collect();
        inodes.sort_unstable();
        for inode in inodes {
            let file = self.file(inode);
            let mut waiting = std::mem::take(&mut file.waiting);
            if tears {
                random.shuffle(&mut waiting);
            }
            let length = waiting.iter().filter_map(|(_, change)| match change {
                Change::Length(length) if keep(random) => Some(*length),
                _ => None,
            });
            let length = length.last().unwrap_or(file.durable.length);
            for (_, change) in waiting.iter().filter(|(_, change)| matches!(change, Change::Write { .. })) {
                if keep(random) {
                    let whole = !tears || random.bool();
                    file.durable.apply(change, &mut || whole || random.bool());
                }
            }
            file.durable.apply(&Change::Length(length.max(if tears { 0 } else { file.durable.length })), &mut || true);
            file.seen = file.durable.clone();
            file.cache_lies = false;
        }
    }
}
