//! Digest functions, digests, and the check that a body has the one that it was sent under.
//! SHA-256 is computed; the others are named, so that keys and types have their place, and refused where they would have to be verified.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// A function that content is addressed by. The numbers are those of the Remote Execution API; they are part of keys on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum DigestFunction {
    /// SHA-256.
    Sha256 = 1,
    /// SHA-1.
    Sha1 = 2,
    /// MD5.
    Md5 = 3,
    /// SHA-384.
    Sha384 = 5,
    /// SHA-512.
    Sha512 = 6,
    /// BLAKE3.
    Blake3 = 9,
}

impl DigestFunction {
    /// Bytes of its hashes.
    #[must_use]
    pub const fn hash_len(self) -> usize {
        match self {
            DigestFunction::Md5 => 16,
            DigestFunction::Sha1 => 20,
            DigestFunction::Sha256 | DigestFunction::Blake3 => 32,
            DigestFunction::Sha384 => 48,
            DigestFunction::Sha512 => 64,
        }
    }

    /// The hash of no bytes, in hexadecimal.
    const fn empty_hash(self) -> &'static [u8] {
        match self {
            DigestFunction::Md5 => b"d41d8cd98f00b204e9800998ecf8427e",
            DigestFunction::Sha1 => b"da39a3ee5e6b4b0d3255bfef95601890afd80709",
            DigestFunction::Sha256 => b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            DigestFunction::Blake3 => b"af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
            DigestFunction::Sha384 => {
                b"38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b"
            }
            DigestFunction::Sha512 => {
                b"cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
            }
        }
    }
}

/// The longest hash, in bytes.
const MAX_HASH_LEN: usize = 64;

/// What content is addressed by: a hash, and the size where the protocol has it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest {
    /// The function's number, then the hash: how a digest stands in a key.
    key: [u8; 1 + MAX_HASH_LEN],
    function: DigestFunction,
    size: Option<u64>,
}

impl Digest {
    /// A digest of unknown size from a hash in lowercase hexadecimal.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn from_hex(function: DigestFunction, hex: &[u8]) -> Result<Digest, &'static str> {
        if hex.len() != 2 * function.hash_len() {
            return Err("it has not the length of this function's hashes");
        }
        let mut key = [0; 1 + MAX_HASH_LEN];
        key[0] = function as u8;
        for (to, pair) in key[1..].iter_mut().zip(hex.chunks_exact(2)) {
            let nibble = |digit: u8| match digit {
                b'0'..=b'9' => Some(digit - b'0'),
                b'a'..=b'f' => Some(digit - b'a' + 10),
                _ => None,
            };
            let (Some(high), Some(low)) = (nibble(pair[0]), nibble(pair[1])) else {
                return Err("it is not lowercase hexadecimal");
            };
            *to = high << 4 | low;
        }
        Ok(Digest { key, function, size: None })
    }

    /// The digest of these bytes, with their size.
    ///
    /// # Errors
    /// [`Unsupported`] for functions that are not computed here.
    pub fn of(function: DigestFunction, bytes: &[u8]) -> Result<Digest, Unsupported> {
        let mut verifier = Verifier::new(function)?;
        verifier.update(bytes);
        Ok(verifier.finish())
    }

    /// The same hash for a body of `size` bytes; another size is another blob.
    #[must_use]
    pub fn with_size(mut self, size: u64) -> Digest {
        self.size = Some(size);
        self
    }

    /// What it was computed with.
    #[must_use]
    pub fn function(&self) -> DigestFunction {
        self.function
    }

    /// The hash.
    #[must_use]
    pub fn hash(&self) -> &[u8] {
        &self.key[1..=self.function.hash_len()]
    }

    /// The size of what it addresses, where it is known.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// Whether it addresses the empty blob, which always exists.
    #[must_use]
    pub fn is_empty_blob(&self) -> bool {
        self.size.is_none_or(|size| size == 0)
            && Digest::from_hex(self.function, self.function.empty_hash())
                .is_ok_and(|empty| empty.hash() == self.hash())
    }

    /// How it stands in a key.
    pub(crate) fn as_key(&self) -> &[u8] {
        &self.key[..=self.function.hash_len()]
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.hash().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}:{self}", self.function)?;
        self.size.map_or(Ok(()), |size| write!(f, "/{size}"))
    }
}

/// A digest function that is named here and not computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this server does not verify {0:?} digests")]
pub struct Unsupported(pub DigestFunction);

/// Computes a digest while the body goes by.
pub struct Verifier {
    hasher: Sha256,
    seen: u64,
}

impl Verifier {
    /// # Errors
    /// [`Unsupported`].
    pub fn new(function: DigestFunction) -> Result<Verifier, Unsupported> {
        match function {
            DigestFunction::Sha256 => Ok(Verifier { hasher: Sha256::new(), seen: 0 }),
            other => Err(Unsupported(other)),
        }
    }

    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.hasher.update(piece);
        self.seen += piece.len() as u64;
    }

    /// The digest of all that was seen, with its size.
    #[must_use]
    pub fn finish(self) -> Digest {
        let mut key = [0; 1 + MAX_HASH_LEN];
        key[0] = DigestFunction::Sha256 as u8;
        key[1..=DigestFunction::Sha256.hash_len()].copy_from_slice(&self.hasher.finalize());
        Digest { key, function: DigestFunction::Sha256, size: Some(self.seen) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &[u8] = b"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    #[test]
    fn a_digest_is_the_same_however_the_body_is_cut() {
        let mut verifier = Verifier::new(DigestFunction::Sha256).unwrap();
        verifier.update(b"he");
        verifier.update(b"");
        verifier.update(b"llo");
        let expected = Digest::from_hex(DigestFunction::Sha256, HELLO).unwrap();
        assert_eq!(verifier.finish(), expected.with_size(5));
        assert_eq!(expected.to_string().as_bytes(), HELLO);
    }

    #[test]
    fn what_is_not_lowercase_hexadecimal_of_the_right_length_is_refused() {
        let parse = |hex: &[u8]| Digest::from_hex(DigestFunction::Sha256, hex);
        assert!(parse(b"").is_err());
        assert!(parse(&HELLO[1..]).is_err());
        assert!(parse(&HELLO.to_ascii_uppercase()).is_err());
        assert!(parse(&[b'/'; 64]).is_err());
    }

    #[test]
    fn the_empty_blob_is_known_in_every_function() {
        use DigestFunction::{Blake3, Md5, Sha1, Sha256, Sha384, Sha512};
        for function in [Sha256, Sha1, Md5, Sha384, Sha512, Blake3] {
            let empty = Digest::from_hex(function, function.empty_hash()).unwrap();
            assert!(empty.is_empty_blob(), "{empty:?}");
            assert!(!empty.with_size(1).is_empty_blob());
        }
        assert!(Digest::of(Sha256, b"").unwrap().is_empty_blob());
        assert!(!Digest::of(Sha256, b"x").unwrap().is_empty_blob());
    }

    #[test]
    fn equal_hashes_of_two_functions_are_two_keys() {
        let sha = Digest::from_hex(DigestFunction::Sha256, HELLO).unwrap();
        let blake = Digest::from_hex(DigestFunction::Blake3, HELLO).unwrap();
        assert_ne!(sha.as_key(), blake.as_key());
    }
}
