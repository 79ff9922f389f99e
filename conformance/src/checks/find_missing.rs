//! FindMissingBlobs.

use std::collections::HashSet;

use bazel_remote_apis::build::bazel::remote::execution::v2::{Digest, FindMissingBlobsRequest};
use tonic::Code;

use super::malformed;
use crate::calls::upload;
use crate::check::{EXECUTION, Suite};
use crate::client::Server;
use crate::digest::Blob;
use crate::expect::{Outcome, ensure, equal, refused};

/// Digests of a large question.
const MANY: usize = 10_000;

pub(super) fn register(suite: &mut Suite) {
    let missing = "FindMissingBlobsResponse.missing_blob_digests: those requested that are not present";
    suite
        .group("FindMissingBlobs", EXECUTION)
        .check("A blob that nobody uploaded is missing", missing, absent)
        .check("A blob that ByteStream.Write took is not missing", missing, written)
        .check("A blob that BatchUpdateBlobs took is not missing", missing, batched)
        .check("Of several, only those that are missing are listed", missing, mixed)
        .check("No digests, none missing", missing, nothing)
        .check("A digest that is asked for twice is listed as any other", missing, duplicates)
        .check(format!("{MANY} digests are answered in one call"), missing, many)
        .check("The empty blob is never missing", "ContentAddressableStorage: empty blobs are always available", empty)
        .check(
            "The hash of a blob with another size is another blob",
            "Digest: the size is an integral part of it",
            other_size,
        )
        .check(
            "A malformed digest is INVALID_ARGUMENT",
            "Digest.hash: lowercase hexadecimal of the function's length",
            malformed,
        )
        .check(
            "A digest function that is not offered is INVALID_ARGUMENT",
            "FindMissingBlobsRequest.digest_function: one that the capabilities announce",
            foreign_function,
        )
        .check(
            "A hash of another function than the request's is INVALID_ARGUMENT",
            "FindMissingBlobsRequest.blob_digests: all of the same digest function",
            other_function,
        );
}

async fn absent(server: Server) -> Outcome {
    let blob = server.random(100);
    equal("the missing", &server.find_missing(std::slice::from_ref(&blob.digest)).await?, &vec![blob.digest])
}

async fn written(server: Server) -> Outcome {
    let blob = server.random(100);
    server.put(&blob).await?;
    equal("the missing", &server.find_missing(&[blob.digest]).await?, &vec![])
}

async fn batched(server: Server) -> Outcome {
    let blob = server.random(100);
    server.batch_update(vec![upload(&blob)]).await?;
    equal("the missing", &server.find_missing(&[blob.digest]).await?, &vec![])
}

async fn mixed(server: Server) -> Outcome {
    let blobs: Vec<Blob> = (0..10).map(|_| server.random(100)).collect();
    for blob in blobs.iter().step_by(2) {
        server.put(blob).await?;
    }
    let digests: Vec<Digest> = blobs.iter().map(|blob| blob.digest.clone()).collect();
    let expected: HashSet<Digest> = digests.iter().skip(1).step_by(2).cloned().collect();
    let missing = server.find_missing(&digests).await?;
    equal("the number of the missing", &missing.len(), &expected.len())?;
    equal("the missing", &missing.into_iter().collect(), &expected)
}

async fn nothing(server: Server) -> Outcome {
    equal("the missing", &server.find_missing(&[]).await?, &vec![])
}

async fn duplicates(server: Server) -> Outcome {
    let (here, absent) = (server.random(100), server.random(100));
    server.put(&here).await?;
    let digests = [&absent, &here, &absent, &here].map(|blob| blob.digest.clone());
    let missing = server.find_missing(&digests).await?;
    ensure(!missing.is_empty() && missing.iter().all(|digest| *digest == absent.digest), || {
        format!("expected {:?} once or twice, got {missing:?}", absent.digest)
    })
}

async fn many(server: Server) -> Outcome {
    let here = server.random(100);
    server.put(&here).await?;
    let absent: HashSet<Digest> = (1..MANY).map(|_| server.random(16).digest).collect();
    let digests: Vec<Digest> = absent.iter().chain([&here.digest]).cloned().collect();
    let missing: HashSet<Digest> = server.find_missing(&digests).await?.into_iter().collect();
    ensure(missing == absent, || format!("{} of {MANY} are missing, not {}", missing.len(), absent.len()))
}

async fn empty(server: Server) -> Outcome {
    let empty = server.random(0);
    equal("the missing", &server.find_missing(&[empty.digest]).await?, &vec![])
}

async fn other_size(server: Server) -> Outcome {
    let blob = server.random(100);
    server.put(&blob).await?;
    let wrong = blob.with_size(101);
    match server.find_missing(std::slice::from_ref(&wrong)).await {
        Err(status) if status.code() == Code::InvalidArgument => {}
        answer => equal("the missing", &answer?, &vec![wrong])?,
    }
    ensure(!server.is_missing(&blob).await?, || "afterwards the blob itself is missing".to_owned())
}

async fn malformed(server: Server) -> Outcome {
    malformed::refused_by(&server, async |digest| server.find_missing(&[digest]).await).await
}

async fn foreign_function(server: Server) -> Outcome {
    let request = FindMissingBlobsRequest {
        instance_name: server.instance_name(),
        blob_digests: vec![server.random(10).digest],
        digest_function: server.offers.foreign_function(),
    };
    refused(server.cas().find_missing_blobs(request).await, &[Code::InvalidArgument])
}

async fn other_function(server: Server) -> Outcome {
    let request = FindMissingBlobsRequest {
        instance_name: server.instance_name(),
        blob_digests: vec![Digest { hash: "0123456789".repeat(2), size_bytes: 10 }],
        digest_function: server.function().value() as i32,
    };
    refused(server.cas().find_missing_blobs(request).await, &[Code::InvalidArgument])
}
