//! Reading one segment file at the start: what it is, and which records it holds.
//! Not here: what becomes of it (`recover`); walking records (`scan`).

use std::sync::Arc;

use bytes::Bytes;
use kura_disk::buffer::BufferPool;
use kura_disk::{Buffer, File};

use crate::create::segment_path;
use crate::error::{During, Error};
use crate::format::FormatError;
use crate::format::footer::{Footer, LOCATOR_LEN, Locator};
use crate::format::segment::{SEGMENT_HEADER_LEN, SegmentHeader, SegmentKind};
use crate::read::index;
use crate::records::{Frame, Source};
use crate::scan::scan;
use crate::store::Inner;
use crate::types::SegmentNumber;

/// A file that is read as it is.
struct OpenFile<'a> {
    file: Arc<dyn File>,
    buffers: &'a BufferPool,
}

impl Source for OpenFile<'_> {
    async fn read(&self, at: u64, length: u64) -> Result<Bytes, Error> {
        let buffer = self.file.read_at(at, self.buffers.take(index(length))).await.during("scanning a segment")?;
        Ok(buffer.into_bytes())
    }
}

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
        let file = self.disk.open(&segment_path(number)).await.during("opening a segment")?;
        let header = match self.read_header(&file, length).await? {
            Ok(header) => Some(header),
            Err(FormatError::NewerVersion { found, known }) => {
                return Err(Error::NewerFormat { path: segment_path(number), found, known });
            }
            Err(_) => None,
        };
        if header.as_ref().is_some_and(|header| header.store_id != self.identity.store_id) {
            return Ok(Loaded::Foreign("a segment of another store"));
        }
        let locator = self.read_locator(&file, length).await?;
        // Where the header is ours, so is the segment, whatever a body at its end says.
        if header.is_none() && locator.is_some_and(|locator| locator.store_id != self.identity.store_id) {
            return Ok(Loaded::Foreign("a segment of another store"));
        }
        if let Some(footer) = self.valid_footer(&file, length, locator).await?
            && header.as_ref().is_none_or(|header| header.birth == footer.birth)
        {
            let (kind, block) = header.map_or_else(|| self.guess(&footer), |header| (header.kind, header.block));
            return Ok(Loaded::Segment(Box::new(Opened {
                file,
                kind,
                block,
                length,
                footer,
                tail: None,
                sound: true,
            })));
        }
        let birth = header.as_ref().map_or(number, |header| header.birth);
        let block = header.as_ref().map_or(self.geometry().block(), |header| header.block);
        self.load_unsealed(file, length, birth, block, header.map(|header| header.kind)).await
    }

    async fn read_header(
        &self,
        file: &Arc<dyn File>,
        length: u64,
    ) -> Result<Result<SegmentHeader, FormatError>, Error> {
        let bytes = file
            .read_at(0, Buffer::unpooled(index(length.min(SEGMENT_HEADER_LEN))))
            .await
            .during("reading a segment header")?;
        Ok(SegmentHeader::decode(&bytes))
    }

    async fn read_locator(&self, file: &Arc<dyn File>, length: u64) -> Result<Option<Locator>, Error> {
        if length < SEGMENT_HEADER_LEN + LOCATOR_LEN {
            return Ok(None);
        }
        let locator = Buffer::unpooled(index(LOCATOR_LEN));
        let locator = file.read_at(length - LOCATOR_LEN, locator).await.during("reading a footer's locator")?;
        Ok(Locator::decode(&locator).ok().filter(|locator| locator.len <= length - SEGMENT_HEADER_LEN))
    }

    async fn valid_footer(
        &self,
        file: &Arc<dyn File>,
        length: u64,
        locator: Option<Locator>,
    ) -> Result<Option<Footer>, Error> {
        let Some(locator) = locator else { return Ok(None) };
        let bytes = file
            .read_at(length - locator.len, self.buffers.take(index(locator.len)))
            .await
            .during("reading a footer")?;
        Ok(Footer::decode(&bytes, &self.identity.secret).ok())
    }

    /// What a segment was whose header is lost: one record is as good as solo.
    fn guess(&self, footer: &Footer) -> (SegmentKind, u32) {
        let kind = if footer.entries.len() == 1 { SegmentKind::Solo } else { SegmentKind::Shared };
        (kind, self.geometry().block())
    }

    async fn load_unsealed(
        &self,
        file: Arc<dyn File>,
        length: u64,
        birth: SegmentNumber,
        block: u32,
        kind: Option<SegmentKind>,
    ) -> Result<Loaded, Error> {
        // Whatever becomes of it, what the device has can be read.
        let synced = file.sync("an unsealed segment before it is scanned").await;
        if let Err(error) = &synced {
            tracing::error!(segment = %birth, %error, "a sync failed: the segment takes nothing more");
        }
        let sound = synced.is_ok();
        file.forget_cached().await.during("letting go of cached pages")?;
        let frame = Frame { length, block, birth, secret: &self.identity.secret };
        let source = OpenFile { file: Arc::clone(&file), buffers: &self.buffers };
        let found = scan(source, frame, self.runtime.as_ref()).await?;
        if found.records.is_empty() && kind != Some(SegmentKind::Shared) {
            return Ok(Loaded::Orphan);
        }
        let entries = found.records.into_iter().map(|(_, entry)| entry).collect();
        let footer = Footer { store_id: self.identity.store_id, birth, entries, namespaces: found.namespaces.names() };
        let (kind, block) = kind.map_or_else(|| self.guess(&footer), |kind| (kind, block));
        Ok(Loaded::Segment(Box::new(Opened { file, kind, block, length, footer, tail: Some(found.tail), sound })))
    }
}
