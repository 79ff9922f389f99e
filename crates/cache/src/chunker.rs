//! Where a stream is cut into chunks: FastCDC 2020 as the Remote Execution API defines it, normalization level 2. The same content is cut the same
//! way wherever it stands, however it comes, and whoever cuts it.
//! Not here: what becomes of the chunks (`chunk`).

use bytes::{Buf, Bytes, BytesMut};
use fastcdc::v2020::{self, Normalization};

/// The average length of a chunk, in bytes: what the specification recommends.
pub const AVERAGE_CHUNK_SIZE: u64 = 512 << 10;

/// The seed of the chunking: what the specification recommends.
pub const CHUNKING_SEED: u32 = 0;

/// The longest chunk, in bytes. A blob up to this long is its own only chunk.
pub const MAX_CHUNK_SIZE: u64 = 4 * AVERAGE_CHUNK_SIZE;

const AVERAGE: usize = AVERAGE_CHUNK_SIZE as usize;
const MIN: usize = AVERAGE / 4;
const MAX: usize = MAX_CHUNK_SIZE as usize;

const _: () = assert!(CHUNKING_SEED == 0, "`cut` uses the tables as they are");

/// How a blob was cut into chunks, as whoever cut it says. The numbers are those of the Remote Execution API; they are part of recipes on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Chunking {
    /// Somehow.
    Unknown = 0,
    /// FastCDC 2020, as blobs are cut here.
    FastCdc2020 = 1,
    /// RepMaxCDC.
    RepMaxCdc = 2,
}

impl Chunking {
    /// All of them.
    pub const ALL: [Chunking; 3] = [Chunking::Unknown, Chunking::FastCdc2020, Chunking::RepMaxCdc];
}

pub(crate) struct Chunker {
    /// Less than the longest chunk and a piece.
    buffer: BytesMut,
    strict: u64,
    relaxed: u64,
}

impl Chunker {
    pub(crate) fn new() -> Chunker {
        let (strict, relaxed) = v2020::select_masks(AVERAGE, Normalization::Level2);
        Chunker { buffer: BytesMut::new(), strict, relaxed }
    }

    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The next chunk, if it is certain where it ends.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        (self.buffer.len() >= MAX).then(|| self.cut())
    }

    /// The next chunk of what is left, once everything has been pushed.
    pub(crate) fn rest(&mut self) -> Option<Bytes> {
        (!self.buffer.is_empty()).then(|| self.cut())
    }

    /// What has not been cut yet.
    pub(crate) fn all(&mut self) -> Bytes {
        self.buffer.split().freeze()
    }

    fn cut(&mut self) -> Bytes {
        let (strict, relaxed) = (self.strict, self.relaxed);
        let (_, length) = v2020::cut(&self.buffer, MIN, AVERAGE, MAX, strict, relaxed, strict << 1, relaxed << 1);
        let chunk = Bytes::copy_from_slice(&self.buffer[..length]);
        self.buffer.advance(length);
        chunk
    }
}

#[cfg(test)]
mod tests {
    use md5::{Digest as _, Md5};
    use proptest::prelude::*;

    use super::*;

    fn noise(seed: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let mut reader = blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof();
        reader.fill(&mut bytes);
        bytes
    }

    fn lengths(content: &[u8], cut: usize) -> Vec<usize> {
        let mut chunker = Chunker::new();
        let mut chunks = Vec::new();
        for piece in content.chunks(cut) {
            chunker.push(piece);
            chunks.extend(std::iter::from_fn(|| chunker.next()));
        }
        chunks.extend(std::iter::from_fn(|| chunker.rest()));
        assert!(chunks.concat() == content);
        chunks.iter().map(Bytes::len).collect()
    }

    /// The paper's algorithm, a byte at a time. The table is made as the implementations that the specification names make it: of each byte 64
    /// times, where the specification's words are "MD5(byte)".
    fn as_specified(content: &[u8]) -> Vec<usize> {
        let gear: Vec<u64> =
            (0..=255_u8).map(|byte| u64::from_be_bytes(Md5::digest([byte; 64])[..8].try_into().unwrap())).collect();
        // Of the reference implementation: two bits more than the average's 19, and two less.
        let (strict, relaxed) = (v2020::MASKS[21], v2020::MASKS[17]);
        let mut rest = content;
        let mut lengths = Vec::new();
        while !rest.is_empty() {
            let end = rest.len().min(MAX);
            let mut hash = 0_u64;
            let ends = (MIN..end).find(|at| {
                hash = (hash << 1).wrapping_add(gear[usize::from(rest[*at])]);
                hash & if *at < AVERAGE { strict } else { relaxed } == 0
            });
            let length = ends.unwrap_or(end);
            lengths.push(length);
            rest = &rest[length..];
        }
        lengths
    }

    #[test]
    fn chunks_end_where_the_specification_says() {
        for content in [noise(1, 12 << 20), vec![0; 5 << 20], noise(2, 3).repeat(2 << 20), noise(3, MIN), vec![]] {
            assert_eq!(lengths(&content, 256 << 10), as_specified(&content));
        }
    }

    #[test]
    fn chunks_end_where_they_always_did() {
        let chunks = lengths(&noise(1, 4 << 20), 100_000);
        assert_eq!(chunks, [491_952, 794_099, 562_062, 345_052, 532_654, 538_320, 796_891, 133_274]);
    }

    #[test]
    fn what_is_changed_in_the_middle_leaves_the_rest_as_it_was() {
        let content = noise(4, 16 << 20);
        let mut changed = content.clone();
        changed.splice(5_000_000..5_000_010, noise(5, 3000));
        let ends = |content: &[u8]| -> Vec<usize> {
            let sum = |end: &mut usize, length: usize| {
                *end += length;
                Some(*end)
            };
            lengths(content, 256 << 10).into_iter().scan(0, sum).collect()
        };
        let (before, after) = (ends(&content), ends(&changed));
        let same = before.iter().filter(|end| after.contains(end) || after.contains(&(*end + 2990))).count();
        assert!(before.len() > 20 && same + 4 >= before.len(), "{same} of {}", before.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]

        #[test]
        fn chunks_are_the_same_however_the_stream_comes(
            seed in any::<u64>(),
            length in 0..6_000_000_usize,
            cut in 1..3_000_000_usize,
        ) {
            let content = noise(seed, length);
            let chunks = lengths(&content, cut.max(1000));
            prop_assert_eq!(&chunks, &lengths(&content, 256 << 10));
            let (last, others) = chunks.split_last().map_or((0, &[][..]), |(last, others)| (*last, others));
            prop_assert!(last <= MAX && others.iter().all(|length| (MIN..=MAX).contains(length)));
        }
    }
}
