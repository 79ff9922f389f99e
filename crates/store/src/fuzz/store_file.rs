//! `STORE`: two copies, of which one is enough.

use crate::format::checksum::crc32c;
use crate::format::store_file::{COVERED, StoreFile};
use crate::geometry::PAGE;

pub(super) fn target(bytes: &[u8]) {
    check(bytes);
    let mut sealed = bytes.to_vec();
    for copy in sealed.chunks_mut(PAGE as usize).filter(|copy| copy.len() >= COVERED + 4) {
        let checksum = crc32c(&copy[..COVERED]);
        copy[COVERED..COVERED + 4].copy_from_slice(&checksum.to_le_bytes());
    }
    check(&sealed);
}

fn check(bytes: &[u8]) {
    if let Ok(store) = StoreFile::decode(bytes) {
        assert_eq!(StoreFile::decode(&store.encode()), Ok(store));
    }
}
