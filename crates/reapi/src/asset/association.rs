//! What a URI and qualifiers stand for, as it is kept: a keyed artifact. Its key is the hash of the URI and all qualifiers: who fetches has to name them
//! all. It holds an action result that names the asset and what it refers to, so that completeness means here what it means there: it is served only
//! while all of that is there.

use bazel_remote_apis::build::bazel::remote::asset::v1 as asset;
use bazel_remote_apis::build::bazel::remote::execution::v2 as proto;
use bazel_remote_apis::google::protobuf::Timestamp;
use bytes::Bytes;
use kura_cache::{ArtifactKey, Attributes, Cache, Digest, DigestFunction, Error, Kind, Scope};
use prost::Message;
use tonic::Status;

use crate::{digest, status};

/// What an asset is. The words are part of keys on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Blob,
    Directory,
}

/// What an association is kept under.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Name {
    pub(super) scope: Scope,
    hash: String,
}

impl Name {
    /// `qualifiers` are in order.
    pub(super) fn new(scope: &Scope, sort: Sort, uri: &str, qualifiers: &[asset::Qualifier]) -> Name {
        let mut identity = vec![match sort {
            Sort::Blob => b'b',
            Sort::Directory => b'd',
        }];
        let words = qualifiers.iter().flat_map(|qualifier| [qualifier.name.as_str(), qualifier.value.as_str()]);
        for word in [uri].into_iter().chain(words) {
            identity.extend((word.len() as u64).to_le_bytes());
            identity.extend(word.as_bytes());
        }
        Name { scope: scope.clone(), hash: Digest::of(DigestFunction::Sha256, &identity).to_string() }
    }

    fn key(&self) -> Result<ArtifactKey, Error> {
        Ok(ArtifactKey::keyed(&self.scope, Kind::Asset, self.hash.as_bytes())?)
    }
}

/// What is stored of an association.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Association {
    /// An `ActionResult` that names the asset and what it refers to.
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) names: Bytes,
    #[prost(message, optional, tag = "2")]
    pub(super) digest: Option<proto::Digest>,
    #[prost(int32, tag = "3")]
    pub(super) digest_function: i32,
    /// When it was pushed, or its fetch was started.
    #[prost(uint64, tag = "4")]
    pub(super) since_millis: u64,
    #[prost(message, optional, tag = "5")]
    pub(super) expire_at: Option<Timestamp>,
}

impl Association {
    pub(super) async fn look_up(cache: &Cache, name: &Name) -> Result<Option<Association>, Error> {
        let Some(found) = cache.get(&name.key()?).await? else { return Ok(None) };
        Ok(Association::decode(found.body.collect().await?).ok())
    }

    /// Whether the asset and all that it refers to are there; they are vouched for then.
    pub(super) async fn is_there(&self, cache: &Cache, scope: &Scope) -> Result<bool, Status> {
        let function = digest::function(self.digest_function)?.unwrap_or(DigestFunction::Sha256);
        cache.is_complete(scope, function, &self.names).await.map_err(|error| status::of_read(&error))
    }
}

/// Keeps an association, encoded, under that name.
pub(super) async fn store(cache: &Cache, name: &Name, association: Bytes) -> Result<(), Error> {
    let mut upload = cache.put(&name.key()?, Attributes::default(), Some(association.len() as u64)).await?;
    upload.write(association).await?;
    upload.commit().await.map(drop)
}

/// An action result that names these.
pub(super) fn names(blobs: Vec<proto::Digest>, directories: Vec<proto::Digest>) -> Bytes {
    let output_files =
        blobs.into_iter().map(|digest| proto::OutputFile { digest: Some(digest), ..proto::OutputFile::default() });
    let output_directories = directories.into_iter().map(|digest| proto::OutputDirectory {
        root_directory_digest: Some(digest),
        ..proto::OutputDirectory::default()
    });
    let result = proto::ActionResult {
        output_files: output_files.collect(),
        output_directories: output_directories.collect(),
        ..proto::ActionResult::default()
    };
    result.encode_to_vec().into()
}

/// Since the Unix epoch; what lies before is at it.
pub(super) fn millis(time: &Timestamp) -> u64 {
    let seconds = u64::try_from(time.seconds).unwrap_or(0);
    seconds.saturating_mul(1000).saturating_add(u64::try_from(time.nanos).unwrap_or(0) / 1_000_000)
}

/// The time so many milliseconds after the Unix epoch.
pub(super) fn timestamp(millis: u64) -> Timestamp {
    let nanos = i32::try_from(millis % 1000 * 1_000_000).unwrap_or(0);
    Timestamp { seconds: i64::try_from(millis / 1000).unwrap_or(i64::MAX), nanos }
}
