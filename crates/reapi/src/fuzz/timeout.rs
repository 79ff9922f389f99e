//! `grpc-timeout`.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::grpc::deadline;

/// Eight digits of hours.
const LONGEST_SECS: u64 = 99_999_999 * 3600;

pub(super) fn target(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let headers = HeaderMap::from_iter([(HeaderName::from_static("grpc-timeout"), value)]);
    if let Ok(timeout) = deadline(&headers) {
        assert!(timeout.unwrap().as_secs() <= LONGEST_SECS);
        assert!(bytes[..bytes.len() - 1].iter().all(u8::is_ascii_digit));
    }
}
