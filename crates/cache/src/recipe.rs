//! The list of blobs whose contents, one after another, are another blob's: what is stored under that blob's key in place of its bytes.
//!
//! | length | what |
//! |---|---|
//! | 1 | version of the list: 1 |
//! | 1 | number of the digest function of all parts |
//! | 1 | number of the chunking function, as whoever made the list said it |
//! | 5 | zero |
//! | 8 + n each | a part: its size, little-endian, and its hash of *n* bytes |
//!
//! Invariant: no part is empty, nor as large as the whole: so no blob is a part of itself, however deep.
//! Not here: whether the parts are there (`presence`), and how a recipe comes about (`splice`).

use bytes::Bytes;
use kura_store::key::RecordKey;
use kura_store::types::Version;

use crate::chunker::Chunking;
use crate::digest::{Digest, DigestFunction, MAX_HASH_LEN};
use crate::error::Error;
use crate::limits::MAX_PARTS;
use crate::memory::Weigh;

/// A recipe as it was stored once: another may take its place.
pub(crate) type StoredAt = (RecordKey, Version);

const VERSION: u8 = 1;

/// Bytes before the first part.
const HEADER: usize = 8;

/// Bytes of a part's size.
const SIZE: usize = 8;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recipe {
    function: DigestFunction,
    chunking: Chunking,
    encoded: Bytes,
}

impl Recipe {
    /// `None` for what is no recipe of `length` bytes of content.
    pub(crate) fn decode(encoded: &[u8], length: u64) -> Option<Recipe> {
        let [VERSION, function, chunking, 0, 0, 0, 0, 0] = *encoded.first_chunk()? else {
            return None;
        };
        let function = DigestFunction::ALL.into_iter().find(|known| *known as u8 == function)?;
        let chunking = Chunking::ALL.into_iter().find(|known| *known as u8 == chunking)?;
        let recipe = Recipe { function, chunking, encoded: Bytes::copy_from_slice(encoded) };
        let whole = recipe.parts_len().is_multiple_of(recipe.part_len());
        (whole && recipe.is_sound(length)).then_some(recipe)
    }

    pub(crate) fn function(&self) -> DigestFunction {
        self.function
    }

    pub(crate) fn chunking(&self) -> Chunking {
        self.chunking
    }

    /// What is stored.
    pub(crate) fn encoded(&self) -> Bytes {
        self.encoded.clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.parts_len() / self.part_len()
    }

    pub(crate) fn part(&self, at: usize) -> Option<Digest> {
        let start = HEADER + at * self.part_len();
        let (size, hash) = self.encoded.get(start..start + self.part_len())?.split_at(SIZE);
        Some(Digest::from_hash(self.function, hash).with_size(size.try_into().map_or(0, u64::from_le_bytes)))
    }

    pub(crate) fn parts(&self) -> impl Iterator<Item = Digest> {
        (0..self.len()).filter_map(|at| self.part(at))
    }

    /// Whether the parts can be the whole of that length.
    pub(crate) fn is_sound(&self, length: u64) -> bool {
        let mut sizes = self.parts().filter_map(|part| part.size());
        let sum = sizes.try_fold(0_u64, |sum, size| sum.checked_add(size).filter(|_| size > 0 && size < length));
        sum == Some(length)
    }

    fn parts_len(&self) -> usize {
        self.encoded.len() - HEADER
    }

    fn part_len(&self) -> usize {
        SIZE + self.function.hash_len()
    }
}

/// A recipe that is being written.
pub(crate) struct Draft {
    function: DigestFunction,
    chunking: Chunking,
    encoded: Vec<u8>,
}

impl Draft {
    pub(crate) fn new(function: DigestFunction, chunking: Chunking) -> Draft {
        Draft { function, chunking, encoded: vec![VERSION, function as u8, chunking as u8, 0, 0, 0, 0, 0] }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.encoded.len() == HEADER
    }

    /// Adds a part of that function and of known size.
    ///
    /// # Errors
    /// `Invalid` beyond [`MAX_PARTS`].
    pub(crate) fn push(&mut self, part: &Digest) -> Result<(), Error> {
        if self.encoded.len() >= HEADER + MAX_PARTS * (SIZE + self.function.hash_len()) {
            return Err(Error::Invalid("a blob is made of 65536 chunks at most"));
        }
        self.encoded.extend(part.size().unwrap_or(0).to_le_bytes());
        self.encoded.extend(part.hash());
        Ok(())
    }

