//! Digests as messages have them: a hash in hexadecimal, a size, and the function, which is said or follows from the hash's length.

use bazel_remote_apis::build::bazel::remote::execution::v2 as proto;
use kura_cache::{Digest, DigestFunction};
use proto::digest_function::Value;
use tonic::Status;

/// The digest functions that are served, the one that clients should prefer first.
pub(crate) const FUNCTIONS: [DigestFunction; 6] = [
    DigestFunction::Sha256,
    DigestFunction::Blake3,
    DigestFunction::Sha1,
    DigestFunction::Sha384,
    DigestFunction::Sha512,
    DigestFunction::Md5,
];

/// The digest function that a message names, or none.
///
/// # Errors
/// `INVALID_ARGUMENT` for one that is not served.
pub(crate) fn function(said: i32) -> Result<Option<DigestFunction>, Status> {
    if said == Value::Unknown as i32 {
        return Ok(None);
    }
    let found = FUNCTIONS.into_iter().find(|function| *function as i32 == said);
    found.map(Some).ok_or_else(|| {
        let name = Value::try_from(said).map_or("that", |value| value.as_str_name());
        Status::invalid_argument(format!("{name} digests are not served here"))
    })
}

/// A digest, of the function that was said or that its length tells.
///
/// # Errors
/// `INVALID_ARGUMENT`, which says what is wrong with it.
#[inline]
pub(crate) fn parse(function: Option<DigestFunction>, hash: &[u8], size: i64) -> Result<Digest, Status> {
    let (function, size) = terms(function, hash.len(), size)?;
    Digest::from_hex(function, hash).map(|digest| digest.with_size(size)).map_err(bad)
}

/// The function and size of a digest whose hash has so many digits.
///
/// # Errors
/// As for [`parse`].
#[inline]
pub(crate) fn terms(
    function: Option<DigestFunction>,
    digits: usize,
    size: i64,
) -> Result<(DigestFunction, u64), Status> {
    let function = function
        .or_else(|| DigestFunction::of_hex_len(digits))
        .ok_or_else(|| bad("its hash has the length of no digest function that is served here"))?;
    let size = u64::try_from(size).map_err(|_| bad("its size is negative"))?;
    Ok((function, size))
}

/// What is told of what is no digest.
#[cold]
pub(crate) fn bad(why: &str) -> Status {
    Status::invalid_argument(format!("not a digest: {why}"))
}

/// The digest in a message that must have one.
///
/// # Errors
/// `INVALID_ARGUMENT`.
pub(crate) fn required(
    function: Option<DigestFunction>,
    digest: Option<&proto::Digest>,
    what: &str,
) -> Result<Digest, Status> {
    let digest = digest.ok_or_else(|| Status::invalid_argument(format!("{what} is missing")))?;
    parse(function, digest.hash.as_bytes(), digest.size_bytes)
}

/// A digest as messages have it.
pub(crate) fn to_message(digest: &Digest) -> proto::Digest {
    proto::Digest { hash: digest.to_string(), size_bytes: digest.size().unwrap_or_default().cast_signed() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    #[test]
    fn the_function_is_the_one_that_is_said_or_follows_from_the_length() {
        let digest = parse(None, HELLO.as_bytes(), 5).unwrap();
        assert_eq!((digest.function(), digest.size()), (DigestFunction::Sha256, Some(5)));
        assert_eq!(parse(function(1).unwrap(), HELLO.as_bytes(), 5).unwrap(), digest);
        assert_eq!(function(0).unwrap(), None);
        let blake = parse(function(9).unwrap(), HELLO.as_bytes(), 5).unwrap();
        assert_eq!(blake.function(), DigestFunction::Blake3);
        for served in FUNCTIONS.into_iter().filter(|served| *served != DigestFunction::Blake3) {
            let hash = "0".repeat(2 * served.hash_len());
            assert_eq!(parse(None, hash.as_bytes(), 5).unwrap().function(), served);
            assert!(parse(function(2).unwrap(), hash.as_bytes(), 5).is_ok() == (served == DigestFunction::Sha1));
        }
        for unknown in [-1, 4, 7, 8, 99] {
            assert!(function(unknown).is_err(), "{unknown}");
        }
    }

    #[test]
    fn what_is_no_digest_is_refused() {
        for (hash, size) in [("", 0), ("2cf2", 5), (HELLO, -1), (&HELLO.to_uppercase()[..], 5)] {
            assert!(parse(None, hash.as_bytes(), size).is_err(), "{hash}/{size}");
        }
        assert!(required(None, None, "the digest").is_err());
    }

    #[test]
    fn numbers_are_the_protocols() {
        for function in FUNCTIONS {
            let value = Value::try_from(function as i32).unwrap();
            assert_eq!(value.as_str_name().to_lowercase(), format!("{function:?}").to_lowercase());
        }
    }
}
