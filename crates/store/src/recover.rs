//! RECOVERY: lock → identity → sweep → load → go on → fit.
//! Segments with a valid footer are trusted; the others are synced first (a killed process may have shown what no sync covered), read afresh from the
//! device, and scanned. Of the unsealed shared ones the newest that holds a record is continued, an empty one stays the spare, the others are sealed.
//! What is not ours is left alone, named in a warning, and on the ledger; so is what could not be read, until it is the oldest in the ring.
//! Not here: whose the store is (`identify`); reading one segment (`load`); what is thrown away (`sweep`); how records of one key meet (`publish`).

use std::io;
use std::sync::Arc;

use crate::sync::Mutex;
use futures_channel::oneshot;
use kura_disk::{DirEntry, Disk, Lock, Runtime};

use crate::budget::Category;
use crate::create::{NotMade, segment_path};
use crate::error::{During, Error};
use crate::files::Handle;
use crate::format::segment::{SegmentKind, parse_file_name};
use crate::format::{HEAT, LOCK, SCRUB, SEGMENTS_DIRECTORY, STORE, TEMPORARY_PREFIX, TOKENS, TOKENS_S3};
use crate::heat::Heat;
use crate::identify::identify;
use crate::key::NamespaceId;
use crate::lanes::{self, Owner};
use crate::load::{Loaded, Opened};
use crate::log::Lacking;
use crate::progress::{Phase, Progress};
use crate::read::is_out_of_files;
use crate::segment::{Mode, Segment, Shape, Writing};
use crate::settings::{Durability, Settings};
use crate::store::{Inner, Store};
use crate::sweep::{is_leftover, occupied, sweep_orphaned_segments, sweep_temporary};
use crate::types::SegmentNumber;
use crate::version::above_unread;
use crate::victim::Manner;

/// Segments loaded side by side, for each that can compute at a time: the rest wait for the device.
const LOADS_PER_CORE: usize = 2;

/// What some filesystems have in their root.
const LOST_AND_FOUND: &str = "lost+found";

impl Store {
    /// Opens the store in `disk`, creating it if there is none, and recovers what a crash left.
    ///
    /// # Errors
    /// `Locked`, `NewerFormat`, `StoreDamaged`, `CapacityTooSmall`, `Io`: each says what to do.
    pub async fn open(
        disk: Arc<dyn Disk>,
        runtime: Arc<dyn Runtime>,
        mut settings: Settings,
        progress: Arc<Progress>,
    ) -> Result<Store, Error> {
        settings.lease = settings.lease.min(Settings::MAX_LEASE);
        let (found, minimum) = (settings.geometry.budget(), settings.geometry.minimum_budget());
        if found < minimum {
            return Err(Error::CapacityTooSmall { found, minimum });
        }
        lanes::check(&settings.quotas, &settings.geometry)?;
        disk.create_directory("").await.during("creating the data directory")?;
        let lock = take_lock(&disk).await?;
        let identity = identify(&disk, &runtime, &settings).await?;
        let heat = Heat::load(&disk, identity.store_id, settings.geometry.overhead()).await;
        let inner = Inner::new(disk, runtime, settings, identity, heat, lock);
        inner.recover(&progress).await?;
        inner.start();
        progress.enter(Phase::Ready);
        Ok(Store { inner })
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

pub(crate) async fn take_lock(disk: &Arc<dyn Disk>) -> Result<Box<dyn Lock>, Error> {
    match disk.lock(LOCK).await {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(Error::Locked { pid: disk.lock_holder(LOCK).await.ok().flatten() })
        }
        other => other.during("locking the data directory"),
    }
}

/// The segment files among the entries of their directory.
pub(crate) fn segments_of(entries: &[DirEntry]) -> Vec<FoundFile> {
    let segment = |entry: &DirEntry| {
        let number = entry.name.as_deref().and_then(parse_file_name).filter(|_| entry.is_file)?;
        let space = occupied(entry);
        Some(FoundFile { number, length: entry.length, space, modified_unix_millis: entry.modified_unix_millis })
    };
    entries.iter().filter_map(segment).collect()
}

/// Whether an error says something about the segment that could not be loaded, and not about this process.
fn tells_of_the_segment(error: &Error) -> bool {
    match error {
        Error::NewerFormat { .. } => false,
        Error::Io { source, .. } => !is_out_of_files(source) && source.kind() != io::ErrorKind::OutOfMemory,
        _ => true,
    }
}

/// Whether a name in a directory was given by a store.
pub(crate) fn is_ours(directory: &str, entry: &DirEntry) -> bool {
    let Some(name) = entry.name.as_deref() else { return false };
    match (directory, entry.is_file) {
        ("", true) => {
            [LOCK, STORE, HEAT, SCRUB, TOKENS, TOKENS_S3].contains(&name) || name.starts_with(TEMPORARY_PREFIX)
        }
        // The filesystem's own, where the directory is a mount.
        ("", false) => [SEGMENTS_DIRECTORY, LOST_AND_FOUND].contains(&name),
        (_, is_file) => is_file && (parse_file_name(name).is_some() || name.starts_with(TEMPORARY_PREFIX)),
    }
}

/// A file that has a segment's name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FoundFile {
    pub(crate) number: SegmentNumber,
    pub(crate) length: u64,
    /// Bytes that it occupies.
    pub(crate) space: u64,
    modified_unix_millis: u64,
}

