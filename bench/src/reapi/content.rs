//! Blobs that no server has seen. They share all their bytes but the last few, so that the client hashes only those.

use bazel_remote_apis::build::bazel::remote::execution::v2::Digest;
use bytes::{Bytes, BytesMut};
use sha2::{Digest as _, Sha256};

/// Bytes at the end that make a blob another one.
const TAIL: usize = 64;

/// Blobs of one length.
pub(crate) struct Contents {
    shared: Bytes,
    hashed: Sha256,
    random: fastrand::Rng,
}

/// One of them.
pub(crate) struct Content {
    pub(crate) digest: Digest,
    shared: Bytes,
    tail: Bytes,
}

impl Contents {
    /// Blobs of `length` bytes, [`TAIL`] at least.
    pub(crate) fn of(length: usize) -> Contents {
        let mut random = fastrand::Rng::new();
        let mut shared = vec![0; length.saturating_sub(TAIL)];
        random.fill(&mut shared);
        let hashed = Sha256::new_with_prefix(&shared);
        Contents { shared: shared.into(), hashed, random }
    }

    pub(crate) fn next(&mut self) -> Content {
        let mut tail = BytesMut::zeroed(TAIL);
        self.random.fill(&mut tail);
        let hash = self.hashed.clone().chain_update(&tail).finalize();
        let size = i64::try_from(self.shared.len() + TAIL).unwrap_or(i64::MAX);
        let digest = Digest { hash: hex(&hash), size_bytes: size };
        Content { digest, shared: self.shared.clone(), tail: tail.freeze() }
    }
}

impl Content {
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        [&self.shared[..], &self.tail].concat()
    }

    /// Its bytes in parts of at most `most` bytes, without a copy.
    pub(crate) fn parts(&self, most: usize) -> Vec<Vec<Bytes>> {
        let mut parts: Vec<Vec<Bytes>> = Vec::new();
        let mut rest = self.shared.clone();
        while !rest.is_empty() {
            let part = rest.split_to(most.min(rest.len()));
            parts.push(vec![part]);
        }
        match parts.last_mut() {
            Some(last) if last.iter().map(Bytes::len).sum::<usize>() + TAIL <= most => last.push(self.tail.clone()),
            _ => parts.push(vec![self.tail.clone()]),
        }
        parts
    }
}

/// Lowercase hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_has_the_digest_of_its_bytes_however_it_is_cut() {
        for (length, most) in [(64, 64), (4096, 1 << 20), (100_000, 4096), (8192, 4096), (8192 + 64, 4096)] {
            let content = Contents::of(length).next();
            let bytes = content.to_vec();
            assert_eq!(bytes.len(), length);
            assert_eq!(content.digest.hash, hex(&Sha256::digest(&bytes)));
            let parts = content.parts(most);
            assert!(parts.iter().all(|part| part.iter().map(Bytes::len).sum::<usize>() <= most));
            assert_eq!(parts.concat().concat(), bytes);
        }
    }
}
