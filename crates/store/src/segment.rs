//! One segment: what it is, and, while it takes records, where the next one goes.
//! States: open (appended to) → draining (full, uploads still end in it) → sealed (footer written); or failed after a failed
//! sync: then never written, synced or sealed again. Each only moves forward.
//! Invariant: room for the footer of every place that was ever given is kept free, so sealing cannot fail for want of space.
//! Locks: `writing`, never across disk work.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use crate::commit::Pending;
use crate::create::segment_path;
use crate::error::Error;
use crate::files::{Handle, Space};
use crate::format::footer::{Footer, FooterEntry, NamespaceTable};
use crate::format::segment::{SEGMENT_HEADER_LEN, SegmentKind};
use crate::index::SegmentSlot;
use crate::key::NamespaceId;
use crate::lanes::Owner;
use crate::queue::Queue;
use crate::sync::Mutex;
use crate::types::{Offset, Place, SegmentNumber};

pub(crate) struct Segment {
    pub(crate) slot: SegmentSlot,
    /// The number that it was created with: its records are bound to it.
    pub(crate) birth: SegmentNumber,
    number: AtomicU64,
    /// The number in its file's name: that of its place, but for as long as it takes to rename it, and where that failed. Then the next start finds it
    /// at its old place, which is as good: by what rules its records win there is decided anew.
    name: AtomicU64,
    pub(crate) kind: SegmentKind,
    owner: AtomicU64,
    /// Bytes of a body that one checksum covers.
    pub(crate) block: u32,
    /// Length of the file.
    length: AtomicU64,
    /// Bytes of records that the index points at.
    live: AtomicU64,
    /// Taken by the keeper to be evicted: no victim again, and no upload goes on in it.
    condemned: AtomicBool,
    /// Its file could not be read at the start: nobody knows what it holds.
    unread: bool,
    /// Records of it were taken out of the index: the next start may find them again.
    hiding: AtomicBool,
    /// While records are taken; `None` once sealed.
    writing: Mutex<Option<Writing>>,
    space: Mutex<Option<Space>>,
    handle: Mutex<Weak<Handle>>,
    /// Held across a sync: the one lock that is, and nothing but other syncs waits for it.
    syncing: futures_util::lock::Mutex<()>,
}

/// The right to sync a segment.
pub(crate) type SyncTurn<'a> = futures_util::lock::MutexGuard<'a, ()>;

/// What a segment that is not sealed keeps in memory.
pub(crate) struct Writing {
    pub(crate) handle: Arc<Handle>,
    pub(crate) mode: Mode,
    /// Where the next record goes.
    pub(crate) tail: u64,
    /// Committed records in commit order.
    pub(crate) entries: Vec<FooterEntry>,
    pub(crate) namespaces: NamespaceTable,
    /// Places given so far: no more records than that can be on the disk, those included whose commit failed.
    pub(crate) given: usize,
    /// Of those, not yet committed or dropped.
    pub(crate) outstanding: usize,
    /// Complete records that wait for the committer.
    pub(crate) queue: Queue<Pending>,
    /// Batches written so far, and of those how many a sync has covered.
    pub(crate) written: u64,
    pub(crate) synced: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Open,
    Draining,
    Failed,
}

/// A place for one record, and the index of its namespace in the footer's table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allotted {
    pub(crate) offset: Offset,
    pub(crate) namespace: u32,
}

impl Writing {
    pub(crate) fn new(handle: Arc<Handle>, tail: u64) -> Writing {
        Writing {
            handle,
            mode: Mode::Open,
            tail,
            entries: Vec::new(),
            namespaces: NamespaceTable::default(),
            given: 0,
            outstanding: 0,
            queue: Queue::default(),
            written: 0,
            synced: 0,
        }
    }

    /// Bytes of its list, with what it takes to make a footer of it: a copy, and its encoding.
    pub(crate) fn memory(&self) -> u64 {
        3 * (self.entries.capacity() * size_of::<FooterEntry>()) as u64
    }

