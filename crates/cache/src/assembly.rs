//! The list of uploaded parts whose contents, one after another, are an artifact: what a completed multipart upload stores under the artifact's key
//! in place of its bytes.
//!
//! | length | what |
//! |---|---|
//! | 1 | version of the list: 2, which tells it from a `recipe` |
//! | 7 | zero |
//! | 16 | the upload's id |
//! | 24 each | a part: its number, its size, and the version that it was stored as, little-endian |
//!
//! Invariant: numbers rise. A part that was stored again has another version, and is not the one that is named here.
//! Not here: how a list comes about (`multipart`).

use std::sync::Arc;

use bytes::Bytes;
use kura_store::key::RecordKey;
use kura_store::types::Encoding;

use crate::artifact::{ArtifactKey, InvalidKey, Kind, Scope, record_key};
use crate::body::{Body, Plain};
use crate::error::Error;
use crate::limits::{MAX_PART_NUMBER, PROBES_BETWEEN_YIELDS};
use crate::memory::Weigh;
use crate::multipart::{Part, PartNumber, UploadId};
use crate::recipe::StoredAt;
use crate::{Cache, Version};

const VERSION: u8 = 2;

/// Bytes before the first part.
const HEADER: usize = 8 + UploadId::LEN;

/// Bytes of a part.
const PART: usize = 24;

/// Bytes of the longest list.
pub(crate) const MAX_LEN: usize = HEADER + PART * MAX_PART_NUMBER as usize;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assembly {
    pub(crate) id: UploadId,
    pub(crate) parts: Vec<Part>,
}

impl Assembly {
    pub(crate) fn encode(&self) -> Bytes {
        let mut encoded = vec![VERSION, 0, 0, 0, 0, 0, 0, 0];
        encoded.extend(self.id.bytes());
        for part in &self.parts {
            for number in [u64::from(part.number.get()), part.size, part.version.0] {
                encoded.extend(number.to_le_bytes());
            }
        }
        encoded.into()
    }

    /// `None` for what is no list of `length` bytes of content.
    pub(crate) fn decode(encoded: &[u8], length: u64) -> Option<Assembly> {
        let ([VERSION, 0, 0, 0, 0, 0, 0, 0], rest) = encoded.split_first_chunk()? else { return None };
        let (id, rest) = rest.split_first_chunk()?;
        let (parts, []) = rest.as_chunks::<PART>() else { return None };
        let parts = parts.iter().map(|part| {
            let (numbers, _) = part.as_chunks::<8>();
            let [number, size, version] = *numbers else { return None };
            let number = PartNumber::new(u64::from_le_bytes(number))?;
            Some(Part { number, size: u64::from_le_bytes(size), version: Version(u64::from_le_bytes(version)) })
        });
        let assembly = Assembly { id: UploadId::from_bytes(*id), parts: parts.collect::<Option<_>>()? };
        (assembly.is_in_order() && assembly.length() == Some(length)).then_some(assembly)
    }

    /// Whether there are parts, and their numbers rise.
    pub(crate) fn is_in_order(&self) -> bool {
        !self.parts.is_empty() && self.parts.is_sorted_by(|one, next| one.number < next.number)
    }

    pub(crate) fn length(&self) -> Option<u64> {
        self.parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(part.size))
    }

    pub(crate) fn record(&self, scope: &Scope, part: &Part) -> Result<RecordKey, InvalidKey> {
        part_record(scope, &self.id, part.number)
    }
}

impl Weigh for Assembly {
    fn weight(&self) -> u64 {
        (HEADER + PART * self.parts.len()) as u64
    }
}

/// What a part is stored under.
pub(crate) fn part_record(scope: &Scope, id: &UploadId, number: PartNumber) -> Result<RecordKey, InvalidKey> {
    let mut key = [0; UploadId::LEN + 2];
    key[..UploadId::LEN].copy_from_slice(id.bytes());
    key[UploadId::LEN..].copy_from_slice(&number.get().to_be_bytes());
    record_key(scope, Kind::Part, &key)
}

