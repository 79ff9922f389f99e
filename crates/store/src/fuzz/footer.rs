//! A footer: entries, namespaces, locator.

use super::SECRET;
use crate::format::checksum::crc32c;
use crate::format::footer::{Footer, LOCATOR_LEN, Locator, MARK};

pub(super) fn target(bytes: &[u8]) {
    check(bytes);
    check(&sealed(bytes));
}

/// The same with the length, the checksum and the mark that it should have.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut sealed = bytes.to_vec();
    if let Some(start) = bytes.len().checked_sub(LOCATOR_LEN as usize) {
        let (content, locator) = sealed.split_at_mut(start);
        locator[20..24].copy_from_slice(&crc32c(content).to_le_bytes());
        locator[24..32].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        let mark = SECRET.hash(&[&locator[..MARK]]);
        locator[MARK..].copy_from_slice(&mark.to_le_bytes());
    }
    sealed
}

fn check(bytes: &[u8]) {
    if let Ok(footer) = Footer::decode(bytes, &SECRET) {
        let locator = Locator::decode(&bytes[bytes.len() - LOCATOR_LEN as usize..]);
        assert_eq!(locator.map(|locator| locator.len), Ok(bytes.len() as u64));
        assert!(footer.entries.capacity() <= bytes.len() && footer.namespaces.len() <= bytes.len());
        for entry in &footer.entries {
            assert!(entry.end(4096) >= entry.offset.0);
        }
        assert_eq!(Footer::decode(&footer.encode(&SECRET), &SECRET), Ok(footer));
    }
}
