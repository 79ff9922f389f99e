//! A segment's header, and its file's name.

use crate::format::checksum::crc32c;
use crate::format::segment::{COVERED, SegmentHeader, file_name, parse_file_name};

pub(super) fn target(bytes: &[u8]) {
    check(bytes);
    check(&sealed(bytes));
    if let Ok(name) = std::str::from_utf8(bytes)
        && let Some(number) = parse_file_name(name)
    {
        assert_eq!(file_name(number), name, "one name for each number");
    }
}

/// The same with a right checksum.
pub(super) fn sealed(header: &[u8]) -> Vec<u8> {
    let mut sealed = header.to_vec();
    if let Some((covered, rest)) = sealed.split_at_mut_checked(COVERED)
        && let Some(checksum) = rest.first_chunk_mut()
    {
        *checksum = crc32c(covered).to_le_bytes();
    }
    sealed
}

fn check(bytes: &[u8]) {
    if let Ok(header) = SegmentHeader::decode(bytes) {
        assert!(header.block.is_power_of_two());
        assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header));
    }
}