impl Inner {
    async fn recover(self: &Arc<Self>, progress: &Arc<Progress>) -> Result<(), Error> {
        progress.enter(Phase::Loading);
        self.disk.create_directory(SEGMENTS_DIRECTORY).await.during("creating the segments directory")?;
        self.disk.sync_directory("", "names in the data directory").await.during("syncing the data directory")?;
        self.keep_on_ledger(Category::Control, self.geometry().overhead());
        self.sweep().await;
        // A killed process may have renamed what no sync covered: what is found now is built upon.
        let found = self.disk.sync_directory(SEGMENTS_DIRECTORY, "names of the segments found").await;
        found.during("syncing the segments directory")?;
        let entries = self.disk.list(SEGMENTS_DIRECTORY).await.during("listing the segments")?;
        self.count_foreign(SEGMENTS_DIRECTORY, &entries);
        // What the sweep could not remove, or did not see, is on the ledger until a start removes it.
        entries
            .iter()
            .filter(|entry| is_leftover(entry))
            .for_each(|entry| self.keep_on_ledger(Category::Foreign, occupied(entry)));
        let segments = segments_of(&entries);
        progress.found(segments.len());
        let unsealed = self.load_all(segments, progress).await?;
        self.go_on(unsealed).await;
        self.unmark_heat().await?;
        self.heat.forget();
        self.fit(progress).await
    }

