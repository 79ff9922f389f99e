//! Open segment files: a bounded cache of them, and the way out of an unlinked one that is still being read.
//! Invariant: a segment's bytes stay on the ledger until its name is gone *and* every file of it is closed; so a handle shares the
//! segment's reservation, and what is dropped goes through the graveyard, where the keeper closes it.
//! Not here: when a segment is evicted (`evict`).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use event_listener::Event;
use kura_disk::File;

use crate::budget::{Category, Reservation};
use crate::error::Error;
use crate::segment::Segment;
use crate::sync::Mutex;

/// A segment's bytes on the ledger, shared by the segment and its open files.
pub(crate) type Space = Arc<Mutex<Reservation>>;

/// An open segment file. Readers and writers hold it; dropping the last one closes it.
pub(crate) struct Handle {
    /// Both until the answers that hold it are broken off: then neither, or its bytes would be used for as long as the slowest of them lives.
    open: Mutex<Option<(Arc<dyn File>, Space)>>,
    graveyard: Arc<Graveyard>,
    /// Set by each use, cleared by the clock hand of [`OpenFiles`].
    used: AtomicBool,
}

impl Handle {
    pub(crate) fn new(file: Arc<dyn File>, space: Space, graveyard: Arc<Graveyard>) -> Arc<Handle> {
        Arc::new(Handle { open: Mutex::new(Some((file, space))), graveyard, used: AtomicBool::new(true) })
    }

    /// The file, unless the answers that hold it were broken off.
    pub(crate) fn file(&self) -> Result<Arc<dyn File>, Error> {
        self.open.lock().as_ref().map(|(file, _)| Arc::clone(file)).ok_or(Error::Evicted)
    }

    pub(crate) fn mark_used(&self) {
        // A load first: a store by every reader would bounce the cache line between cores.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    /// Takes the file from whoever still reads or writes it: the next time they fail, and its bytes come back.
    fn break_off(&self) {
        let open = self.open.lock().take();
        if let Some((file, space)) = open {
            self.graveyard.bury(file, space);
        }
    }

    /// Does something with its bytes on the ledger, unless it was broken off.
    fn with_space<T>(&self, then: impl FnOnce(&mut Reservation) -> T) -> Option<T> {
        let space = self.open.lock().as_ref().map(|(_, space)| Arc::clone(space))?;
        Some(then(&mut space.lock()))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some((file, space)) = self.open.get_mut().take() {
            self.graveyard.bury(file, space);
        }
    }
}

/// Files to be closed. Bounded by the number of handles there were.
pub(crate) struct Graveyard {
    buried: Mutex<Vec<(Arc<dyn File>, Space)>>,
    /// Wakes the keeper.
    wake: Arc<Event>,
}

impl Graveyard {
    pub(crate) fn new(wake: Arc<Event>) -> Arc<Graveyard> {
        Arc::new(Graveyard { buried: Mutex::new(Vec::new()), wake })
    }

    fn bury(&self, file: Arc<dyn File>, space: Space) {
        self.buried.lock().push((file, space));
        self.wake.notify(1);
    }

    /// Closes what was buried, then gives its bytes back. A file that is in the middle of an operation is left until that is over: till then its blocks
    /// are not free.
    pub(crate) async fn clear(&self) {
        let buried = std::mem::take(&mut *self.buried.lock());
        let (idle, busy): (Vec<_>, Vec<_>) = buried.into_iter().partition(|(file, _)| Arc::strong_count(file) == 1);
        self.buried.lock().extend(busy);
        for (file, space) in idle {
            // A failed close has closed all the same.
            let _ = file.close().await;
            drop(space);
        }
    }
}

/// Keeps the files of recently read segments open, at most `limit` of them (second-chance order).
pub(crate) struct OpenFiles {
    limit: usize,
    open: Mutex<VecDeque<Arc<Handle>>>,
}

impl OpenFiles {
    pub(crate) fn new(limit: usize) -> OpenFiles {
        OpenFiles { limit: limit.max(1), open: Mutex::new(VecDeque::new()) }
    }

    pub(crate) fn keep(&self, handle: &Arc<Handle>) {
        let mut dropped = Vec::new();
        let mut open = self.open.lock();
        while open.len() >= self.limit {
            let Some(oldest) = open.pop_front() else {
                break;
            };
            if oldest.used.swap(false, Ordering::Relaxed) {
                open.push_back(oldest);
            } else {
                dropped.push(oldest);
            }
        }
        open.push_back(Arc::clone(handle));
        drop(open);
        drop(dropped);
    }

    /// Keeps a file that was opened for `segment`, or the one that another has opened meanwhile.
    pub(crate) fn adopt(&self, unlinked: &Unlinked, segment: &Segment, opened: Arc<Handle>) -> Arc<Handle> {
        let handle = segment.remember_handle(opened);
        self.keep(&handle);
        if segment.space().is_none() {
            // Evicted while it was opened: who did so may not have seen this file.
            self.let_go_of_unlinked(unlinked, &handle);
        }
        handle
    }

    /// The name of `segment` is gone: returns its share of its bytes, unless it was taken before. Only its readers keep its file open from here on.
    pub(crate) fn evict(&self, unlinked: &Unlinked, segment: &Segment) -> Option<Space> {
        let space = segment.take_space()?;
        if let Some(handle) = segment.open_handle() {
            self.let_go_of_unlinked(unlinked, &handle);
        }
        Some(space)
    }

    fn let_go_of_unlinked(&self, unlinked: &Unlinked, handle: &Arc<Handle>) {
        unlinked.add(handle);
        self.let_go(handle);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.open.lock().len()
    }

    fn let_go(&self, handle: &Arc<Handle>) {
        self.open.lock().retain(|kept| !Arc::ptr_eq(kept, handle));
    }

    pub(crate) fn let_go_of_all(&self) {
        let open = std::mem::take(&mut *self.open.lock());
        drop(open);
    }
}

/// Unlinked segments that somebody still reads, oldest first.
#[derive(Default)]
pub(crate) struct Unlinked {
    held: Mutex<VecDeque<Weak<Handle>>>,
}

impl Unlinked {
    /// The segment of `handle` was unlinked. Its bytes count as unlinked from here on.
    pub(crate) fn add(&self, handle: &Arc<Handle>) {
        handle.with_space(|space| space.move_to(Category::Unlinked));
        let mut held = self.held.lock();
        let handle = Arc::downgrade(handle);
        // Whoever evicts a segment and whoever opens it meanwhile may both say so.
        if !held.iter().any(|known| known.ptr_eq(&handle)) {
            held.push_back(handle);
        }
    }

    /// Breaks off the slowest answers (those of the segments unlinked first) until at most `limit` bytes are held. Returns how many.
    pub(crate) fn keep_within(&self, limit: u64) -> usize {
        let mut held = self.held.lock();
        let readers: Vec<Arc<Handle>> = held.drain(..).filter_map(|handle| handle.upgrade()).collect();
        let mut bytes: u64 = readers.iter().map(|handle| handle.with_space(|space| space.bytes()).unwrap_or(0)).sum();
        let broken = readers.iter().take_while(|handle| {
            let over = bytes > limit;
            bytes -= handle.with_space(|space| space.bytes()).unwrap_or(0);
            over
        });
        let broken = broken.count();
        held.extend(readers[broken..].iter().map(Arc::downgrade));
        drop(held);
        readers[..broken].iter().for_each(|handle| handle.break_off());
        broken
    }
}