    pub(crate) fn finish(self) -> Recipe {
        Recipe { function: self.function, chunking: self.chunking, encoded: self.encoded.into() }
    }
}

/// Bytes of a recipe of so many parts, at most.
pub(crate) const fn encoded_len(parts: usize) -> u64 {
    (HEADER + parts * (SIZE + MAX_HASH_LEN)) as u64
}

impl Weigh for Recipe {
    fn weight(&self) -> u64 {
        self.encoded.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn recipe(function: DigestFunction, sizes: &[u64]) -> Recipe {
        let mut draft = Draft::new(function, Chunking::FastCdc2020);
        for (at, size) in sizes.iter().enumerate() {
            draft.push(&Digest::of(function, &at.to_le_bytes()).with_size(*size)).unwrap();
        }
        draft.finish()
    }

    #[test]
    fn the_bytes_of_a_list_are_those_of_version_1() {
        let list = recipe(DigestFunction::Md5, &[5, 258]).encoded();
        let [one, two] = [0_usize, 1].map(|at| Digest::of(DigestFunction::Md5, &at.to_le_bytes()));
        let expected = [
            &[1, 3, 1, 0, 0, 0, 0, 0][..],
            &[5, 0, 0, 0, 0, 0, 0, 0],
            one.hash(),
            &[2, 1, 0, 0, 0, 0, 0, 0],
            two.hash(),
        ];
        assert_eq!(list, expected.concat());
    }

    #[test]
    fn what_cannot_be_the_whole_is_no_recipe() {
        let function = DigestFunction::Sha256;
        let decode = |sizes: &[u64], length| Recipe::decode(&recipe(function, sizes).encoded(), length);
        assert!(decode(&[1, 2], 3).is_some());
        assert_eq!(decode(&[1, 2], 4), None);
        assert_eq!(decode(&[3], 3), None, "a part as large as the whole is the whole");
        assert_eq!(decode(&[0, 1, 2], 3), None);
        assert_eq!(decode(&[u64::MAX, 4], 3), None);
        let mut newer = recipe(function, &[1, 2]).encoded().to_vec();
        newer[0] = 2;
        assert_eq!(Recipe::decode(&newer, 3), None);
        (newer[0], newer[2]) = (1, 3);
        assert_eq!(Recipe::decode(&newer, 3), None, "no such chunking function");
    }

    #[test]
    fn a_recipe_has_no_more_parts_than_are_read() {
        let function = DigestFunction::Md5;
        let (mut draft, part) = (Draft::new(function, Chunking::Unknown), Digest::of(function, b"x"));
        (0..MAX_PARTS).for_each(|_| draft.push(&part).unwrap());
        assert!(draft.push(&part).is_err());
        assert_eq!(draft.finish().len(), MAX_PARTS);
    }

    proptest! {
        #[test]
        fn a_recipe_comes_back_from_its_encoding(
            function in prop::sample::select(DigestFunction::ALL.to_vec()),
            sizes in prop::collection::vec(1..1_000_000_u64, 2..50),
        ) {
            let recipe = recipe(function, &sizes);
            prop_assert!(recipe.encoded().len() as u64 <= encoded_len(sizes.len()));
            let length = sizes.iter().sum();
            prop_assert_eq!(Recipe::decode(&recipe.encoded(), length), Some(recipe.clone()));
            prop_assert_eq!(recipe.parts().filter_map(|part| part.size()).collect::<Vec<_>>(), sizes);
        }

        #[test]
        fn arbitrary_bytes_are_decoded_or_refused(
            mut bytes in prop::collection::vec(any::<u8>(), 0..300),
            header in any::<bool>(),
            length in any::<u64>(),
        ) {
            if header {
                bytes.splice(..0, [1, 1, 0, 0, 0, 0, 0, 0]);
            }
            if let Some(recipe) = Recipe::decode(&bytes, length) {
                prop_assert_eq!(recipe.encoded(), bytes);
            }
        }

        #[test]
        fn a_recipe_with_another_byte_is_another_or_none(at in any::<prop::sample::Index>(), mask in 1..=255_u8) {
            let good = recipe(DigestFunction::Sha1, &[10, 20, 30]);
            let mut bytes = good.encoded().to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= mask;
            prop_assert_ne!(Recipe::decode(&bytes, 60), Some(good));
        }
    }
}
