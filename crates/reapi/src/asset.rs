//! Remote Asset: what URIs and qualifiers were pushed for. Nothing is fetched from anywhere else.
//! An association is a keyed artifact. Its key is the hash of a URI and all qualifiers: who fetches has to name them all. It holds an action result that
//! names the asset and what it refers to, so that completeness means here what it means there: it is served only while all of that is there.

use bazel_remote_apis::build::bazel::remote::asset::v1 as asset;
use bazel_remote_apis::build::bazel::remote::execution::v2 as proto;
use bazel_remote_apis::google;
use bytes::Bytes;
use futures_util::future::try_join_all;
use google::protobuf::Timestamp;
use kura_cache::{ArtifactKey, Attributes, Cache, Digest, DigestFunction, Error, Kind, Scope};
use prost::Message;
use tonic::Status;

use crate::call::Call;
use crate::grpc::Reply;
use crate::limits::MAX_URIS;
use crate::{digest, scope, status};

/// What an asset is. The words are part of keys on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Blob,
    Directory,
}

/// What is stored of an association.
#[derive(Clone, PartialEq, Message)]
struct Association {
    /// An `ActionResult` that names the asset and what it refers to.
    #[prost(bytes = "bytes", tag = "1")]
    names: Bytes,
    #[prost(message, optional, tag = "2")]
    digest: Option<proto::Digest>,
    #[prost(int32, tag = "3")]
    digest_function: i32,
    #[prost(uint64, tag = "4")]
    pushed_millis: u64,
    #[prost(message, optional, tag = "5")]
    expire_at: Option<Timestamp>,
}

/// What a push associates.
struct Pushed {
    sort: Sort,
    instance_name: String,
    uris: Vec<String>,
    qualifiers: Vec<asset::Qualifier>,
    expire_at: Option<Timestamp>,
    digest: Option<proto::Digest>,
    blobs: Vec<proto::Digest>,
    directories: Vec<proto::Digest>,
    digest_function: i32,
}

pub(crate) async fn push_blob(mut call: Call) -> Result<Reply, Status> {
    let request: asset::PushBlobRequest = call.message().await?;
    let pushed = Pushed {
        sort: Sort::Blob,
        instance_name: request.instance_name,
        uris: request.uris,
        qualifiers: request.qualifiers,
        expire_at: request.expire_at,
        digest: request.blob_digest,
        blobs: request.references_blobs,
        directories: request.references_directories,
        digest_function: request.digest_function,
    };
    push(&call, pushed).await?;
    Ok(Reply::message(&asset::PushBlobResponse {}))
}

pub(crate) async fn push_directory(mut call: Call) -> Result<Reply, Status> {
    let request: asset::PushDirectoryRequest = call.message().await?;
    let pushed = Pushed {
        sort: Sort::Directory,
        instance_name: request.instance_name,
        uris: request.uris,
        qualifiers: request.qualifiers,
        expire_at: request.expire_at,
        digest: request.root_directory_digest,
        blobs: request.references_blobs,
        directories: request.references_directories,
        digest_function: request.digest_function,
    };
    push(&call, pushed).await?;
    Ok(Reply::message(&asset::PushDirectoryResponse {}))
}

async fn push(call: &Call, mut pushed: Pushed) -> Result<(), Status> {
    let scope = scope::of_instance(&pushed.instance_name)?;
    check(&pushed.uris, &mut pushed.qualifiers)?;
    let said = digest::function(pushed.digest_function)?;
    let digest = digest::required(said, pushed.digest.as_ref(), "the asset's digest")?;
    for reference in pushed.blobs.iter().chain(&pushed.directories) {
        digest::required(Some(digest.function()), Some(reference), "a reference's digest")?;
    }
    match pushed.sort {
        Sort::Blob => pushed.blobs.extend(pushed.digest.clone()),
        Sort::Directory => pushed.directories.extend(pushed.digest.clone()),
    }
    let association = Association {
        names: names(pushed.blobs, pushed.directories),
        digest: pushed.digest,
        digest_function: digest.function() as i32,
        pushed_millis: call.runtime.unix_millis(),
        expire_at: pushed.expire_at,
    };
    let encoded = Bytes::from(association.encode_to_vec());
    let stored = pushed.uris.iter().map(|uri| {
        let key = key(&scope, pushed.sort, uri, &pushed.qualifiers);
        store(&call.cache, key, encoded.clone())
    });
    try_join_all(stored).await.map(drop).map_err(|error| status::of(&error))
}

/// An action result that names these.
fn names(blobs: Vec<proto::Digest>, directories: Vec<proto::Digest>) -> Bytes {
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

async fn store(cache: &Cache, key: Result<ArtifactKey, Error>, association: Bytes) -> Result<(), Error> {
    let mut upload = cache.put(&key?, Attributes::default(), Some(association.len() as u64)).await?;
    upload.write(association).await?;
    upload.commit().await.map(drop)
}

/// What a fetch asks for.
struct Asked<'a> {
    sort: Sort,
    instance_name: &'a str,
    uris: &'a [String],
    qualifiers: &'a mut [asset::Qualifier],
    oldest: Option<&'a Timestamp>,
    digest_function: i32,
}

