//! Reading one segment file at the start: what it is, and which records it holds.
//! Not here: what becomes of it (`recover`); telling what it is (`look`); walking records (`scan`).

use std::sync::Arc;

use kura_disk::File;

use crate::create::segment_path;
use crate::error::{During, Error};
use crate::format::footer::Footer;
use crate::format::segment::{SegmentHeader, SegmentKind};
use crate::look::{Looker, OpenFile, Sort, kind, may_be_empty};
use crate::records::Frame;
use crate::scan::scan;
use crate::store::Inner;
use crate::types::SegmentNumber;

pub(crate) enum Loaded {
    Segment(Box<Opened>),
    /// Readable, and nothing in it is valid or committed.
    Orphan,
    /// Not ours to touch; why.
    Foreign(&'static str),
}

/// A segment of ours, read.
pub(crate) struct Opened {
    pub(crate) file: Arc<dyn File>,
    pub(crate) kind: SegmentKind,
    pub(crate) block: u32,
    pub(crate) length: u64,
    pub(crate) footer: Footer,
    /// Where it may be continued, if it is not sealed.
    pub(crate) tail: Option<u64>,
    /// Whether the sync before the scan succeeded; if not, it is never written again.
    pub(crate) sound: bool,
}

impl Inner {
    /// # Errors
    /// `Io` when it cannot be read, `NewerFormat`.
    pub(crate) async fn load(&self, number: SegmentNumber, length: u64) -> Result<Loaded, Error> {
        let block = self.geometry().block();
        let looker = Looker { disk: &self.disk, identity: &self.identity, buffers: &self.buffers, block };
        let mut looked = looker.look(&segment_path(number), length).await?;
        if matches!(looked.sort, Sort::Sealed(_)) && looked.header.as_ref().is_some_and(|header| self.has_grown(header))
        {
            // Without its footer it never was, and a killed process may have written that with no sync after it: what is shown now has to stay.
            looked.file.sync("a grown segment as it was found").await.during("syncing a segment as it was found")?;
            looked.file.forget_cached().await.during("letting go of cached pages")?;
            looked = looker.look(&segment_path(number), length).await?;
        }
        let frame = looked.frame(&looker, number);
        match looked.sort {
            Sort::Foreign(why) => Ok(Loaded::Foreign(why)),
            Sort::Unsealed { .. } => self.load_unsealed(looked.file, looked.header.as_ref(), frame).await,
            Sort::Sealed(footer) => {
                let (kind, block) = (kind(looked.header.as_ref(), &footer), frame.block);
                let file = looked.file;
                Ok(Loaded::Segment(Box::new(Opened { file, kind, block, length, footer, tail: None, sound: true })))
            }
        }
    }

    /// Whether it was made before the length of its body was known: smaller than any that has a body of known length.
    fn has_grown(&self, header: &SegmentHeader) -> bool {
        header.kind == SegmentKind::Solo && header.capacity <= self.geometry().solo_above()
    }

    async fn load_unsealed(
        &self,
        file: Arc<dyn File>,
        header: Option<&SegmentHeader>,
        frame: Frame<'_>,
    ) -> Result<Loaded, Error> {
        // Whatever becomes of it, what the device has can be read.
        let synced = file.sync("an unsealed segment before it is scanned").await;
        if let Err(error) = &synced {
            self.counters.failed_segments.add(1);
            tracing::error!(segment = %frame.birth, %error, "a sync failed: the segment takes nothing more");
        }
        let sound = synced.is_ok();
        file.forget_cached().await.during("letting go of cached pages")?;
        let source = OpenFile { file: &file, buffers: &self.buffers };
        let found = scan(source, frame, self.runtime.as_ref()).await?;
        if found.records.is_empty() && !may_be_empty(header) {
            return Ok(Loaded::Orphan);
        }
        let tail = Some(found.tail);
        let footer = found.into_footer(self.identity.store_id, frame.birth);
        let (kind, block, length) = (kind(header, &footer), frame.block, frame.length);
        Ok(Loaded::Segment(Box::new(Opened { file, kind, block, length, footer, tail, sound })))
    }
}
