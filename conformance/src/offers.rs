//! What a server says that it offers. A check that needs what is not offered is not asked of it.

use std::fmt;

use bazel_remote_apis::build::bazel::remote::asset::v1::{FetchBlobRequest, PushBlobRequest};
use bazel_remote_apis::build::bazel::remote::execution::v2::compressor::Value as Compressor;
use bazel_remote_apis::build::bazel::remote::execution::v2::digest_function::Value as DigestFunction;
use bazel_remote_apis::build::bazel::remote::execution::v2::{
    CacheCapabilities, ExecutionCapabilities, FastCdc2020Params, FindMissingBlobsRequest, GetCapabilitiesRequest,
    ServerCapabilities,
};
use tonic::{Code, Status};

use crate::checks::{health, reflection};
use crate::client::Server;
use crate::digest::Function;

/// An instance that nobody has set up.
pub(crate) const STRANGE_INSTANCE: &str = "reapi-conformance/nested";

/// The version that replaced SplitBlob and SpliceBlob by streaming methods.
const STREAMED_MAPPINGS: (i32, i32) = (2, 13);

/// Something that a server may offer or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// The action cache may be written.
    Updates,
    /// A limit for batches is stated, below what a message can hold anyway.
    BatchLimit,
    /// A largest blob is stated.
    BlobLimit,
    /// zstd in ByteStream names.
    Zstd,
    /// zstd in batches.
    BatchZstd,
    /// GetChunkMapping.
    ChunkMapping,
    /// RegisterChunkMapping.
    ChunkRegistration,
    /// SplitBlob.
    Split,
    /// SpliceBlob.
    Splice,
    /// Chunks as FastCDC 2020 cuts them.
    FastCdc,
    /// A digest function.
    Digest(Function),
    /// Remote Asset, to fetch.
    Fetch,
    /// Remote Asset, to push.
    Push,
    /// grpc.health.v1.
    Health,
    /// grpc.reflection.v1.
    Reflection,
    /// No remote execution.
    NoExecution,
    /// Instances need not be set up.
    AnyInstance,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Need::Updates => "updates of the action cache",
            Need::BatchLimit => "a batch limit of at most 4 MiB",
            Need::BlobLimit => "a largest blob",
            Need::Zstd => "zstd in ByteStream",
            Need::BatchZstd => "zstd in batches",
            Need::ChunkMapping => "GetChunkMapping",
            Need::ChunkRegistration => "RegisterChunkMapping",
            Need::Split => "SplitBlob",
            Need::Splice => "SpliceBlob",
            Need::FastCdc => "FastCDC 2020",
            Need::Digest(function) => return write!(f, "digest function {function}"),
            Need::Fetch => "Remote Asset Fetch",
            Need::Push => "Remote Asset Push",
            Need::Health => "health checking",
            Need::Reflection => "server reflection",
            Need::NoExecution => "no remote execution",
            Need::AnyInstance => "any instance name",
        })
    }
}

/// What the server said when it was asked.
#[derive(Debug, Default)]
pub(crate) struct Offers {
    pub(crate) cache: CacheCapabilities,
    pub(crate) execution: ExecutionCapabilities,
    pub(crate) functions: Vec<Function>,
    /// The earliest and the latest version, as major and minor numbers.
    pub(crate) versions: ((i32, i32), (i32, i32)),
    /// What no capability tells: found out by a call that every server that has it answers.
    pub(crate) probed: Vec<Need>,
}

impl Offers {
    /// Asks for the capabilities, and for the services that they say nothing of.
    pub(crate) async fn ask(server: &Server) -> Offers {
        let request = GetCapabilitiesRequest { instance_name: server.instance_name() };
        let answer = server.capabilities().get_capabilities(request).await;
        let capabilities = answer.map(tonic::Response::into_inner).unwrap_or_default();
        let mut offers = Offers::stated(capabilities);
        let absent = format!("urn:reapi-conformance:{:032x}", fastrand::u128(..));
        let fetch = FetchBlobRequest { uris: vec![absent], ..FetchBlobRequest::default() };
        let elsewhere = FindMissingBlobsRequest {
            instance_name: STRANGE_INSTANCE.to_owned(),
            ..FindMissingBlobsRequest::default()
        };
        let answers = [
            (Need::Fetch, exists(&server.fetch().fetch_blob(fetch).await)),
            (Need::Push, exists(&server.push().push_blob(PushBlobRequest::default()).await)),
            (Need::Health, exists(&health::ask(server, "").await)),
            (Need::Reflection, exists(&reflection::services(server).await)),
            (Need::AnyInstance, server.cas().find_missing_blobs(elsewhere).await.is_ok()),
        ];
        offers.probed = answers.into_iter().filter(|(_, offered)| *offered).map(|(need, _)| need).collect();
        offers
    }

    fn stated(capabilities: ServerCapabilities) -> Offers {
        let version = |version: Option<_>| {
            version.map_or((0, 0), |v: bazel_remote_apis::build::bazel::semver::SemVer| (v.major, v.minor))
        };
        let low = capabilities.deprecated_api_version.or(capabilities.low_api_version);
        let cache = capabilities.cache_capabilities.unwrap_or_default();
        let named = |function: &Function| cache.digest_functions.contains(&(function.value() as i32));
        Offers {
            functions: Function::ALL.into_iter().filter(named).collect(),
            execution: capabilities.execution_capabilities.unwrap_or_default(),
            versions: (version(low), version(capabilities.high_api_version)),
            probed: Vec::new(),
            cache,
        }
    }

    pub(crate) fn has(&self, need: Need) -> bool {
        let cache = &self.cache;
        let streamed = self.versions.1 >= STREAMED_MAPPINGS;
        // SplitBlob and SpliceBlob are of 2.12: who still speaks that has them.
        let unary = self.versions.0 < STREAMED_MAPPINGS;
        let zstd = Compressor::Zstd as i32;
        match need {
            Need::Updates => cache.action_cache_update_capabilities.is_some_and(|updates| updates.update_enabled),
            Need::BatchLimit => (1..=4 << 20).contains(&cache.max_batch_total_size_bytes),
            Need::BlobLimit => cache.max_cas_blob_size_bytes > 0,
            Need::Zstd => cache.supported_compressors.contains(&zstd),
            Need::BatchZstd => cache.supported_batch_update_compressors.contains(&zstd),
            Need::ChunkMapping => cache.split_blob_support && streamed,
            Need::ChunkRegistration => cache.splice_blob_support && streamed,
            Need::Split => cache.split_blob_support && unary,
            Need::Splice => cache.splice_blob_support && unary,
            Need::FastCdc => self.fast_cdc().is_some(),
            Need::Digest(function) => self.functions.contains(&function),
            Need::NoExecution => !self.execution.exec_enabled,
            Need::Fetch | Need::Push | Need::Health | Need::Reflection | Need::AnyInstance => {
                self.probed.contains(&need)
            }
        }
    }

    pub(crate) fn fast_cdc(&self) -> Option<FastCdc2020Params> {
        self.cache.fast_cdc_2020_params
    }

    /// A digest function that is not offered.
    pub(crate) fn foreign_function(&self) -> i32 {
        let offered = &self.cache.digest_functions;
        let all = [DigestFunction::Vso, DigestFunction::Murmur3, DigestFunction::Sha256tree, DigestFunction::Gitsha1];
        all.into_iter().map(|function| function as i32).find(|function| !offered.contains(function)).unwrap_or(99)
    }
}

fn exists<T>(answer: &Result<T, Status>) -> bool {
    !answer.as_ref().is_err_and(|status| status.code() == Code::Unimplemented)
}
