//! RequestMetadata: which tool, invocation and action a call is for. The log has it at level debug. It decides nothing here but how an old Bazel is told what
//! it may do: anybody can say anything in it.

use bazel_remote_apis::build::bazel::remote::execution::v2::RequestMetadata;
use http::{HeaderMap, HeaderName};
use prost::Message;
use tonic::metadata::MetadataMap;

/// Its header, and the one of the version before.
pub(crate) const NAMES: [&str; 2] = [
    "build.bazel.remote.execution.v2.requestmetadata-bin",
    "google.devtools.remoteexecution.v1test.requestmetadata-bin",
];

/// The longest that is looked at, in bytes.
pub(crate) const MAX_LEN: usize = 16 * 1024;

/// What a call says of itself; `None` where it says nothing that can be understood.
pub(crate) fn of(headers: &HeaderMap) -> Option<RequestMetadata> {
    let (name, value) = NAMES.iter().find_map(|name| Some((*name, headers.get(*name)?)))?;
    if value.len() > MAX_LEN {
        return None;
    }
    let only = MetadataMap::from_headers(HeaderMap::from_iter([(HeaderName::from_static(name), value.clone())]));
    let bytes = only.get_bin(name)?.to_bytes().ok()?;
    RequestMetadata::decode(bytes).ok()
}

/// Whether it is a Bazel of a version before that one. One that was built without a version is.
pub(crate) fn is_bazel_before(major: u32, headers: &HeaderMap) -> bool {
    let Some(tool) = of(headers).and_then(|said| said.tool_details) else { return false };
    let version = tool.tool_version.split('.').next().and_then(|first| first.parse::<u32>().ok());
    tool.tool_name == "bazel" && version.is_none_or(|version| version < major)
}

/// Logs what a call is for, where anybody listens.
pub(crate) fn log(method: &str, headers: &HeaderMap) {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    let said = of(headers).unwrap_or_default();
    let tool = said.tool_details.unwrap_or_default();
    tracing::debug!(
        method,
        tool = tool.tool_name,
        version = tool.tool_version,
        invocation = said.tool_invocation_id,
        mnemonic = said.action_mnemonic,
        target = said.target_id,
        "a call"
    );
}

#[cfg(test)]
mod tests {
    use bazel_remote_apis::build::bazel::remote::execution::v2::ToolDetails;
    use http::HeaderValue;
    use proptest::prelude::*;
    use tonic::metadata::BinaryMetadataValue;

    use super::*;

    fn headers(name: &'static str, value: &[u8]) -> HeaderMap {
        HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap())])
    }

    #[test]
    fn an_old_bazel_is_told_from_a_new_one_and_from_others() {
        let said = |name: &str, version: &str| {
            let tool = ToolDetails { tool_name: name.to_owned(), tool_version: version.to_owned() };
            let metadata = RequestMetadata { tool_details: Some(tool), ..RequestMetadata::default() };
            let value = BinaryMetadataValue::from_bytes(&metadata.encode_to_vec());
            is_bazel_before(6, &headers(NAMES[0], value.as_encoded_bytes()))
        };
        assert!(said("bazel", "4.2.3") && said("bazel", "5.9.9") && said("bazel", "no_version"));
        assert!(!said("bazel", "6.0.0") && !said("bazel", "10.1.0") && !said("buck2", "1.0"));
        assert!(!is_bazel_before(6, &HeaderMap::new()));
    }

    #[test]
    fn both_names_are_understood_with_and_without_padding() {
        for version in ["4.2.3", "4.2.30", "4.2.300"] {
            let tool = ToolDetails { tool_name: "bazel".to_owned(), tool_version: version.to_owned() };
            let metadata = RequestMetadata { tool_details: Some(tool), ..RequestMetadata::default() };
            let value = BinaryMetadataValue::from_bytes(&metadata.encode_to_vec());
            let bare = value.as_encoded_bytes().to_vec();
            let padded = [bare.clone(), vec![b'='; (4 - bare.len() % 4) % 4]].concat();
            for name in NAMES {
                assert_eq!(of(&headers(name, &bare)), Some(metadata.clone()));
                assert_eq!(of(&headers(name, &padded)), Some(metadata.clone()));
            }
        }
    }

    #[test]
    fn what_is_not_there_or_not_understood_is_nothing() {
        assert_eq!(of(&HeaderMap::new()), None);
        assert_eq!(of(&headers(NAMES[0], b"!")), None);
        assert_eq!(of(&headers(NAMES[0], "A".repeat(MAX_LEN + 1).as_bytes())), None);
    }

    proptest! {
        #[test]
        fn any_header_is_metadata_or_nothing(value in "[A-Za-z0-9+/=]{0,200}") {
            let _ = of(&headers(NAMES[0], value.as_bytes()));
        }
    }
}
