//! RequestMetadata, as a header and as what such a header holds.

use bazel_remote_apis::build::bazel::remote::execution::v2::RequestMetadata;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use prost::Message;
use tonic::metadata::BinaryMetadataValue;

use crate::metadata::{MAX_LEN, NAMES, of};

pub(super) fn target(bytes: &[u8]) {
    let said = |value: HeaderValue| of(&HeaderMap::from_iter([(HeaderName::from_static(NAMES[0]), value)]));
    if let Ok(value) = HeaderValue::from_bytes(bytes) {
        let is_long = value.len() > MAX_LEN;
        assert!(said(value).is_none() || !is_long);
    }
    let encoded = BinaryMetadataValue::from_bytes(bytes);
    let value = HeaderValue::from_bytes(encoded.as_encoded_bytes()).unwrap();
    if value.len() <= MAX_LEN {
        assert_eq!(said(value), RequestMetadata::decode(bytes).ok());
    }
}
