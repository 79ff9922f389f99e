//! A segment's header: its first page, written and made durable before the segment has its name.
//! Promise: one flipped bit in it costs nothing. What binds a segment's records, its birth number, need not stand anywhere else.

use super::checksum::crc32c;
use super::{Damage, FORMAT_VERSION, FormatError, Reader, check_version};
use crate::geometry::PAGE;
use crate::types::SegmentNumber;

const MAGIC: &[u8; 8] = b"KURASEGM";

/// Bytes of the header; records start behind it.
pub const SEGMENT_HEADER_LEN: u64 = PAGE;

/// Bytes of the header before its checksum.
pub(crate) const COVERED: usize = 8 + 4 + 4 + 16 + 8 * 3 + 4;

/// What a segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentKind {
    /// Records of many artifacts.
    Shared,
    /// Exactly one record.
    Solo,
}

/// The content of a segment's first page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Whose segment it is.
    pub store_id: [u8; 16],
    /// The number that it was created with.
    pub birth: SegmentNumber,
    /// What it holds.
    pub kind: SegmentKind,
    /// Zero: it was kept for tenants' lanes, which follow from what a segment holds.
    pub lane: u8,
    /// Its length when it was created, in bytes.
    pub capacity: u64,
    /// Bytes of a body that one checksum covers.
    pub block: u32,
    /// When it was created.
    pub created_unix_millis: u64,
}

impl SegmentHeader {
    /// The first page.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(MAGIC);
        bytes.extend(FORMAT_VERSION.to_le_bytes());
        bytes.extend([u8::from(self.kind == SegmentKind::Solo), self.lane, 0, 0]);
        bytes.extend(self.store_id);
        bytes.extend(self.birth.0.to_le_bytes());
        bytes.extend(self.capacity.to_le_bytes());
        bytes.extend(self.created_unix_millis.to_le_bytes());
        bytes.extend(self.block.to_le_bytes());
        bytes.extend(crc32c(&bytes).to_le_bytes());
        bytes.resize(SEGMENT_HEADER_LEN as usize, 0);
        bytes
    }

    /// # Errors
    /// `NewerVersion` if a sound header says so, `Damaged` otherwise.
    pub fn decode(bytes: &[u8]) -> Result<SegmentHeader, FormatError> {
        let mut reader = Reader::new(bytes);
        reader.magic(MAGIC, "the magic of a segment")?;
        let version = reader.u32()?;
        let [kind, lane, _, _] = reader.array()?;
        let store_id = reader.array()?;
        let birth = SegmentNumber(reader.u64()?);
        let capacity = reader.u64()?;
        let created_unix_millis = reader.u64()?;
        let block = reader.u32()?;
        if reader.u32()? != crc32c(&bytes[..COVERED]) {
            return Err(Damage("the checksum of a segment header").into());
        }
        check_version(version)?;
        let kind = match kind {
            0 => SegmentKind::Shared,
            1 => SegmentKind::Solo,
            _ => return Err(Damage("the kind of a segment").into()),
        };
        if block == 0 || !block.is_power_of_two() {
            return Err(Damage("the block size of a segment").into());
        }
        Ok(SegmentHeader { store_id, birth, kind, lane, capacity, block, created_unix_millis })
    }

    /// The header of a damaged page, if one flipped bit is all that is wrong with it: a CRC-32C of so few bytes tells no two such pages apart wrongly.
    #[must_use]
    pub fn mend(bytes: &[u8]) -> Option<SegmentHeader> {
        let mut bytes = bytes.get(..COVERED + 4)?.to_vec();
        (0..bytes.len() * 8).find_map(|bit| {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let header = SegmentHeader::decode(&bytes).ok();
            bytes[bit / 8] ^= 1 << (bit % 8);
            header
        })
    }
}

/// The file name of a segment: sixteen lowercase hexadecimal digits and `.seg`, so that names sort as numbers do.
#[must_use]
pub fn file_name(number: SegmentNumber) -> String {
    format!("{number}.seg")
}

/// The number of a segment's file name.
#[must_use]
pub fn parse_file_name(name: &str) -> Option<SegmentNumber> {
    let digits = name.strip_suffix(".seg").filter(|digits| digits.len() == 16)?;
    if !digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    u64::from_str_radix(digits, 16).ok().map(SegmentNumber)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_others_are_not_ours() {
        let number = SegmentNumber(0x0123_4567_89ab_cdef);
        assert_eq!(parse_file_name(&file_name(number)), Some(number));
        for name in ["", ".seg", "1.seg", "0123456789ABCDEF.seg", "0123456789abcdef.seg~", "+123456789abcdef.seg"] {
            assert_eq!(parse_file_name(name), None, "{name}");
        }
    }

    #[test]
    fn a_flipped_bit_before_the_padding_is_damage_that_can_be_mended_and_two_are_not() {
        let header = SegmentHeader {
            store_id: [9; 16],
            birth: SegmentNumber(5),
            kind: SegmentKind::Solo,
            lane: 0,
            capacity: 65536,
            block: 4096,
            created_unix_millis: 1,
        };
        let bytes = header.encode();
        assert_eq!(SegmentHeader::decode(&bytes).as_ref(), Ok(&header));
        for bit in 0..(COVERED + 4) * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(SegmentHeader::decode(&bytes), Err(FormatError::Damaged(_))), "bit {bit}");
            assert_eq!(SegmentHeader::mend(&bytes).as_ref(), Some(&header), "bit {bit}");
            bytes[(bit + 77) % ((COVERED + 4) * 8) / 8] ^= 1 << ((bit + 77) % 8);
            assert_eq!(SegmentHeader::mend(&bytes), None, "bit {bit} and another");
        }
    }
}
