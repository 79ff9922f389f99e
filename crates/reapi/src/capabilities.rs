//! `Capabilities`: what clients may ask for, and how much at once.

use bazel_remote_apis::build::bazel::remote::execution::v2 as proto;
use bazel_remote_apis::build::bazel::semver::SemVer;
use kura_auth::Need;
use tonic::Status;

use crate::call::{Call, Head};
use crate::cas::FAST_CDC;
use crate::digest::FUNCTIONS;
use crate::grpc::Reply;
use crate::limits::MAX_BATCH;
use crate::metadata;

/// The first version of the API that is served: some clients refuse a server that starts later.
const LOW: SemVer = version(0);

/// The last one.
const HIGH: SemVer = version(13);

const fn version(minor: i32) -> SemVer {
    SemVer { major: 2, minor, patch: 0, prerelease: String::new() }
}

pub(crate) async fn get(mut call: Call) -> Result<Reply, Status> {
    let request: proto::GetCapabilitiesRequest = call.message().await?;
    call.scope(&request.instance_name)?;
    Ok(Reply::message(&proto::ServerCapabilities {
        cache_capabilities: Some(cache(&call)),
        execution_capabilities: Some(proto::ExecutionCapabilities::default()),
        deprecated_api_version: None,
        low_api_version: Some(LOW),
        high_api_version: Some(HIGH),
    }))
}

/// Whether a client is told that it may store results. Bazel before version 6 ends the build where it may not and was not told so by its flags; later ones say
/// so in a line, and so do earlier ones when a result of theirs is refused.
fn may_update(head: &Head) -> bool {
    head.access.permits(Need::Write).is_ok() || metadata::is_bazel_before(6, &head.headers)
}

/// Identity is served too, and need not be said.
const COMPRESSORS: [i32; 1] = [proto::compressor::Value::Zstd as i32];

fn cache(call: &Call) -> proto::CacheCapabilities {
    let (max_blob, update_enabled) = (call.cache.max_artifact_size(), may_update(&call.head));
    proto::CacheCapabilities {
        digest_functions: FUNCTIONS.iter().map(|function| *function as i32).collect(),
        action_cache_update_capabilities: Some(proto::ActionCacheUpdateCapabilities { update_enabled }),
        max_batch_total_size_bytes: MAX_BATCH.cast_signed(),
        symlink_absolute_path_strategy: proto::symlink_absolute_path_strategy::Value::Allowed as i32,
        supported_compressors: COMPRESSORS.to_vec(),
        supported_batch_update_compressors: COMPRESSORS.to_vec(),
        max_cas_blob_size_bytes: i64::try_from(max_blob).unwrap_or(i64::MAX),
        split_blob_support: true,
        splice_blob_support: true,
        fast_cdc_2020_params: Some(FAST_CDC),
        ..proto::CacheCapabilities::default()
    }
}
