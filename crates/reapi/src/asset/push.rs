//! Push: what a client says that URIs and qualifiers stand for. Nobody checks it against them.

use bazel_remote_apis::build::bazel::remote::asset::v1 as asset;
use bazel_remote_apis::build::bazel::remote::execution::v2 as proto;
use bazel_remote_apis::google::protobuf::Timestamp;
use bytes::Bytes;
use futures_util::future::try_join_all;
use prost::Message;
use tonic::Status;

use super::association::{Association, Name, Sort, names, store};
use super::check;
use crate::call::Call;
use crate::grpc::Reply;
use crate::{digest, status};

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
    let scope = call.scope(&pushed.instance_name)?;
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
        since_millis: call.runtime.unix_millis(),
        expire_at: pushed.expire_at,
    };
    let encoded = Bytes::from(association.encode_to_vec());
    let names = pushed.uris.iter().map(|uri| Name::new(&scope, pushed.sort, uri, &pushed.qualifiers));
    let names: Vec<_> = names.collect();
    let stored = names.iter().map(|name| store(&call.cache, name, encoded.clone()));
    try_join_all(stored).await.map(drop).map_err(|error| status::of(&error))
}