    /// Gives a place of `total` bytes, if the segment is open and has room for it and for the footer that will list it.
    fn allot(&mut self, total: u64, namespace: &NamespaceId, length: u64) -> Option<Allotted> {
        if self.mode != Mode::Open {
            return None;
        }
        let footer = Footer::encoded_len(self.given + 1, self.namespaces.encoded_len_with(namespace));
        if self.tail + total + footer > length {
            return None;
        }
        let offset = Offset(self.tail);
        self.tail += total;
        self.given += 1;
        self.outstanding += 1;
        Some(Allotted { offset, namespace: self.namespaces.intern(namespace) })
    }
}

impl Segment {
    pub(crate) fn new(slot: SegmentSlot, shape: Shape, space: Space, writing: Option<Writing>) -> Segment {
        let handle = writing.as_ref().map_or_else(Weak::new, |writing| Arc::downgrade(&writing.handle));
        Segment {
            slot,
            birth: shape.birth,
            number: AtomicU64::new(shape.number.0),
            name: AtomicU64::new(shape.number.0),
            kind: shape.kind,
            owner: AtomicU64::new(shape.owner.0),
            block: shape.block,
            length: AtomicU64::new(shape.length),
            live: AtomicU64::new(0),
            condemned: AtomicBool::new(false),
            unread: false,
            hiding: AtomicBool::new(false),
            writing: Mutex::new(writing),
            space: Mutex::new(Some(space)),
            handle: Mutex::new(handle),
            syncing: futures_util::lock::Mutex::new(()),
        }
    }

    /// One that could not be read. It has its place in the ring, so that what is newer stays longer; none of its records is in the index.
    pub(crate) fn unread(slot: SegmentSlot, number: SegmentNumber, length: u64, space: Space) -> Segment {
        let shape = Shape { birth: number, number, kind: SegmentKind::Solo, owner: Owner::ANYBODY, block: 0, length };
        Segment { unread: true, ..Segment::new(slot, shape, space, None) }
    }

    pub(crate) fn is_unread(&self) -> bool {
        self.unread
    }

    /// A record of it was taken out of the index, with nothing in its place.
    pub(crate) fn hide(&self) {
        self.hiding.store(true, Ordering::SeqCst);
    }

    /// Whether the next start may find a record in it that the index does not know.
    pub(crate) fn may_hold_more(&self) -> bool {
        self.unread || self.is_condemned() || self.hiding.load(Ordering::SeqCst)
    }

    pub(crate) fn number(&self) -> SegmentNumber {
        SegmentNumber(self.number.load(Ordering::SeqCst))
    }

    /// Only by [`crate::ring::Ring::renumber`], which keeps its order in step.
    pub(crate) fn set_number(&self, number: SegmentNumber) {
        self.number.store(number.0, Ordering::SeqCst);
    }

    /// Its file.
    pub(crate) fn path(&self) -> String {
        segment_path(SegmentNumber(self.name.load(Ordering::SeqCst)))
    }

    /// Its file was renamed after its number.
    pub(crate) fn set_name(&self, number: SegmentNumber) {
        self.name.store(number.0, Ordering::SeqCst);
    }

    pub(crate) fn place(&self, offset: Offset) -> Place {
        Place { segment: self.number(), offset }
    }

    pub(crate) fn owner(&self) -> Owner {
        Owner(self.owner.load(Ordering::SeqCst))
    }

    /// Only by [`crate::ring::Ring::give`], which counts by owner.
    pub(crate) fn set_owner(&self, owner: Owner) {
        self.owner.store(owner.0, Ordering::SeqCst);
    }

    pub(crate) fn is_solo(&self) -> bool {
        self.kind == SegmentKind::Solo
    }

    pub(crate) fn length(&self) -> u64 {
        self.length.load(Ordering::SeqCst)
    }

    /// Only by [`crate::ring::Ring::resize`], which counts bytes.
    pub(crate) fn set_length(&self, length: u64) {
        self.length.store(length, Ordering::SeqCst);
    }

    pub(crate) fn live(&self) -> u64 {
        self.live.load(Ordering::SeqCst)
    }

    pub(crate) fn add_live(&self, bytes: u64) {
        self.live.fetch_add(bytes, Ordering::SeqCst);
    }

