//! `heat`: two bytes a record, its uses and when it was vouched for, by birth number and commit ordinal. A hint: what does not decode is not there.

use super::checksum::crc32c;
use super::{Damage, FORMAT_VERSION, Reader};
use crate::types::{Minutes, SegmentNumber};

const MAGIC: &[u8; 8] = b"KURAHEAT";

/// A vouch is kept to the hour, rounded so that its lease ends no earlier.
const MINUTES_PER_STEP: u16 = 60;

/// What is remembered of one record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeatEntry {
    /// Uses since it was written or last moved.
    pub uses: u8,
    /// When a client was last told that it is there.
    pub vouched: Option<Minutes>,
}

/// What is remembered of one segment's records, by ordinal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeatSegment {
    /// The number that the segment was created with.
    pub birth: SegmentNumber,
    /// By commit ordinal; records past the end were never used.
    pub entries: Vec<HeatEntry>,
}

/// The content of `heat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeatFile {
    /// Whose it is.
    pub store_id: [u8; 16],
    /// Written as the last act of a clean stop: nothing was vouched for after it.
    pub clean: bool,
    /// When it was written.
    pub now: Minutes,
    /// The segments.
    pub segments: Vec<HeatSegment>,
}

impl HeatFile {
    /// The file's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(MAGIC);
        bytes.extend(FORMAT_VERSION.to_le_bytes());
        bytes.extend([u8::from(self.clean), 0]);
        bytes.extend(self.now.bits().to_le_bytes());
        bytes.extend(self.store_id);
        bytes.extend(u32::try_from(self.segments.len()).unwrap_or(u32::MAX).to_le_bytes());
        for segment in &self.segments {
            bytes.extend(segment.birth.0.to_le_bytes());
            bytes.extend(u32::try_from(segment.entries.len()).unwrap_or(u32::MAX).to_le_bytes());
            for entry in &segment.entries {
                let steps = entry.vouched.map(|at| at.age(self.now) / MINUTES_PER_STEP);
                let vouched = steps.and_then(|steps| u8::try_from(steps + 1).ok()).unwrap_or(0);
                bytes.extend([entry.uses, vouched]);
            }
        }
        bytes.extend(crc32c(&bytes).to_le_bytes());
        bytes
    }

    /// # Errors
    /// When the bytes are not exactly what was written.
    pub fn decode(bytes: &[u8]) -> Result<HeatFile, Damage> {
        let (content, checksum) = bytes.split_last_chunk::<4>().ok_or(Damage("heat that is cut short"))?;
        if crc32c(content) != u32::from_le_bytes(*checksum) {
            return Err(Damage("the checksum of heat"));
        }
        let mut reader = Reader::new(content);
        reader.magic(MAGIC, "the magic of heat")?;
        if reader.u32()? != FORMAT_VERSION {
            return Err(Damage("the version of heat"));
        }
        let [clean, _] = reader.array()?;
        let now = Minutes::from_bits(reader.u16()?).ok_or(Damage("the time of heat"))?;
        let store_id = reader.array()?;
        let mut segments = Vec::new();
        for _ in 0..reader.u32()? {
            let birth = SegmentNumber(reader.u64()?);
            let count = reader.u32()? as usize;
            let pairs = reader.slice(count.saturating_mul(2))?;
            let entry = |pair: &[u8]| HeatEntry {
                uses: pair[0],
                vouched: pair[1].checked_sub(1).map(|steps| now.before(u16::from(steps) * MINUTES_PER_STEP)),
            };
            segments.push(HeatSegment { birth, entries: pairs.chunks_exact(2).map(entry).collect() });
        }
        Ok(HeatFile { store_id, clean: clean != 0, now, segments })
    }
}
