//! GetCapabilities: what it says agrees with itself.

use std::collections::HashSet;

use bazel_remote_apis::build::bazel::remote::execution::v2::compressor::Value as Compressor;
use bazel_remote_apis::build::bazel::remote::execution::v2::digest_function::Value as DigestFunction;
use bazel_remote_apis::build::bazel::remote::execution::v2::symlink_absolute_path_strategy::Value as Strategy;
use bazel_remote_apis::build::bazel::remote::execution::v2::{
    ActionResult, CacheCapabilities, GetCapabilitiesRequest, ServerCapabilities,
};
use bazel_remote_apis::build::bazel::semver::SemVer;

use tonic::Code;

use crate::check::{EXECUTION, Suite};
use crate::client::Server;
use crate::expect::{Difference, Outcome, ensure, equal, refused};
use crate::offers::Need;

pub(super) fn register(suite: &mut Suite) {
    let mut group = suite.group("GetCapabilities", EXECUTION);
    group
        .check(
            "A cache answers with its cache capabilities",
            "GetCapabilities: cache endpoints return CacheCapabilities",
            answered,
        )
        .check(
            "Version 2.0 or a later 2.x is served",
            "ServerCapabilities.low_api_version, high_api_version",
            version_2,
        )
        .check("The versions are in order", "ServerCapabilities: deprecated, low and high version", versions_in_order)
        .check(
            "Digest functions are listed, each once",
            "CacheCapabilities.digest_functions: all that are supported",
            functions,
        )
        .check(
            "UNKNOWN is no digest function",
            "DigestFunction.Value.UNKNOWN: an error for the server to return",
            function_unknown,
        )
        .check(
            "SHA256 is listed first, where it is listed",
            "CacheCapabilities.digest_functions: Bazel before 6 takes the first one",
            sha256_first,
        )
        .check(
            "The batch limit is not negative",
            "CacheCapabilities.max_batch_total_size_bytes: 0 means none",
            batch_limit,
        )
        .check(
            "The largest blob is not negative",
            "CacheCapabilities.max_cas_blob_size_bytes: 0 means no limit",
            blob_limit,
        )
        .check(
            "The policy for absolute symlinks is stated",
            "SymlinkAbsolutePathStrategy.Value.UNKNOWN: invalid value",
            symlinks,
        )
        .check(
            "All compressors are known ones",
            "CacheCapabilities.supported_compressors: values of Compressor",
            compressors,
        )
        .check(
            "Priority ranges are not empty",
            "PriorityCapabilities.PriorityRange: minimum and maximum, inclusive",
            priorities,
        )
        .check(
            "Execution capabilities name a digest function",
            "ExecutionCapabilities.digest_function: other than UNKNOWN",
            execution_function,
        );
    group.check(
        "update_enabled says whether action results are taken",
        "ActionCacheUpdateCapabilities.update_enabled",
        updates,
    );
    group.needing(&[Need::FastCdc]).check(
        "The average chunk is between 1 KiB and 8 MiB",
        "FastCdc2020Params.avg_chunk_size_bytes: between 1 KiB and 8 MiB",
        average_chunk,
    );
}

async fn capabilities(server: &Server) -> Outcome<ServerCapabilities> {
    let request = GetCapabilitiesRequest { instance_name: server.instance_name() };
    Ok(server.capabilities().get_capabilities(request).await?.into_inner())
}

async fn cache(server: &Server) -> Outcome<CacheCapabilities> {
    let capabilities = capabilities(server).await?;
    capabilities.cache_capabilities.ok_or_else(|| Difference("there are no cache capabilities".to_owned()))
}

fn number(version: Option<&SemVer>) -> Option<(i32, i32, i32)> {
    version.map(|version| (version.major, version.minor, version.patch))
}

async fn answered(server: Server) -> Outcome {
    cache(&server).await.map(drop)
}

async fn version_2(server: Server) -> Outcome {
    let capabilities = capabilities(&server).await?;
    let low = number(capabilities.deprecated_api_version.as_ref().or(capabilities.low_api_version.as_ref()));
    let high = number(capabilities.high_api_version.as_ref());
    ensure(low.is_some() && low < Some((3, 0, 0)), || format!("the earliest version is {low:?}"))?;
    ensure(high >= Some((2, 0, 0)), || format!("the latest version is {high:?}"))
}

