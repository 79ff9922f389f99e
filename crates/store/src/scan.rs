//! Finds the records of a segment that has no footer: what `records` says of each place where one can start.
//! A head without a valid trailer is stepped over with all that it reserved; where no head holds, the next one is looked for 64 bytes on.

use kura_disk::Runtime;

use crate::error::Error;
use crate::format::footer::{Footer, FooterEntry, NamespaceTable};
use crate::format::record::FIXED_HEAD_LEN;
use crate::format::segment::SEGMENT_HEADER_LEN;
use crate::records::{Found, Frame, Records, Source};
use crate::types::{ALIGNMENT, Offset, Ordinal, SegmentNumber};

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

impl Scanned {
    /// The footer that lists what was found.
    pub(crate) fn into_footer(self, store_id: [u8; 16], birth: SegmentNumber) -> Footer {
        let entries = self.records.into_iter().map(|(_, entry)| entry).collect();
        Footer { store_id, birth, entries, namespaces: self.namespaces.names() }
    }
}

/// Scans a segment as a start does.
///
/// # Errors
/// `Io` when the segment cannot be read.
pub(crate) async fn scan(source: impl Source, frame: Frame<'_>, runtime: &dyn Runtime) -> Result<Scanned, Error> {
    let mut scanned = Scanned { tail: SEGMENT_HEADER_LEN, ..Scanned::default() };
    walk(source, frame, runtime, |at, found| {
        scanned.tail = (at.0 + found.taken()).min(frame.length);
        if let Found::Whole(whole) = found {
            let namespace = scanned.namespaces.intern(&whole.head.key.namespace_id());
            scanned.records.push((whole.ordinal, FooterEntry { namespace, ..whole.entry }));
        }
    })
    .await?;
    scanned.records.sort_unstable_by_key(|(ordinal, entry)| (*ordinal, entry.offset));
    Ok(scanned)
}

/// Visits what the segment holds, from its header on, zeros left out.
///
/// # Errors
/// As [`Source::read`].
pub(crate) async fn walk(
    source: impl Source,
    frame: Frame<'_>,
    runtime: &dyn Runtime,
    mut visit: impl FnMut(Offset, Found),
) -> Result<(), Error> {
    let mut records = Records::new(source, frame);
    let mut at = SEGMENT_HEADER_LEN;
    while at + FIXED_HEAD_LEN <= frame.length {
        let found = records.at(Offset(at), None).await?;
        let zeros = match found {
            Found::Nothing => zeros(records.at_hand(at)),
            _ => 0,
        };
        if zeros > 0 {
            at += zeros;
            continue;
        }
        let taken = found.taken();
        if !matches!(found, Found::Nothing) {
            runtime.yield_now().await;
        }
        visit(Offset(at), found);
        at += taken;
    }
    Ok(())
}

/// How many bytes can be passed over because they are zero: most likely they go on to the end.
fn zeros(window: &[u8]) -> u64 {
    let zeros = window.iter().position(|byte| *byte != 0).unwrap_or(window.len()) as u64;
    zeros / ALIGNMENT * ALIGNMENT
}
