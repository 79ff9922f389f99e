//! Tells what a segment file is by its header and its end: whose, and whether it is sealed. Reads only.
//! Not here: what a start makes of it (`load`), and what its records are (`records`, `scan`).

use std::sync::Arc;

use bytes::Bytes;
use kura_disk::buffer::BufferPool;
use kura_disk::{Buffer, Disk, File};

use crate::error::{During, Error};
use crate::format::FormatError;
use crate::format::footer::{Footer, LOCATOR_LEN, Locator};
use crate::format::segment::{SEGMENT_HEADER_LEN, SegmentHeader, SegmentKind};
use crate::format::store_file::StoreFile;
use crate::read::index;
use crate::records::{Frame, Source};
use crate::types::SegmentNumber;

/// Whoever looks at segment files.
#[derive(Clone, Copy)]
pub(crate) struct Looker<'a> {
    pub(crate) disk: &'a Arc<dyn Disk>,
    pub(crate) identity: &'a StoreFile,
    pub(crate) buffers: &'a BufferPool,
    /// The block of a segment whose header is lost.
    pub(crate) block: u32,
}

/// A segment file, looked at.
pub(crate) struct Looked {
    pub(crate) file: Arc<dyn File>,
    pub(crate) length: u64,
    pub(crate) header: Option<SegmentHeader>,
    /// Whether the header is as it was written; one flipped bit in it is seen through.
    pub(crate) header_is_whole: bool,
    pub(crate) sort: Sort,
}

pub(crate) enum Sort {
    /// Not ours to touch; why.
    Foreign(&'static str),
    Sealed(Footer),
    /// Without a footer that holds, and whether there seems to have been one.
    Unsealed {
        had_footer: bool,
    },
}

impl Looker<'_> {
    /// # Errors
    /// `Io` when it cannot be read, `NewerFormat`.
    pub(crate) async fn look(&self, path: &str, length: u64) -> Result<Looked, Error> {
        let file = self.disk.open(path).await.during("opening a segment")?;
        let page = read_first_page(&file, length).await?;
        let (header, header_is_whole) = match SegmentHeader::decode(&page) {
            Ok(header) => (Some(header), true),
            Err(FormatError::NewerVersion { found, known }) => {
                return Err(Error::NewerFormat { path: path.to_owned(), found, known });
            }
            Err(FormatError::Damaged(_)) => (SegmentHeader::mend(&page), false),
        };
        let sort = self.sort(&file, length, header.as_ref()).await?;
        Ok(Looked { file, length, header, header_is_whole, sort })
    }

    async fn sort(&self, file: &Arc<dyn File>, length: u64, header: Option<&SegmentHeader>) -> Result<Sort, Error> {
        const ANOTHERS: Sort = Sort::Foreign("a segment of another store");
        if header.is_some_and(|header| header.store_id != self.identity.store_id) {
            return Ok(ANOTHERS);
        }
        let end = read_end(file, length).await?;
        let locator = Locator::decode(&end).ok().filter(|locator| locator.len <= length - SEGMENT_HEADER_LEN);
        // Where the header is ours, so is the segment, whatever a body at its end says.
        if header.is_none() && locator.is_some_and(|locator| locator.store_id != self.identity.store_id) {
            return Ok(ANOTHERS);
        }
        if let Some(footer) = self.valid_footer(file, length, locator).await?
            && header.is_none_or(|header| header.birth == footer.birth)
        {
            return Ok(Sort::Sealed(footer));
        }
        // A shared segment keeps its end free for the footer; a growing solo may end in a body.
        let is_shared = header.is_some_and(|header| header.kind == SegmentKind::Shared);
        let had_footer = locator.is_some() || (is_shared && end.iter().any(|byte| *byte != 0));
        Ok(Sort::Unsealed { had_footer })
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
}

impl Looked {
    /// What binds its records. Where header and footer are lost, its name may still be its birth number.
    pub(crate) fn frame<'a>(&self, looker: &Looker<'a>, number: SegmentNumber) -> Frame<'a> {
        let birth = match (&self.header, &self.sort) {
            (Some(header), _) => header.birth,
            (None, Sort::Sealed(footer)) => footer.birth,
            (None, _) => number,
        };
        let block = self.header.as_ref().map_or(looker.block, |header| header.block);
        Frame { length: self.length, block, birth, secret: &looker.identity.secret }
    }
}

/// What a segment holds. Where the header is lost, one record is as good as solo.
pub(crate) fn kind(header: Option<&SegmentHeader>, footer: &Footer) -> SegmentKind {
    let guess = if footer.entries.len() == 1 { SegmentKind::Solo } else { SegmentKind::Shared };
    header.map_or(guess, |header| header.kind)
}

/// Whether a start keeps it without a record: a shared one is a spare, all else was never committed.
pub(crate) fn may_be_empty(header: Option<&SegmentHeader>) -> bool {
    header.is_some_and(|header| header.kind == SegmentKind::Shared)
}

async fn read_first_page(file: &Arc<dyn File>, length: u64) -> Result<Buffer, Error> {
    let bytes = Buffer::unpooled(index(length.min(SEGMENT_HEADER_LEN)));
    file.read_at(0, bytes).await.during("reading a segment header")
}

/// The last bytes, where a locator is if there is one; none of a file that is too short for it.
async fn read_end(file: &Arc<dyn File>, length: u64) -> Result<Buffer, Error> {
    let length_of_end = if length < SEGMENT_HEADER_LEN + LOCATOR_LEN { 0 } else { LOCATOR_LEN };
    let end = Buffer::unpooled(index(length_of_end));
    file.read_at(length - length_of_end, end).await.during("reading a footer's locator")
}

/// A segment file that is read as it is.
pub(crate) struct OpenFile<'a> {
    pub(crate) file: &'a Arc<dyn File>,
    pub(crate) buffers: &'a BufferPool,
}

impl Source for OpenFile<'_> {
    async fn read(&self, at: u64, length: u64) -> Result<Bytes, Error> {
        let buffer = self.file.read_at(at, self.buffers.take(index(length))).await.during("scanning a segment")?;
        Ok(buffer.into_bytes())
    }
}