async fn versions_in_order(server: Server) -> Outcome {
    let capabilities = capabilities(&server).await?;
    let low = number(capabilities.low_api_version.as_ref());
    let high = number(capabilities.high_api_version.as_ref());
    let deprecated = number(capabilities.deprecated_api_version.as_ref());
    ensure(low.is_some() && low <= high, || format!("low is {low:?}, high is {high:?}"))?;
    ensure(deprecated.is_none() || deprecated <= low, || format!("deprecated is {deprecated:?}, low is {low:?}"))
}

async fn functions(server: Server) -> Outcome {
    let listed = cache(&server).await?.digest_functions;
    ensure(!listed.is_empty(), || "none is listed".to_owned())?;
    let distinct: HashSet<&i32> = listed.iter().collect();
    equal("the number of distinct functions", &distinct.len(), &listed.len())
}

async fn function_unknown(server: Server) -> Outcome {
    let listed = cache(&server).await?.digest_functions;
    ensure(!listed.contains(&(DigestFunction::Unknown as i32)), || format!("{listed:?} has 0"))
}

async fn sha256_first(server: Server) -> Outcome {
    let listed = cache(&server).await?.digest_functions;
    let place = listed.iter().position(|function| *function == DigestFunction::Sha256 as i32);
    ensure(place.is_none_or(|place| place == 0), || format!("it is at {place:?} of {listed:?}"))
}

async fn batch_limit(server: Server) -> Outcome {
    let limit = cache(&server).await?.max_batch_total_size_bytes;
    ensure(limit >= 0, || format!("it is {limit}"))
}

async fn blob_limit(server: Server) -> Outcome {
    let limit = cache(&server).await?.max_cas_blob_size_bytes;
    ensure(limit >= 0, || format!("it is {limit}"))
}

async fn symlinks(server: Server) -> Outcome {
    let strategy = cache(&server).await?.symlink_absolute_path_strategy;
    let valid = [Strategy::Allowed as i32, Strategy::Disallowed as i32];
    ensure(valid.contains(&strategy), || format!("it is {strategy}"))
}

async fn compressors(server: Server) -> Outcome {
    let cache = cache(&server).await?;
    let mut all = cache.supported_compressors.iter().chain(&cache.supported_batch_update_compressors);
    let strange = all.find(|compressor| Compressor::try_from(**compressor).is_err());
    ensure(strange.is_none(), || format!("compressor {strange:?} is listed"))
}

async fn priorities(server: Server) -> Outcome {
    let capabilities = capabilities(&server).await?;
    let cache = capabilities.cache_capabilities.and_then(|cache| cache.cache_priority_capabilities);
    let execution = capabilities.execution_capabilities.and_then(|it| it.execution_priority_capabilities);
    let ranges = cache.into_iter().chain(execution).flat_map(|priorities| priorities.priorities);
    let empty = ranges.into_iter().find(|range| range.min_priority > range.max_priority);
    ensure(empty.is_none(), || format!("{empty:?}"))
}

async fn execution_function(server: Server) -> Outcome {
    let Some(execution) = capabilities(&server).await?.execution_capabilities else { return Ok(()) };
    let (one, all) = (execution.digest_function, execution.digest_functions);
    ensure(one != DigestFunction::Unknown as i32 || !execution.exec_enabled, || "it is UNKNOWN".to_owned())?;
    ensure(all.is_empty() || all.contains(&one), || format!("{all:?} lacks {one}"))
}

async fn updates(server: Server) -> Outcome {
    let result = ActionResult { exit_code: 1, ..ActionResult::default() };
    let answer = server.update_action_result(&server.random(10).digest, result).await;
    if server.offers.has(Need::Updates) {
        return answer.map(drop).map_err(Difference::from);
    }
    refused(answer, &[Code::PermissionDenied, Code::Unauthenticated, Code::Unimplemented, Code::FailedPrecondition])
}

async fn average_chunk(server: Server) -> Outcome {
    let params = cache(&server).await?.fast_cdc_2020_params.unwrap_or_default();
    let average = params.avg_chunk_size_bytes;
    ensure((1 << 10..=8 << 20).contains(&average), || format!("it is {average}"))
}