    /// Counts bytes as dead; returns what is still live.
    pub(crate) fn subtract_live(&self, bytes: u64) -> u64 {
        let before = self.live.fetch_sub(bytes, Ordering::SeqCst);
        assert!(before >= bytes, "segment {} has less than nothing live", self.number());
        before - bytes
    }

    /// Bytes that records can take in an empty segment of this length.
    pub(crate) fn payload(&self) -> u64 {
        self.length().saturating_sub(SEGMENT_HEADER_LEN)
    }

    /// Marks the segment for eviction. Returns false if it was already.
    pub(crate) fn condemn(&self) -> bool {
        !self.condemned.swap(true, Ordering::SeqCst)
    }

    /// It could not be emptied: it stays in the ring.
    pub(crate) fn pardon(&self) {
        self.condemned.store(false, Ordering::SeqCst);
    }

    /// Whether an upload into it is under way.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.with_writing(|writing| writing.outstanding > 0).unwrap_or(false)
    }

    /// A victim before all that is not: neither gone already nor an upload under way in a segment of its own.
    pub(crate) fn is_finished(&self) -> bool {
        !(self.is_condemned() || self.is_solo() && self.is_unfinished())
    }

    pub(crate) fn is_condemned(&self) -> bool {
        self.condemned.load(Ordering::SeqCst)
    }

    /// Takes the segment's own share of its reservation: it was unlinked.
    pub(crate) fn take_space(&self) -> Option<Space> {
        self.space.lock().take()
    }

    pub(crate) fn space(&self) -> Option<Space> {
        self.space.lock().clone()
    }

    pub(crate) fn open_handle(&self) -> Option<Arc<Handle>> {
        self.handle.lock().upgrade()
    }

    /// Remembers an opened file; if another was opened meanwhile, that one is returned and `handle` is dropped.
    pub(crate) fn remember_handle(&self, handle: Arc<Handle>) -> Arc<Handle> {
        let mut known = self.handle.lock();
        if let Some(other) = known.upgrade() {
            drop(known);
            return other;
        }
        *known = Arc::downgrade(&handle);
        handle
    }

    pub(crate) fn allot(&self, total: u64, namespace: &NamespaceId) -> Option<Allotted> {
        if self.is_condemned() {
            return None;
        }
        self.writing.lock().as_mut()?.allot(total, namespace, self.length())
    }

    /// Looks at, or changes, what an unsealed segment keeps; `None` once it is sealed.
    pub(crate) fn with_writing<T>(&self, then: impl FnOnce(&mut Writing) -> T) -> Option<T> {
        self.writing.lock().as_mut().map(then)
    }

    /// Whether a sync of it failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.with_writing(|writing| writing.mode) == Some(Mode::Failed)
    }

    /// # Errors
    /// `Evicted` after a failed sync: it is never written again.
    pub(crate) fn check_sound(&self) -> Result<(), Error> {
        if self.has_failed() { Err(Error::Evicted) } else { Ok(()) }
    }

    /// Waits until nobody else syncs the segment.
    pub(crate) async fn turn_to_sync(&self) -> SyncTurn<'_> {
        self.syncing.lock().await
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.writing.lock().is_none()
    }

    /// A spare: nothing was ever given a place in it.
    pub(crate) fn is_untouched(&self) -> bool {
        !self.is_solo() && self.writing.lock().as_ref().is_some_and(|writing| writing.tail == SEGMENT_HEADER_LEN)
    }

    /// The footer is written: what was kept for it goes.
    pub(crate) fn set_sealed(&self) {
        let writing = self.writing.lock().take();
        drop(writing);
    }

    /// Takes no more records. Returns whether it can be sealed now.
    pub(crate) fn begin_draining(&self) -> bool {
        self.with_writing(|writing| {
            if writing.mode == Mode::Open {
                writing.mode = Mode::Draining;
            }
            writing.mode == Mode::Draining && writing.outstanding == 0
        })
        .unwrap_or(false)
    }
}

/// What a segment is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) birth: SegmentNumber,
    pub(crate) number: SegmentNumber,
    pub(crate) kind: SegmentKind,
    pub(crate) owner: Owner,
    pub(crate) block: u32,
    pub(crate) length: u64,
}
