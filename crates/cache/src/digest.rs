//! Digest functions, digests, and the check that a body has the one that it was sent under.

use std::fmt;

use faster_hex::{CheckCase, hex_decode_with_case, hex_encode};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

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
    /// All of them, the default first.
    pub const ALL: [DigestFunction; 6] = [
        DigestFunction::Sha256,
        DigestFunction::Blake3,
        DigestFunction::Sha1,
        DigestFunction::Sha384,
        DigestFunction::Sha512,
        DigestFunction::Md5,
    ];

    /// The function whose hashes have so many hexadecimal digits, where a protocol lets the length tell: BLAKE3, as long as SHA-256, has to
    /// be named.
    #[must_use]
    pub const fn of_hex_len(digits: usize) -> Option<DigestFunction> {
        match digits {
            32 => Some(DigestFunction::Md5),
            40 => Some(DigestFunction::Sha1),
            64 => Some(DigestFunction::Sha256),
            96 => Some(DigestFunction::Sha384),
            128 => Some(DigestFunction::Sha512),
            _ => None,
        }
    }

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

    /// Its hash that this is, in lowercase hexadecimal, decoded into `room`, which has [`MAX_HASH_LEN`] bytes.
    ///
    /// # Errors
    /// Says what is wrong with it.
    #[inline]
    pub fn decode<'a>(self, hex: &[u8], room: &'a mut [u8]) -> Result<&'a [u8], &'static str> {
        let length = self.hash_len();
        if hex.len() != 2 * length {
            return Err("it has not the length of this function's hashes");
        }
        match hex_decode_with_case(hex, room, CheckCase::Lower) {
            Ok(_) => Ok(&room[..length]),
            Err(_) => Err("it is not lowercase hexadecimal"),
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
pub const MAX_HASH_LEN: usize = 64;

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
    #[inline]
    pub fn from_hex(function: DigestFunction, hex: &[u8]) -> Result<Digest, &'static str> {
        let mut key = [0; 1 + MAX_HASH_LEN];
        key[0] = function as u8;
        function.decode(hex, &mut key[1..])?;
        Ok(Digest { key, function, size: None })
    }

    /// A digest of unknown size from a hash as it is.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn of_hash(function: DigestFunction, hash: &[u8]) -> Result<Digest, &'static str> {
        if hash.len() != function.hash_len() {
            return Err("it has not the length of this function's hashes");
        }
        Ok(Digest::from_hash(function, hash))
    }

    /// A digest of unknown size.
    ///
    /// # Panics
    /// Where the hash has not the length of this function's hashes.
    pub(crate) fn from_hash(function: DigestFunction, hash: &[u8]) -> Digest {
        let mut key = [0; 1 + MAX_HASH_LEN];
        key[0] = function as u8;
        key[1..=function.hash_len()].copy_from_slice(hash);
        Digest { key, function, size: None }
    }

    /// The digest of these bytes, with their size.
    #[must_use]
    pub fn of(function: DigestFunction, bytes: &[u8]) -> Digest {
        let mut verifier = Verifier::new(function);
        verifier.update(bytes);
        verifier.finish()
    }

    /// The same hash for a body of `size` bytes; another size is another blob.
    #[inline]
    #[must_use]
    pub fn with_size(mut self, size: u64) -> Digest {
        self.size = Some(size);
        self
    }

    /// What it was computed with.
    #[inline]
    #[must_use]
    pub fn function(&self) -> DigestFunction {
        self.function
    }

    /// The hash.
    #[inline]
    #[must_use]
    pub fn hash(&self) -> &[u8] {
        &self.key[1..=self.function.hash_len()]
    }

    /// The hash, if it is a SHA-256.
    pub(crate) fn sha256(&self) -> Option<[u8; 32]> {
        self.hash().try_into().ok().filter(|_| self.function == DigestFunction::Sha256)
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
        let mut hex = [0; 2 * MAX_HASH_LEN];
        f.write_str(hex_encode(self.hash(), &mut hex).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}:{self}", self.function)?;
        self.size.map_or(Ok(()), |size| write!(f, "/{size}"))
    }
}

/// Computes a digest while the body goes by.
pub struct Verifier {
    function: DigestFunction,
    hasher: Hasher,
    seen: u64,
}

enum Hasher {
    Sha256(Sha256),
    Sha1(Sha1),
    Md5(Md5),
    Sha384(Sha384),
    Sha512(Sha512),
    /// Its state is ten times that of the others.
    Blake3(Box<blake3::Hasher>),
}

