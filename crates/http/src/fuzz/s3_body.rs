//! What S3's clients send with an object: a body in chunks, which the first byte cuts into pieces; beside it headers, line by line.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::surface::s3::chunks::Chunks;
use crate::surface::s3::claim::Claims;
use crate::surface::s3::kept;

pub(super) fn target(bytes: &[u8]) {
    let Some((step, body)) = bytes.split_first() else { return };
    for payload in ["STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"] {
        let whole = taken(payload, body, body.len().max(1));
        let cut = taken(payload, body, usize::from(*step).max(1));
        assert_eq!(whole.is_some(), cut.is_some(), "how it comes in changes nothing");
        if let (Some(whole), Some(cut)) = (whole, cut) {
            assert_eq!(content(&whole), content(&cut));
        }
    }
    let headers = headers(body);
    if let Ok(mut claims) = Claims::of(&headers) {
        claims.update(body);
        let _ = claims.finish(None);
    }
    let kept = kept::encode(&headers);
    let again: HeaderMap = kept::decode(&kept).fold(HeaderMap::new(), |mut all, (name, value)| {
        all.append(name, value);
        all
    });
    assert_eq!(kept::encode(&again), kept, "what is kept comes back");
    let _ = kept::decode(body).count();
}

/// What the library would get of a body that comes in pieces of `step` bytes.
fn taken(payload: &'static str, body: &[u8], step: usize) -> Option<Vec<u8>> {
    let headers =
        HeaderMap::from_iter([(HeaderName::from_static("x-amz-content-sha256"), HeaderValue::from_static(payload))]);
    let mut chunks = Chunks::of(&headers).unwrap();
    let mut all = Vec::new();
    for piece in body.chunks(step) {
        all.extend(chunks.take(Bytes::copy_from_slice(piece)).ok()?.concat());
    }
    Some(all)
}

/// The bytes in chunks, and what is behind the last one.
fn content(chunked: &[u8]) -> (Vec<u8>, &[u8]) {
    let (mut rest, mut content) = (chunked, Vec::new());
    loop {
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { return (content, b"") };
        let digits = rest[..end].split(|byte| matches!(byte, b';' | b'\r')).next().unwrap();
        let length = usize::from_str_radix(str::from_utf8(digits).unwrap(), 16).unwrap();
        rest = &rest[end + 1..];
        if length == 0 {
            return (content, rest);
        }
        content.extend(&rest[..length.min(rest.len())]);
        rest = rest.get(length + 2..).unwrap_or_default();
    }
}

pub(super) fn headers(lines: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        if let Some(colon) = line.iter().position(|byte| *byte == b':')
            && let Ok(name) = HeaderName::from_bytes(&line[..colon])
            && let Ok(value) = HeaderValue::from_bytes(line[colon + 1..].trim_ascii())
        {
            headers.append(name, value);
        }
    }
    headers
}
