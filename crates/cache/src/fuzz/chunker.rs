//! Where a stream is cut. The first byte says how it comes; each two of the others stand for up to half a mebibyte of it.

use bytes::Bytes;

use crate::chunker::{AVERAGE_CHUNK_SIZE, Chunker, MAX_CHUNK_SIZE};

/// What two bytes stand for, at most.
const PART: usize = 512 << 10;

/// Enough for two of the longest chunks.
const MAX_PARTS: usize = 9;

pub(super) fn target(bytes: &[u8]) {
    let Some((piece, script)) = bytes.split_first() else { return };
    let content = content(script);
    let chunks = chunks(&content, (usize::from(*piece) + 1) << 12);
    assert!(chunks.concat() == content, "the chunks are the whole");
    assert_eq!(chunks, self::chunks(&content, content.len().max(1)), "however it comes");
    let most = usize::try_from(MAX_CHUNK_SIZE).unwrap();
    let least = usize::try_from(AVERAGE_CHUNK_SIZE / 4).unwrap();
    let (last, others) = chunks.split_last().map_or((0, &[][..]), |(last, others)| (last.len(), others));
    assert!(last <= most && others.iter().all(|chunk| (least..=most).contains(&chunk.len())));
}

/// Runs of a byte, or of noise from it.
fn content(script: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    for part in script.chunks_exact(2).take(MAX_PARTS) {
        let length = PART * usize::from(part[1] >> 1) / 127 + 1;
        let start = content.len();
        content.resize(start + length, part[0]);
        if part[1] & 1 == 1 {
            blake3::Hasher::new().update(&part[..1]).finalize_xof().fill(&mut content[start..]);
        }
    }
    content
}

fn chunks(content: &[u8], piece: usize) -> Vec<Bytes> {
    let mut chunker = Chunker::new();
    let mut chunks = Vec::new();
    for piece in content.chunks(piece) {
        chunker.push(piece);
        chunks.extend(std::iter::from_fn(|| chunker.next()));
    }
    chunks.extend(std::iter::from_fn(|| chunker.rest()));
    chunks
}
