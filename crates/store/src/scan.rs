//! Walks the records of a segment that has no footer, for recovery.
//! It accepts only what holds at its place: the head's keyed hash binds it to segment and offset, the commit mark to the head, and every block is
//! checked, since one sync does not order a body before its trailer.
//! A head without a valid trailer is stepped over with all that it reserved; where no head holds, the next one is looked for 64 bytes on.
//! Memory: one window of the file.

use std::sync::Arc;

use bytes::Bytes;
use kura_disk::buffer::BufferPool;
use kura_disk::{File, Runtime};

use crate::error::{During, Error};
use crate::format::footer::{FooterEntry, NamespaceTable};
use crate::format::record::{BlockSums, FIXED_HEAD_LEN, Head, Layout, Seal, TrailerView};
use crate::format::segment::SEGMENT_HEADER_LEN;
use crate::key::{NamespaceId, Secret};
use crate::read::index;
use crate::types::{ALIGNMENT, Offset, Ordinal, SegmentNumber};

/// How much of the file is read at a time.
const WINDOW: u64 = 1 << 20;

/// What a scan found.
#[derive(Default)]
pub(crate) struct Scanned {
    /// Committed records, in commit order.
    pub(crate) records: Vec<(Ordinal, FooterEntry)>,
    /// The namespaces that they name.
    pub(crate) namespaces: NamespaceTable,
    /// Behind all that a head claims or that is not zero.
    pub(crate) tail: u64,
}

struct ScannedRecord {
    ordinal: Ordinal,
    namespace: NamespaceId,
    /// Its `namespace` is set when it is interned.
    entry: FooterEntry,
}

pub(crate) struct Scanner<'a> {
    pub(crate) file: Arc<dyn File>,
    pub(crate) length: u64,
    pub(crate) block: u32,
    pub(crate) birth: SegmentNumber,
    pub(crate) secret: &'a Secret,
    pub(crate) buffers: &'a BufferPool,
    pub(crate) runtime: &'a dyn Runtime,
}

struct Window {
    start: u64,
    bytes: Bytes,
}

impl Scanner<'_> {
    /// # Errors
    /// `Io` when the segment cannot be read.
    pub(crate) async fn scan(&self) -> Result<Scanned, Error> {
        let mut found = Scanned { tail: SEGMENT_HEADER_LEN, ..Scanned::default() };
        let mut window = Window { start: 0, bytes: Bytes::new() };
        let mut at = SEGMENT_HEADER_LEN;
        while at + FIXED_HEAD_LEN <= self.length {
            let fixed = self.bytes(&mut window, at, FIXED_HEAD_LEN).await?;
            let Some((head_len, total, record)) = self.record_at(&mut window, at, &fixed).await? else {
                at = self.next_candidate(&window, at, &fixed, &mut found.tail);
                continue;
            };
            if let Some(ScannedRecord { ordinal, namespace, mut entry }) = record {
                entry.namespace = found.namespaces.intern(&namespace);
                found.records.push((ordinal, entry));
            }
            at += total.max(head_len);
            found.tail = at.min(self.length);
            self.runtime.yield_now().await;
        }
        found.records.sort_unstable_by_key(|(ordinal, entry)| (*ordinal, entry.offset));
        Ok(found)
    }

    /// Where to look next when no head holds at `at`.
    fn next_candidate(&self, window: &Window, at: u64, fixed: &[u8], tail: &mut u64) -> u64 {
        if fixed.iter().any(|byte| *byte != 0) {
            *tail = (at + ALIGNMENT).min(self.length);
            return at + ALIGNMENT;
        }
        // Zeros, most likely to the end: pass over as many as the window holds.
        let rest = &window.bytes[index(at - window.start)..];
        let zeros = rest.iter().position(|byte| *byte != 0).unwrap_or(rest.len()) as u64;
        at + (zeros / ALIGNMENT * ALIGNMENT).max(ALIGNMENT)
    }

    /// The head at `at`, if one holds there: its length, the bytes that the record has taken, and the record if it was committed.
    async fn record_at(
        &self,
        window: &mut Window,
        at: u64,
        fixed: &[u8],
    ) -> Result<Option<(u64, u64, Option<ScannedRecord>)>, Error> {
        let Some(head_len) = Head::peek_len(fixed).filter(|length| at + length <= self.length) else {
            return Ok(None);
        };
        let head_bytes = self.bytes(window, at, head_len).await?;
        let seal = Seal { secret: self.secret, birth: self.birth, offset: Offset(at) };
        let Ok((head, head_hash)) = Head::decode(&head_bytes, &seal) else {
            return Ok(None);
        };
        let Some(stored_len) = head.stored_len else {
            return Ok(Some((head_len, head_len, None)));
        };
        let layout = Layout::new(head_len, stored_len, self.block);
        if at + layout.total > self.length {
            return Ok(Some((head_len, self.length - at, None)));
        }
        let trailer_bytes = self.bytes(window, at + layout.trailer, layout.trailer_len).await?;
        let Ok(trailer) = TrailerView::decode(&trailer_bytes, &layout, head_hash, self.secret) else {
            return Ok(Some((head_len, layout.total, None)));
        };
        let blocks = index(stored_len.div_ceil(u64::from(self.block)));
        if self.sums(window, at + layout.body, stored_len).await? != trailer.crcs(blocks) {
            return Ok(Some((head_len, layout.total, None)));
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
        let record = ScannedRecord { ordinal: trailer.ordinal, namespace: head.key.namespace_id(), entry };
        Ok(Some((head_len, layout.total, Some(record))))
    }

    async fn sums(&self, window: &mut Window, from: u64, length: u64) -> Result<Vec<u32>, Error> {
        let mut sums = BlockSums::new(self.block);
        let mut done = 0;
        while done < length {
            let piece = (length - done).min(WINDOW);
            sums.update(&self.bytes(window, from + done, piece).await?);
            done += piece;
        }
        Ok(sums.finish())
    }

    /// Bytes of the file, through the window.
    async fn bytes(&self, window: &mut Window, at: u64, length: u64) -> Result<Bytes, Error> {
        let end = window.start + window.bytes.len() as u64;
        if at < window.start || at + length > end {
            let size = length.max(WINDOW).min(self.length - at);
            let buffer = self.buffers.take(index(size));
            let buffer = self.file.read_at(at, buffer).await.during("scanning a segment")?;
            *window = Window { start: at, bytes: buffer.into_bytes() };
        }
        let from = index(at - window.start);
        Ok(window.bytes.slice(from..from + index(length)))
    }
}
