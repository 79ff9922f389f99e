//! Digest functions, and blobs under them.

use std::fmt;
use std::fmt::Write as _;

use bazel_remote_apis::build::bazel::remote::execution::v2::Digest;
use bazel_remote_apis::build::bazel::remote::execution::v2::digest_function::Value;
use md5::Md5;
use prost::Message;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// The digest functions that this suite computes itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Sha256,
    Blake3,
    Sha1,
    Sha384,
    Sha512,
    Md5,
}

impl Function {
    pub(crate) const ALL: [Function; 6] =
        [Function::Sha256, Function::Blake3, Function::Sha1, Function::Sha384, Function::Sha512, Function::Md5];

    pub(crate) fn value(self) -> Value {
        match self {
            Function::Sha256 => Value::Sha256,
            Function::Blake3 => Value::Blake3,
            Function::Sha1 => Value::Sha1,
            Function::Sha384 => Value::Sha384,
            Function::Sha512 => Value::Sha512,
            Function::Md5 => Value::Md5,
        }
    }

    /// Whether a server can tell the function by the length of a hash alone.
    pub(crate) fn is_inferred(self) -> bool {
        self != Function::Blake3
    }

    /// What requests carry as their digest function where clients may leave it out: nothing.
    pub(crate) fn field(self) -> i32 {
        if self.is_inferred() { Value::Unknown as i32 } else { self.value() as i32 }
    }

    pub(crate) fn hash(self, data: &[u8]) -> String {
        match self {
            Function::Sha256 => hex(&Sha256::digest(data)),
            Function::Blake3 => hex(blake3::hash(data).as_bytes()),
            Function::Sha1 => hex(&Sha1::digest(data)),
            Function::Sha384 => hex(&Sha384::digest(data)),
            Function::Sha512 => hex(&Sha512::digest(data)),
            Function::Md5 => hex(&Md5::digest(data)),
        }
    }

    pub(crate) fn digest(self, data: &[u8]) -> Digest {
        Digest { hash: self.hash(data), size_bytes: length(data) }
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.value().as_str_name())
    }
}

/// Bytes and what they are called.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    pub(crate) data: Vec<u8>,
    pub(crate) digest: Digest,
    pub(crate) function: Function,
}

impl Blob {
    pub(crate) fn new(function: Function, data: Vec<u8>) -> Blob {
        Blob { digest: function.digest(&data), data, function }
    }

    /// Bytes that no server has seen, and that do not compress.
    pub(crate) fn random(function: Function, length: usize) -> Blob {
        let mut data = vec![0; length];
        fastrand::fill(&mut data);
        Blob::new(function, data)
    }

    /// Bytes that no server has seen, and that compress well.
    pub(crate) fn text(function: Function, length: usize) -> Blob {
        let mut data = format!("{:032x} ", fastrand::u128(..)).into_bytes();
        let words: Vec<u8> = (0..64).map(|_| fastrand::alphanumeric() as u8).collect();
        data.extend(words.iter().cycle().take(length));
        data.truncate(length);
        Blob::new(function, data)
    }

    /// A message as it is stored.
    pub(crate) fn message(function: Function, message: &impl Message) -> Blob {
        Blob::new(function, message.encode_to_vec())
    }

    /// The name of the same bytes with another size: another blob.
    pub(crate) fn with_size(&self, size_bytes: i64) -> Digest {
        Digest { hash: self.digest.hash.clone(), size_bytes }
    }
}

/// A length as the protocol counts it.
pub(crate) fn length(data: &[u8]) -> i64 {
    i64::try_from(data.len()).unwrap_or(i64::MAX)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_hashes_the_empty_blob_as_published() {
        let published = [
            (Function::Sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (Function::Blake3, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
            (Function::Sha1, "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
            (
                Function::Sha384,
                "38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b",
            ),
            (
                Function::Sha512,
                "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
            ),
            (Function::Md5, "d41d8cd98f00b204e9800998ecf8427e"),
        ];
        for (function, hash) in published {
            assert_eq!(function.hash(b""), hash, "{function}");
        }
    }
}
