//! Hashes in hexadecimal, of every function.

use crate::digest::{Digest, DigestFunction};

pub(super) fn target(bytes: &[u8]) {
    let told = DigestFunction::of_hex_len(bytes.len());
    for function in DigestFunction::ALL {
        let Ok(digest) = Digest::from_hex(function, bytes) else { continue };
        assert_eq!(digest.to_string().as_bytes(), bytes, "one spelling for each digest");
        assert_eq!(told.map(DigestFunction::hash_len), Some(function.hash_len()));
        assert_eq!(Digest::from_hash(function, digest.hash()), digest);
        assert_eq!(digest.is_empty_blob(), Digest::of(function, b"").hash() == digest.hash());
    }
}
