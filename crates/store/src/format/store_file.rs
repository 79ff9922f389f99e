//! `STORE`: who the store is. Written once, its content twice, a page each, so that one bad sector loses nothing.

use super::checksum::crc32c;
use super::{Damage, FORMAT_VERSION, FormatError, Reader, check_version};
use crate::geometry::PAGE;
use crate::key::{FingerprintSeed, Secret};

const MAGIC: &[u8; 8] = b"KURASTOR";

/// Bytes of a copy before its checksum.
pub(crate) const COVERED: usize = 8 + 4 + 4 + 16 * 3;

/// The content of `STORE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreFile {
    /// Tells this store's segments from others'.
    pub store_id: [u8; 16],
    /// Keys the hashes that bind records to their places. Always this store's own.
    pub secret: Secret,
    /// Keys the fingerprints.
    pub seed: FingerprintSeed,
}

impl StoreFile {
    /// Bytes of the file.
    pub const ENCODED_LEN: u64 = 2 * PAGE;

    /// The file's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut copy = Vec::new();
        copy.extend(MAGIC);
        copy.extend(FORMAT_VERSION.to_le_bytes());
        copy.extend([0; 4]);
        copy.extend(self.store_id);
        copy.extend(self.secret.0);
        copy.extend(self.seed.0);
        copy.extend(crc32c(&copy).to_le_bytes());
        copy.resize(Self::ENCODED_LEN as usize / 2, 0);
        copy.repeat(2)
    }

    /// # Errors
    /// `NewerVersion` if a sound copy says so, `Damaged` if neither copy is sound.
    pub fn decode(bytes: &[u8]) -> Result<StoreFile, FormatError> {
        let (first, second) = bytes.split_at(bytes.len().min(Self::ENCODED_LEN as usize / 2));
        match Self::decode_copy(first) {
            Err(FormatError::Damaged(_)) => Self::decode_copy(second),
            decided => decided,
        }
    }

    fn decode_copy(bytes: &[u8]) -> Result<StoreFile, FormatError> {
        let mut reader = Reader::new(bytes);
        reader.magic(MAGIC, "the magic of STORE")?;
        let version = reader.u32()?;
        reader.u32()?;
        let (store_id, secret, seed) = (reader.array()?, reader.array()?, reader.array()?);
        if reader.u32()? != crc32c(&bytes[..COVERED]) {
            return Err(Damage("the checksum of STORE").into());
        }
        check_version(version)?;
        Ok(StoreFile { store_id, secret: Secret(secret), seed: FingerprintSeed(seed) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> StoreFile {
        StoreFile { store_id: [1; 16], secret: Secret([2; 16]), seed: FingerprintSeed([3; 16]) }
    }

    #[test]
    fn one_flipped_bit_in_any_byte_loses_nothing() {
        let bytes = store().encode();
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << (at % 8);
            assert_eq!(StoreFile::decode(&bytes), Ok(store()), "byte {at}");
        }
    }

    #[test]
    fn two_damaged_copies_are_damage() {
        let mut bytes = store().encode();
        bytes[20] ^= 1;
        bytes[PAGE as usize + 20] ^= 1;
        assert!(matches!(StoreFile::decode(&bytes), Err(FormatError::Damaged(_))));
        assert!(matches!(StoreFile::decode(&[]), Err(FormatError::Damaged(_))));
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let mut bytes = store().encode();
        for copy in [0, PAGE as usize] {
            bytes[copy + 8] = 2;
            let sum = crc32c(&bytes[copy..copy + COVERED]);
            bytes[copy + COVERED..copy + COVERED + 4].copy_from_slice(&sum.to_le_bytes());
        }
        assert_eq!(StoreFile::decode(&bytes), Err(FormatError::NewerVersion { found: 2, known: 1 }));
    }
}