impl Verifier {
    /// Has seen nothing yet.
    #[must_use]
    pub fn new(function: DigestFunction) -> Verifier {
        let hasher = match function {
            DigestFunction::Sha256 => Hasher::Sha256(Sha256::new()),
            DigestFunction::Sha1 => Hasher::Sha1(Sha1::new()),
            DigestFunction::Md5 => Hasher::Md5(Md5::new()),
            DigestFunction::Sha384 => Hasher::Sha384(Sha384::new()),
            DigestFunction::Sha512 => Hasher::Sha512(Sha512::new()),
            DigestFunction::Blake3 => Hasher::Blake3(Box::default()),
        };
        Verifier { function, hasher, seen: 0 }
    }

    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        match &mut self.hasher {
            Hasher::Sha256(hasher) => hasher.update(piece),
            Hasher::Sha1(hasher) => hasher.update(piece),
            Hasher::Md5(hasher) => hasher.update(piece),
            Hasher::Sha384(hasher) => hasher.update(piece),
            Hasher::Sha512(hasher) => hasher.update(piece),
            Hasher::Blake3(hasher) => drop(hasher.update(piece)),
        }
        self.seen += piece.len() as u64;
    }

    /// The digest of all that was seen, with its size.
    #[must_use]
    pub fn finish(self) -> Digest {
        let mut key = [0; 1 + MAX_HASH_LEN];
        key[0] = self.function as u8;
        let hash = &mut key[1..=self.function.hash_len()];
        match self.hasher {
            Hasher::Sha256(hasher) => hash.copy_from_slice(&hasher.finalize()),
            Hasher::Sha1(hasher) => hash.copy_from_slice(&hasher.finalize()),
            Hasher::Md5(hasher) => hash.copy_from_slice(&hasher.finalize()),
            Hasher::Sha384(hasher) => hash.copy_from_slice(&hasher.finalize()),
            Hasher::Sha512(hasher) => hash.copy_from_slice(&hasher.finalize()),
            Hasher::Blake3(hasher) => hash.copy_from_slice(hasher.finalize().as_bytes()),
        }
        Digest { key, function: self.function, size: Some(self.seen) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &[u8] = b"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    /// The hashes of "hello".
    const OF_HELLO: [(DigestFunction, &[u8]); 6] = [
        (DigestFunction::Sha256, HELLO),
        (DigestFunction::Blake3, b"ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f"),
        (DigestFunction::Sha1, b"aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"),
        (
            DigestFunction::Sha384,
            b"59e1748777448c69de6b800d7a33bbfb9ff1b463e44354c3553bcdb9c666fa90125a3c79f90397bdf5f6a13de828684f",
        ),
        (
            DigestFunction::Sha512,
            b"9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca72323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043",
        ),
        (DigestFunction::Md5, b"5d41402abc4b2a76b9719d911017c592"),
    ];

    #[test]
    fn a_digest_is_the_same_however_the_body_is_cut() {
        for (function, hash) in OF_HELLO {
            let mut verifier = Verifier::new(function);
            verifier.update(b"he");
            verifier.update(b"");
            verifier.update(b"llo");
            let expected = Digest::from_hex(function, hash).unwrap();
            assert_eq!(verifier.finish(), expected.with_size(5));
            assert_eq!(expected.to_string().as_bytes(), hash);
        }
    }

    #[test]
    fn the_length_of_a_hash_tells_all_functions_but_blake3() {
        for (function, hash) in OF_HELLO {
            let told = DigestFunction::of_hex_len(hash.len());
            assert_eq!(
                told,
                Some(function).filter(|function| *function != DigestFunction::Blake3).or(Some(DigestFunction::Sha256))
            );
        }
        for none in [0, 1, 31, 33, 63, 65, 66, 129, usize::MAX] {
            assert_eq!(DigestFunction::of_hex_len(none), None);
        }
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
        for function in DigestFunction::ALL {
            let empty = Digest::of(function, b"");
            assert!(empty.is_empty_blob(), "{empty:?}");
            assert!(!empty.with_size(1).is_empty_blob());
            assert!(!Digest::of(function, b"x").is_empty_blob());
        }
    }

    #[test]
    fn equal_hashes_of_two_functions_are_two_keys() {
        let sha = Digest::from_hex(DigestFunction::Sha256, HELLO).unwrap();
        let blake = Digest::from_hex(DigestFunction::Blake3, HELLO).unwrap();
        assert_ne!(sha.as_key(), blake.as_key());
    }
}