    async fn sweep(&self) {
        let root = match self.disk.list("").await {
            Ok(entries) => {
                self.count_foreign("", &entries);
                self.count_tokens(&entries);
                sweep_temporary(&self.disk, "", &entries).await
            }
            Err(error) => {
                tracing::warn!(%error, "the sweep could not list the data directory");
                crate::sweep::Swept::default()
            }
        };
        let segments = sweep_orphaned_segments(&self.disk).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the sweep could not list the segments");
            crate::sweep::Swept::default()
        });
        self.counters.swept.add(root.removed + segments.removed);
        self.keep_on_ledger(Category::Foreign, root.foreign_bytes);
    }

    /// Files that are not ours are named, left alone, and counted.
    fn count_foreign(&self, directory: &str, entries: &[DirEntry]) {
        for entry in entries.iter().filter(|entry| !is_ours(directory, entry)) {
            let name = entry.name.as_deref().unwrap_or("(not UTF-8)");
            let what = if entry.is_file { "" } else { ", without what is in it" };
            tracing::warn!(name, directory, "not ours: left alone, and counted against the budget{what}");
            self.keep_on_ledger(Category::Foreign, occupied(entry));
        }
    }

    /// The files that others write while a store is open, and replace as a whole: the new one lies beside the old until it is complete.
    fn count_tokens(&self, entries: &[DirEntry]) {
        let is_theirs = |name| [TOKENS, TOKENS_S3].contains(&name);
        let tokens = entries.iter().filter(|entry| entry.is_file && entry.name.as_deref().is_some_and(is_theirs));
        self.keep_on_ledger(Category::Control, tokens.map(|entry| occupied(entry).saturating_mul(2)).sum());
    }

    /// Counts bytes that stay as long as this process runs.
    fn keep_on_ledger(&self, category: Category, bytes: u64) {
        if bytes > 0 {
            let kept = self.budget.force_reserve(category, bytes);
            self.kept.lock().push(kept);
        }
    }

    /// Loads all segments side by side. Returns the unsealed ones.
    async fn load_all(
        self: &Arc<Self>,
        segments: Vec<FoundFile>,
        progress: &Arc<Progress>,
    ) -> Result<Vec<Arc<Segment>>, Error> {
        let queue = Arc::new(Mutex::new(segments));
        let mut results = Vec::new();
        for _ in 0..self.runtime.parallelism() * LOADS_PER_CORE {
            let (answer, result) = oneshot::channel();
            let (inner, queue, progress) = (Arc::clone(self), Arc::clone(&queue), Arc::clone(progress));
            self.spawn("load segments", async move {
                let _ = answer.send(inner.load_from(&queue, &progress).await);
            });
            results.push(result);
        }
        let mut unsealed = Vec::new();
        for result in results {
            unsealed.extend(result.await.unwrap_or(Err(Error::Closed))?);
        }
        unsealed.sort_by_key(|segment| segment.number());
        Ok(unsealed)
    }

    async fn load_from(
        self: &Arc<Self>,
        queue: &Mutex<Vec<FoundFile>>,
        progress: &Progress,
    ) -> Result<Vec<Arc<Segment>>, Error> {
        let mut unsealed = Vec::new();
        loop {
            let next = queue.lock().pop();
            let Some(file) = next else {
                return Ok(unsealed);
            };
            match self.load(file.number, file.length).await {
                Ok(Loaded::Segment(opened)) => unsealed.extend(self.take_in(&file, *opened)),
                Ok(Loaded::Orphan) => self.remove_orphan(&file),
                Ok(Loaded::Foreign(why)) => {
                    self.versions.step_over(file.number);
                    tracing::warn!(segment = %segment_path(file.number), why, "left alone, and counted against the budget");
                    self.keep_on_ledger(Category::Foreign, file.space);
                }
                Err(error) if !tells_of_the_segment(&error) => return Err(error),
                Err(error) => self.take_in_unread(&file, &error),
            }
            // What is not written on is closed at once, however many there are.
            self.graveyard.clear().await;
            progress.loaded_one();
        }
    }

    /// Puts a loaded segment into the ring and its records into the index. Returns it if it is not sealed.
    fn take_in(self: &Arc<Self>, found: &FoundFile, opened: Opened) -> Option<Arc<Segment>> {
        let number = found.number;
        let kind = opened.kind;
        let category = if kind == SegmentKind::Solo { Category::Solo } else { Category::Shared };
        let space = Arc::new(Mutex::new(self.budget.force_reserve(category, found.space)));
        let handle = Handle::new(opened.file, Arc::clone(&space), Arc::clone(&self.graveyard));
        let writing = opened.tail.map(|tail| {
            let mut writing = Writing::new(Arc::clone(&handle), tail);
            if !opened.sound {
                writing.mode = Mode::Failed;
            }
            writing.given = opened.footer.entries.len();
            for namespace in &opened.footer.namespaces {
                writing.namespaces.intern(namespace);
            }
            writing
        });
        let owner = self.owner_of_found(number, kind, &opened.footer.namespaces);
        let shape =
            Shape { birth: opened.footer.birth, number, kind, owner, block: opened.block, length: opened.length };
        let segment = self.ring.add(|slot| Segment::new(slot, shape, space, writing))?;
        let now = self.now();
        let names = &opened.footer.namespaces;
        let namespaces: Vec<_> = names.iter().map(|name| self.identity.seed.of_namespace_id(name)).collect();
        let mut newest = number.0.max(segment.birth.0);
        for (position, record) in opened.footer.entries.iter().enumerate() {
            let ordinal = crate::types::Ordinal(u32::try_from(position).unwrap_or(u32::MAX));
            let mut entry = record.index_entry(segment.slot, ordinal);
            (entry.uses, entry.vouched) = self.heat.of(segment.birth, ordinal, now);
            newest = newest.max(record.version.0);
            let namespace = namespaces.get(record.namespace as usize).copied().unwrap_or(record.fingerprint);
            self.publish_new(entry, &segment, namespace);
        }
        self.versions.start_above(newest);
        segment.with_writing(|writing| writing.entries = opened.footer.entries)?;
        Some(segment)
    }

    /// Whose segment it is, by whose records it holds.
    fn owner_of_found(&self, number: SegmentNumber, kind: SegmentKind, names: &[NamespaceId]) -> Owner {
        if kind == SegmentKind::Solo {
            return names.first().map_or(Owner::ANYBODY, |name| self.lanes.owner(name.tenant()));
        }
        let (owner, is_mixed) = self.lanes.of_names(names);
        if is_mixed {
            self.lanes.mix(number);
        }
        owner
    }

    /// What cannot be read now may be read by the next start, with all that it holds: so what is written from here on is newer, lies later in the ring,
    /// and goes later. A number that no store gave is only stepped over.
    fn take_in_unread(&self, found: &FoundFile, error: &Error) {
        tracing::warn!(segment = %segment_path(found.number), %error, "could not be read: its artifacts are misses until a start can read it");
        let Some(above) = above_unread(found.number, found.modified_unix_millis) else {
            self.versions.step_over(found.number);
            self.keep_on_ledger(Category::Foreign, found.space);
            return;
        };
        self.versions.start_above(above);
        // Whose records it holds is not known either.
        self.lanes.mix(found.number);
        let space = Arc::new(Mutex::new(self.budget.force_reserve(Category::Foreign, found.space)));
        self.ring.add(|slot| Segment::unread(slot, found.number, found.length, space));
    }

    /// Removes what a crash left of a segment that never was one.
    fn remove_orphan(self: &Arc<Self>, found: &FoundFile) {
        let FoundFile { number, length, .. } = *found;
        self.versions.step_over(number);
        let (kind, owner, block) = (SegmentKind::Solo, Owner::ANYBODY, self.geometry().block());
        let shape = Shape { birth: number, number, kind, owner, block, length };
        let space = Arc::new(Mutex::new(self.budget.force_reserve(Category::Solo, found.space)));
        let Some(orphan) = self.ring.add(|slot| Segment::new(slot, shape, space, None)) else {
            return;
        };
        tracing::info!(segment = %segment_path(number), "removing a segment that was never committed");
        self.counters.swept.add(1);
        self.condemn(orphan);
    }

    /// Decides what becomes of the unsealed segments.
    async fn go_on(self: &Arc<Self>, unsealed: Vec<Arc<Segment>>) {
        // Orphans first, so that their bytes are there; the keeper tries again what fails.
        let _ = self.evict_condemned().await;
        let mut shared: Vec<Arc<Segment>> = Vec::new();
        for segment in unsealed {
            if segment.is_solo() { self.seal_found(&segment) } else { shared.push(segment) }
        }
        let mut in_front = None;
        for segment in shared.into_iter().rev() {
            // What is written from now on has to lie behind what could not be read.
            let is_last = !self.ring.any_unread_above(segment.number());
            let can_go_on = is_last && !segment.is_untouched() && segment.check_sound().is_ok();
            if can_go_on && !self.log.has_active(segment.owner()) {
                self.log.set_active(segment);
            } else if !is_last && in_front.is_none() && !segment.is_untouched() && segment.check_sound().is_ok() {
                in_front = Some(segment);
            } else if !segment.is_untouched() {
                self.seal_found(&segment);
            } else if is_last && segment.check_sound().is_ok() && self.log.lacking() == Lacking::Spare {
                self.log.set_spare(segment);
            } else {
                self.condemn(segment);
            }
        }
        // Where it lies in front of what was written since it was made: what is written to it is newer. Its old name is as good.
        let is_in_front = self.log.spare().is_some_and(|spare| self.ring.any_behind(&spare, |_| true));
        if is_in_front && let Err(error) = self.refresh_spare(true).await {
            tracing::warn!(%error, "the spare segment keeps its old name");
        }
        // What was active may have been the last spare: where there is no room for another, what reclaim has to move goes first.
        if self.log.lacking() == Lacking::Spare {
            match self.budget.try_reserve(Category::Shared, self.geometry().segment()) {
                Ok(successor) => self.log.set_successor(successor),
                Err(_) => {
                    // Nor can what could not be read go, before what is in front of it: that is no victim, as long as it takes copies.
                    let last = in_front.take_if(|segment| !self.log.has_active(segment.owner()));
                    last.into_iter().for_each(|last| self.log.set_active_for_copies(last));
                    self.log.keep_for_copies();
                }
            }
        }
        in_front.into_iter().for_each(|segment| self.seal_found(&segment));
    }

    fn seal_found(self: &Arc<Self>, segment: &Arc<Segment>) {
        segment.begin_draining();
        self.seal_in_background(segment);
    }

    /// If what was found is over the budget (it was lowered), reclaims until it is not, moving only what must be kept.
    async fn fit(self: &Arc<Self>, progress: &Progress) -> Result<(), Error> {
        progress.enter(Phase::Shrinking);
        let over = || self.budget.used().saturating_sub(self.budget.limit());
        while over() > 0 {
            progress.over_budget(over());
            self.spare_to_shrink_into().await?;
            match self.reclaim_oldest(Manner::Shrink).await {
                Ok(true) => {}
                Ok(false) => {
                    let over = over();
                    tracing::warn!(
                        over,
                        "still over the budget with nothing left to reclaim: remove what is not ours from the data directory"
                    );
                    break;
                }
                Err(error @ Error::NoPlace) => {
                    let over = over();
                    tracing::warn!(over, %error, "still over the budget: free space on the filesystem");
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        progress.over_budget(0);
        Ok(())
    }

    /// A spare for what shrinking has to move. Where the filesystem is full there is none until a segment has gone.
    async fn spare_to_shrink_into(self: &Arc<Self>) -> Result<(), Error> {
        if self.log.lacking() != Lacking::Spare {
            return Ok(());
        }
        let size = self.geometry().segment();
        let reservation = self.budget.force_reserve(Category::Shared, size);
        match self.create_segment(SegmentKind::Shared, Owner::ANYBODY, size, reservation).await {
            Ok(spare) => self.log.set_spare(spare.take()),
            Err(NotMade { why: Error::Io { source, .. }, .. }) if is_full(&source) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Starts the tasks that run as long as the store is open.
    fn start(self: &Arc<Self>) {
        self.spawn("keeper", Arc::clone(self).keep());
        if let Durability::Interval(interval) = self.settings.durability {
            self.spawn("sync", Arc::clone(self).sync_at_intervals(interval));
        }
        if self.settings.scrub_rate > 0 {
            self.spawn("scrub", Arc::clone(self).scrub());
        }
    }
}
