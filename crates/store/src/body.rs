//! The bytes of an artifact on their way out, each block checked before it leaves.
//! A body holds its segment's file: an evicted segment stays readable to the end, unless the answer is broken off to keep the budget.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::Error;
use crate::files::Handle;
use crate::format::Damage;
use crate::format::record::{Layout, TrailerView};
use crate::index::Entry;
use crate::publish::Spot;
use crate::read::index;
use crate::segment::Segment;
use crate::store::Inner;

/// How many blocks of a long body are read at a time.
const BLOCKS_PER_PIECE: u64 = 4;

/// The stored bytes of one artifact, or a range of them.
pub struct Body {
    source: Source,
    /// What is still to be given.
    left: Range<u64>,
}

enum Source {
    Whole(Bytes),
    Blocks(Box<Blocks>),
}

struct Blocks {
    inner: Arc<Inner>,
    segment: Arc<Segment>,
    handle: Arc<Handle>,
    entry: Entry,
    layout: Layout,
    /// Checked when it was read.
    trailer: Bytes,
}

impl Body {
    pub(crate) fn whole(bytes: Bytes) -> Body {
        let left = 0..bytes.len() as u64;
        Body { source: Source::Whole(bytes), left }
    }

    pub(crate) fn streamed(
        inner: &Arc<Inner>,
        segment: &Arc<Segment>,
        handle: Arc<Handle>,
        entry: &Entry,
        layout: &Layout,
        trailer: Bytes,
    ) -> Body {
        let blocks = Blocks {
            inner: Arc::clone(inner),
            segment: Arc::clone(segment),
            handle,
            entry: *entry,
            layout: *layout,
            trailer,
        };
        Body { source: Source::Blocks(Box::new(blocks)), left: 0..layout.stored_len }
    }

    /// Restricts what is given to `range` of the stored bytes; what lies past the end is cut off.
    pub fn select(&mut self, range: Range<u64>) {
        let end = range.end.min(self.left.end);
        self.left = range.start.min(end)..end;
    }

    /// Bytes that are still to come.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.left.end - self.left.start
    }

    /// All of it, if it is in memory: bodies of up to 256 KiB are.
    ///
    /// # Errors
    /// Gives the body back if it has to be read in pieces.
    pub fn into_whole(self) -> Result<Bytes, Body> {
        match self.source {
            Source::Whole(bytes) => Ok(bytes.slice(index(self.left.start)..index(self.left.end))),
            Source::Blocks(_) => Err(self),
        }
    }

    /// The next piece, of at most a few blocks; `None` at the end.
    ///
    /// # Errors
    /// `Evicted` where the answer was broken off, `Corrupt` where a block does not hold (the record is dropped), `Io`. Nothing more can be read then.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.left.is_empty() {
            return Ok(None);
        }
        match &self.source {
            Source::Whole(bytes) => {
                let piece = bytes.slice(index(self.left.start)..index(self.left.end));
                self.left.start = self.left.end;
                Ok(Some(piece))
            }
            Source::Blocks(blocks) => {
                let block = u64::from(blocks.segment.block);
                let from = self.left.start / block * block;
                let upto = self.left.end.min(from + block * BLOCKS_PER_PIECE);
                let piece = blocks.read(from, upto.next_multiple_of(block)).await?;
                let piece = piece.slice(index(self.left.start - from)..index(upto - from));
                self.left.start = upto;
                Ok(Some(piece))
            }
        }
    }
}

impl Blocks {
    fn trailer(&self) -> TrailerView<'_> {
        TrailerView::sums_only(&self.trailer)
    }

    /// Whole blocks from `from` to `to`, the last one as long as it is, checked.
    async fn read(&self, from: u64, to: u64) -> Result<Bytes, Error> {
        let to = to.min(self.layout.stored_len);
        let at = self.entry.offset.0 + self.layout.body + from;
        let place = self.segment.place(self.entry.offset);
        let drop_it = |error: &Error| {
            if matches!(error, Error::Corrupt { .. }) {
                self.inner.drop_damaged(&self.entry.fingerprint, Spot::of(&self.entry), error);
            }
        };
        let bytes = self.inner.fetch(&self.handle, place, at, to - from).await.inspect_err(drop_it)?;
        let first = index(from / u64::from(self.segment.block));
        let corrupt = |Damage(what)| Error::Corrupt { segment: place.segment, offset: place.offset, what };
        let checked = self.trailer().check_blocks(&bytes, first, self.segment.block);
        checked.map_err(corrupt).inspect_err(drop_it)?;
        Ok(bytes)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("left", &self.left).finish_non_exhaustive()
    }
}
