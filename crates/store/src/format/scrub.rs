//! `scrub`: how far the background check has come. A hint: what does not decode is not there.

use super::checksum::crc32c;
use super::{Damage, FORMAT_VERSION, Reader};
use crate::types::{Offset, Place, SegmentNumber};

const MAGIC: &[u8; 8] = b"KURASCRB";

/// The content of `scrub`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScrubFile {
    /// Whose it is.
    pub store_id: [u8; 16],
    /// When the pass began, in milliseconds since the Unix epoch.
    pub began_unix_millis: u64,
    /// What lies before this has been checked.
    pub next: Place,
    /// The newest segment of the pass.
    pub last: SegmentNumber,
}

impl ScrubFile {
    /// Bytes of the file.
    pub const ENCODED_LEN: u64 = 64;

    /// The file's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(MAGIC);
        bytes.extend(FORMAT_VERSION.to_le_bytes());
        bytes.extend(self.store_id);
        bytes.extend(self.began_unix_millis.to_le_bytes());
        bytes.extend(self.next.segment.0.to_le_bytes());
        bytes.extend(self.next.offset.0.to_le_bytes());
        bytes.extend(self.last.0.to_le_bytes());
        bytes.extend(crc32c(&bytes).to_le_bytes());
        bytes
    }

    /// # Errors
    /// When the bytes are not exactly what was written.
    pub fn decode(bytes: &[u8]) -> Result<ScrubFile, Damage> {
        let (content, checksum) = bytes.split_last_chunk::<4>().ok_or(Damage("scrub that is cut short"))?;
        if crc32c(content) != u32::from_le_bytes(*checksum) {
            return Err(Damage("the checksum of scrub"));
        }
        let mut reader = Reader::new(content);
        reader.magic(MAGIC, "the magic of scrub")?;
        if reader.u32()? != FORMAT_VERSION {
            return Err(Damage("the version of scrub"));
        }
        let (store_id, began_unix_millis) = (reader.array()?, reader.u64()?);
        let (segment, offset) = (SegmentNumber(reader.u64()?), Offset(reader.u64()?));
        let last = SegmentNumber(reader.u64()?);
        Ok(ScrubFile { store_id, began_unix_millis, next: Place { segment, offset }, last })
    }
}