pub(crate) async fn fetch_blob(mut call: Call) -> Result<Reply, Status> {
    let mut request: asset::FetchBlobRequest = call.message().await?;
    let asked = Asked {
        sort: Sort::Blob,
        instance_name: &request.instance_name,
        uris: &request.uris,
        qualifiers: &mut request.qualifiers,
        oldest: request.oldest_content_accepted.as_ref(),
        digest_function: request.digest_function,
    };
    let (uri, found) = fetch(&call, asked).await?;
    Ok(Reply::message(&asset::FetchBlobResponse {
        status: Some(google::rpc::Status::default()),
        uri,
        qualifiers: request.qualifiers,
        expires_at: found.expire_at,
        blob_digest: found.digest,
        digest_function: found.digest_function,
    }))
}

pub(crate) async fn fetch_directory(mut call: Call) -> Result<Reply, Status> {
    let mut request: asset::FetchDirectoryRequest = call.message().await?;
    let asked = Asked {
        sort: Sort::Directory,
        instance_name: &request.instance_name,
        uris: &request.uris,
        qualifiers: &mut request.qualifiers,
        oldest: request.oldest_content_accepted.as_ref(),
        digest_function: request.digest_function,
    };
    let (uri, found) = fetch(&call, asked).await?;
    Ok(Reply::message(&asset::FetchDirectoryResponse {
        status: Some(google::rpc::Status::default()),
        uri,
        qualifiers: request.qualifiers,
        expires_at: found.expire_at,
        root_directory_digest: found.digest,
        digest_function: found.digest_function,
    }))
}

/// The first of the URIs that leads to something, and what that is.
async fn fetch(call: &Call, asked: Asked<'_>) -> Result<(String, Association), Status> {
    let scope = scope::of_instance(asked.instance_name)?;
    check(asked.uris, asked.qualifiers)?;
    let function = digest::function(asked.digest_function)?;
    for uri in asked.uris {
        let key = key(&scope, asked.sort, uri, asked.qualifiers).map_err(|error| status::of(&error))?;
        let found = look_up(&call.cache, &key).await.map_err(|error| status::of_read(&error))?;
        let fits = |found: &Association| {
            let in_time = found.expire_at.as_ref().is_none_or(|until| millis(until) > call.runtime.unix_millis());
            let new_enough = asked.oldest.is_none_or(|oldest| found.pushed_millis >= millis(oldest));
            in_time && new_enough && function.is_none_or(|function| function as i32 == found.digest_function)
        };
        let Some(found) = found.filter(fits) else { continue };
        if is_there(&call.cache, &scope, &found).await? {
            return Ok((uri.clone(), found));
        }
    }
    Err(Status::not_found("nothing was pushed for this"))
}

async fn look_up(cache: &Cache, key: &ArtifactKey) -> Result<Option<Association>, Error> {
    let Some(found) = cache.get(key).await? else { return Ok(None) };
    Ok(Association::decode(found.body.collect().await?).ok())
}

/// Whether the asset and all that it refers to are there; they are vouched for then.
async fn is_there(cache: &Cache, scope: &Scope, found: &Association) -> Result<bool, Status> {
    let function = digest::function(found.digest_function)?.unwrap_or(DigestFunction::Sha256);
    cache.is_complete(scope, function, &found.names).await.map_err(|error| status::of_read(&error))
}

/// Brings the qualifiers into one order.
///
/// # Errors
/// `INVALID_ARGUMENT` where no URI is given, or too many, or a qualifier twice.
fn check(uris: &[String], qualifiers: &mut [asset::Qualifier]) -> Result<(), Status> {
    if uris.is_empty() || uris.len() > MAX_URIS {
        return Err(Status::invalid_argument(format!("an asset has 1 to {MAX_URIS} URIs")));
    }
    qualifiers.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    if qualifiers.windows(2).any(|pair| pair[0].name == pair[1].name) {
        return Err(Status::invalid_argument("a qualifier is given twice"));
    }
    Ok(())
}

/// The key of an association. `qualifiers` are in order.
fn key(scope: &Scope, sort: Sort, uri: &str, qualifiers: &[asset::Qualifier]) -> Result<ArtifactKey, Error> {
    let mut identity = vec![match sort {
        Sort::Blob => b'b',
        Sort::Directory => b'd',
    }];
    let words = qualifiers.iter().flat_map(|qualifier| [qualifier.name.as_str(), qualifier.value.as_str()]);
    for word in [uri].into_iter().chain(words) {
        identity.extend((word.len() as u64).to_le_bytes());
        identity.extend(word.as_bytes());
    }
    let hash = Digest::of(DigestFunction::Sha256, &identity).to_string();
    Ok(ArtifactKey::keyed(scope, Kind::Asset, hash.as_bytes())?)
}

/// Since the Unix epoch; what lies before is at it.
fn millis(time: &Timestamp) -> u64 {
    let seconds = u64::try_from(time.seconds).unwrap_or(0);
    seconds.saturating_mul(1000).saturating_add(u64::try_from(time.nanos).unwrap_or(0) / 1_000_000)
}