impl Cache {
    /// The list that stands under a key, if one does, as it is remembered or stored.
    pub(crate) async fn assembly_of(&self, key: &ArtifactKey) -> Result<Option<(Arc<Assembly>, Version)>, Error> {
        let Some(found) = self.look(&key.scope, &key.record)? else { return Ok(None) };
        if found.encoding != Encoding::Recipe || !key.kind().is_keyed() {
            return Ok(None);
        }
        let stored_at: StoredAt = (key.record.clone(), found.version);
        if let Some(known) = self.inner.assemblies.get(&stored_at) {
            return Ok(Some((known, found.version)));
        }
        match self.read(&key.scope, &key.record).await? {
            Some(stored) => {
                let version = stored.version;
                Ok(self.read_assembly(&key.record, stored).await?.map(|assembly| (assembly, version)))
            }
            None => Ok(None),
        }
    }

    /// The list that a record holds; nothing, if it is none. Remembers it.
    pub(crate) async fn read_assembly(
        &self,
        key: &RecordKey,
        stored: kura_store::Artifact,
    ) -> Result<Option<Arc<Assembly>>, Error> {
        if stored.encoding != Encoding::Recipe || stored.stored_len > MAX_LEN as u64 {
            return Ok(None);
        }
        let list = Body::from(Plain::stored(stored.body)).collect().await?;
        let Some(assembly) = Assembly::decode(&list, stored.logical_len) else {
            tracing::error!(?key, "a list of parts that is none: answered as a miss");
            return Ok(None);
        };
        let assembly = Arc::new(assembly);
        self.inner.assemblies.put((key.clone(), stored.version), Arc::clone(&assembly));
        Ok(Some(assembly))
    }

    /// Whether all parts are there, which vouches for them.
    pub(crate) async fn is_whole(&self, scope: &Scope, assembly: &Assembly) -> Result<bool, Error> {
        for (at, part) in assembly.parts.iter().enumerate() {
            if at % PROBES_BETWEEN_YIELDS == PROBES_BETWEEN_YIELDS - 1 {
                self.inner.runtime.yield_now().await;
            }
            let found = self.look(scope, &assembly.record(scope, part)?)?;
            if found.is_none_or(|found| found.version != part.version || found.logical_len != part.size) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn assembly(parts: &[(u64, u64)]) -> Assembly {
        let part = |(number, size): &(u64, u64)| Part {
            number: PartNumber::new(*number).unwrap(),
            size: *size,
            version: Version(7 * size),
        };
        Assembly { id: UploadId::from_bytes([9; 16]), parts: parts.iter().map(part).collect() }
    }

    #[test]
    fn the_bytes_of_a_list_are_those_of_version_2() {
        let mut expected = vec![2, 0, 0, 0, 0, 0, 0, 0];
        expected.extend([9; 16]);
        expected.extend([3, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 14, 7, 0, 0, 0, 0, 0, 0]);
        assert_eq!(assembly(&[(3, 258)]).encode(), expected);
    }

    #[test]
    fn what_cannot_be_the_whole_is_no_list() {
        let decode = |parts: &[(u64, u64)], length| Assembly::decode(&assembly(parts).encode(), length);
        assert!(decode(&[(1, 2), (3, 0)], 2).is_some());
        assert_eq!(decode(&[(1, 2)], 3), None);
        assert_eq!(decode(&[], 0), None);
        assert_eq!(decode(&[(2, 1), (1, 1)], 2), None);
        assert_eq!(decode(&[(1, 1), (1, 1)], 2), None);
        let mut other = assembly(&[(1, 2)]).encode().to_vec();
        other[0] = 1;
        assert_eq!(Assembly::decode(&other, 2), None);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_decoded_or_refused(
            mut bytes in prop::collection::vec(any::<u8>(), 0..200),
            header in any::<bool>(),
            length in any::<u64>(),
        ) {
            if header {
                bytes.splice(..0, [2, 0, 0, 0, 0, 0, 0, 0]);
            }
            if let Some(assembly) = Assembly::decode(&bytes, length) {
                prop_assert_eq!(assembly.encode(), bytes);
            }
        }
    }
}
