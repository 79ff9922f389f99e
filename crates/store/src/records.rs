//! Says of a place in a segment file whether a record holds there: for recovery, the scrubber, and whoever looks at a stopped directory.
//! Only what holds at its place is one: the head's keyed hash binds it to segment and offset, the commit mark to the head, and every block is
//! checked, since one sync does not order a body before its trailer.
//! Memory: one window of the file, which passes over it once where places are asked for in order.

use bytes::Bytes;

use crate::error::Error;
use crate::format::Damage;
use crate::format::footer::FooterEntry;
use crate::format::record::{BlockSums, FIXED_HEAD_LEN, Head, HeadHash, Layout, Seal, TrailerView};
use crate::key::Secret;
use crate::read::index;
use crate::types::{ALIGNMENT, Offset, Ordinal, SegmentNumber};

/// How much of the file is read at a time.
pub(crate) const WINDOW: u64 = 1 << 20;

/// Where the bytes of a segment come from.
pub(crate) trait Source: Send + Sync {
    /// # Errors
    /// `Corrupt` where the device has lost them, where the source can tell; else `Io`, `Evicted`, `Closed`.
    fn read(&self, at: u64, length: u64) -> impl Future<Output = Result<Bytes, Error>> + Send;
}

/// What a segment is, as far as its records are bound to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    /// Bytes of the file.
    pub(crate) length: u64,
    /// Bytes of a body that one checksum covers.
    pub(crate) block: u32,
    pub(crate) birth: SegmentNumber,
    pub(crate) secret: &'a Secret,
}

/// What a place holds.
pub(crate) enum Found {
    /// No head that holds there.
    Nothing,
    /// A head, and no trailer that ends its record: an upload that never ended. It has taken so many bytes.
    Unfinished(u64),
    /// Head and trailer hold, and a block does not. It has taken so many bytes.
    Torn(u64),
    /// A whole record.
    Whole(Box<WholeRecord>),
}

impl Found {
    /// Bytes to the next place where a record can start.
    pub(crate) fn taken(&self) -> u64 {
        match self {
            Found::Nothing => ALIGNMENT,
            Found::Unfinished(taken) | Found::Torn(taken) => *taken,
            Found::Whole(whole) => whole.total,
        }
    }

    /// The record, if it is one and the one that was expected.
    ///
    /// # Errors
    /// What did not hold.
    pub(crate) fn if_it_is(self, expected: impl FnOnce(&WholeRecord) -> bool) -> Result<Box<WholeRecord>, Damage> {
        match self {
            Found::Nothing => Err(Damage("the head of a record")),
            Found::Unfinished(_) => Err(Damage("the trailer of a record")),
            Found::Torn(_) => Err(TORN),
            Found::Whole(whole) if expected(&whole) => Ok(whole),
            Found::Whole(_) => Err(Damage("another record in its place")),
        }
    }
}

/// Of a record whose head and trailer hold.
pub(crate) const TORN: Damage = Damage("a block's checksum");

/// A record that holds at its place.
pub(crate) struct WholeRecord {
    pub(crate) head: Head,
    pub(crate) ordinal: Ordinal,
    /// Its `namespace` is zero: only a footer's table gives it a position.
    pub(crate) entry: FooterEntry,
    /// Bytes that it takes.
    pub(crate) total: u64,
}

#[derive(Default)]
struct Window {
    start: u64,
    bytes: Bytes,
}

pub(crate) struct Records<'a, S> {
    source: S,
    frame: Frame<'a>,
    window: Window,
}

