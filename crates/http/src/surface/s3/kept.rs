//! What S3's clients say of an object beside it, and are given back with it: its type and encoding, which have attributes of their own, and further
//! headers together in one.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED};
use kura_cache::{Attributes, Version};
use s3s::{S3Result, s3_error};

use super::claim::CHECKSUMS;
use crate::attribute::{self, ENCODING, HEADERS, TYPE};
use crate::date::stored_at;

/// Kept as they are.
const NAMES: [&str; 4] = ["cache-control", "content-disposition", "content-language", "expires"];

const METADATA: &str = "x-amz-meta-";

/// What is kept of an upload's headers.
///
/// # Errors
/// `MetadataTooLarge`.
pub(super) fn attributes(headers: &HeaderMap) -> S3Result<Attributes> {
    let too_large = || s3_error!(MetadataTooLarge, "an object's headers have at most 1 KiB together");
    let mut attributes = Attributes::default();
    let encoding = headers.get(CONTENT_ENCODING).map(|said| without_chunks(said.as_bytes())).unwrap_or_default();
    let content_type = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    for (name, value) in [(TYPE, content_type), (ENCODING, &encoding)] {
        if value.len() > attribute::MAX_LEN {
            return Err(too_large());
        }
        if !value.is_empty() {
            attributes = attributes.with(name, value).map_err(|_| too_large())?;
        }
    }
    let others = encode(headers);
    if others.is_empty() {
        return Ok(attributes);
    }
    attributes.with(HEADERS, &others).map_err(|_| too_large())
}

/// An encoding, but for the one that is only the body's on its way.
fn without_chunks(said: &[u8]) -> Vec<u8> {
    let rest = said.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|one| *one != b"aws-chunked");
    rest.collect::<Vec<_>>().join(&b","[..])
}

/// Those that are kept together, as they are stored: `name:value` and a newline each. A header's value holds no newline.
pub(crate) fn encode(headers: &HeaderMap) -> Vec<u8> {
    let is_kept = |name: &str| {
        NAMES.contains(&name) || name.starts_with(METADATA) || CHECKSUMS.iter().any(|checksum| checksum.header == name)
    };
    let mut encoded = Vec::new();
    for (name, value) in headers.iter().filter(|(name, _)| is_kept(name.as_str())) {
        encoded.extend([name.as_str().as_bytes(), b":", value.as_bytes(), b"\n"].concat());
    }
    encoded
}

/// Those that were stored; what is none is left out.
pub(crate) fn decode(encoded: &[u8]) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    encoded.split(|byte| *byte == b'\n').filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        Some((HeaderName::from_bytes(&line[..colon]).ok()?, HeaderValue::from_bytes(&line[colon + 1..]).ok()?))
    })
}

/// The headers of an answer that gives or describes an object.
pub(super) fn describe(headers: &mut HeaderMap, version: Version, attributes: &Attributes) {
    if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(stored_at(version))) {
        headers.insert(LAST_MODIFIED, date);
    }
    for (name, value) in attributes.get(HEADERS).into_iter().flat_map(decode) {
        headers.append(name, value);
    }
}