impl<'a, S: Source> Records<'a, S> {
    pub(crate) fn new(source: S, frame: Frame<'a>) -> Records<'a, S> {
        Records { source, frame, window: Window::default() }
    }

    /// What holds at `at`. `known` is the stored length that a footer gives, where the head of a growing body could not say it.
    ///
    /// # Errors
    /// As [`Source::read`].
    pub(crate) async fn at(&mut self, at: Offset, known: Option<u64>) -> Result<Found, Error> {
        let Some((head, head_hash)) = self.head_at(at).await? else {
            return Ok(Found::Nothing);
        };
        let (head_len, at) = (head.encoded_len(), at.0);
        let Some(stored_len) = head.stored_len.or(known) else {
            return Ok(Found::Unfinished(head_len));
        };
        let layout = Layout::new(head_len, stored_len, self.frame.block);
        if at.saturating_add(layout.total) > self.frame.length {
            return Ok(Found::Unfinished(self.frame.length - at));
        }
        let trailer_bytes = self.beside(at + layout.trailer, layout.trailer_len).await?;
        let Ok(trailer) = TrailerView::decode(&trailer_bytes, &layout, head_hash, self.frame.secret) else {
            return Ok(Found::Unfinished(layout.total));
        };
        let blocks = index(stored_len.div_ceil(u64::from(self.frame.block)));
        if self.sums(at + layout.body, stored_len).await? != trailer.crcs(blocks) {
            return Ok(Found::Torn(layout.total));
        }
        let entry = FooterEntry {
            fingerprint: head.fingerprint,
            offset: Offset(at),
            head_len,
            stored_len,
            logical_len: trailer.logical_len,
            version: trailer.version,
            namespace: 0,
            record_type: head.record_type,
            copy: trailer.copy,
            encoding: head.encoding,
        };
        Ok(Found::Whole(Box::new(WholeRecord { head, ordinal: trailer.ordinal, entry, total: layout.total })))
    }

    /// The head at `at`, if one holds there.
    ///
    /// # Errors
    /// As [`Source::read`].
    pub(crate) async fn head_at(&mut self, at: Offset) -> Result<Option<(Head, HeadHash)>, Error> {
        if at.0.saturating_add(FIXED_HEAD_LEN) > self.frame.length {
            return Ok(None);
        }
        let fixed = self.bytes(at.0, FIXED_HEAD_LEN).await?;
        let fits = |length: &u64| at.0 + length <= self.frame.length;
        let Some(head_len) = Head::peek_len(&fixed).filter(fits) else {
            return Ok(None);
        };
        let bytes = self.bytes(at.0, head_len).await?;
        let seal = Seal { secret: self.frame.secret, birth: self.frame.birth, offset: at };
        Ok(Head::decode(&bytes, &seal).ok())
    }

    async fn sums(&mut self, from: u64, length: u64) -> Result<Vec<u32>, Error> {
        let mut sums = BlockSums::new(self.frame.block);
        let mut done = 0;
        while done < length {
            let at_hand = self.at_hand(from + done).len() as u64;
            let piece = (length - done).min(if at_hand == 0 { WINDOW } else { at_hand });
            sums.update(&self.bytes(from + done, piece).await?);
            done += piece;
        }
        Ok(sums.finish())
    }

    /// What the window holds from `at` on.
    pub(crate) fn at_hand(&self, at: u64) -> &[u8] {
        let skip = at.checked_sub(self.window.start).map_or(usize::MAX, index);
        self.window.bytes.get(skip..).unwrap_or_default()
    }

    /// Bytes of the file, within its length; the window moves to them where it has to.
    ///
    /// # Errors
    /// As [`Source::read`].
    pub(crate) async fn bytes(&mut self, at: u64, length: u64) -> Result<Bytes, Error> {
        if (self.at_hand(at).len() as u64) < length {
            let size = length.max(WINDOW).min(self.frame.length - at);
            match self.source.read(at, size).await {
                // What is lost may be another's.
                Err(Error::Corrupt { .. }) if size > length => return self.source.read(at, length).await,
                read => self.window = Window { start: at, bytes: read? },
            }
        }
        Ok(self.window.bytes.slice_ref(&self.at_hand(at)[..index(length)]))
    }

    /// The same without moving the window: for a trailer, whose body is still to come.
    async fn beside(&mut self, at: u64, length: u64) -> Result<Bytes, Error> {
        match self.at_hand(at).get(..index(length)) {
            Some(bytes) => Ok(self.window.bytes.slice_ref(bytes)),
            None => self.source.read(at, length).await,
        }
    }
}
