//! BatchUpdateBlobs.
//! Not here: compressed ones (`zstd_batch`).

use bazel_remote_apis::build::bazel::remote::execution::v2::BatchUpdateBlobsRequest;
use bazel_remote_apis::build::bazel::remote::execution::v2::batch_update_blobs_request::Request;
use bazel_remote_apis::build::bazel::remote::execution::v2::compressor::Value as Compressor;
use tonic::Code;

use super::malformed;
use crate::calls::{upload, upload_as};
use crate::check::{EXECUTION, Suite};
use crate::client::Server;
use crate::digest::Blob;
use crate::expect::{Outcome, answered, ensure, equal, refused, same_bytes};
use crate::offers::Need;

pub(super) fn register(suite: &mut Suite) {
    let status = "BatchUpdateBlobsResponse.Response.status: the result of the attempt for each blob";
    let mismatch = "BatchUpdateBlobs, errors of a blob: INVALID_ARGUMENT if the digest is not that of the data";
    let mut group = suite.group("BatchUpdateBlobs", EXECUTION);
    group
        .check("Every blob has a status, and is there if it is OK", status, stored)
        .check("No blobs, no statuses", status, nothing)
        .check("A blob that is there already is OK", status, again)
        .check("A blob that comes twice is OK twice", status, duplicates)
        .check("The empty blob is OK", status, empty)
        .check("Bytes of another hash are INVALID_ARGUMENT and not kept", mismatch, wrong_hash)
        .check("Bytes of another length are INVALID_ARGUMENT and not kept", mismatch, wrong_size)
        .check(
            "One wrong blob does not fail the others",
            "BatchUpdateBlobs: requests may succeed or fail independently",
            independent,
        )
        .check("A malformed digest is INVALID_ARGUMENT", mismatch, malformed)
        .check("No digest is INVALID_ARGUMENT", mismatch, no_digest)
        .check(
            "A compressor that is not offered is INVALID_ARGUMENT",
            "BatchUpdateBlobsRequest.Request.compressor: identity or one that is advertised",
            foreign_compressor,
        )
        .check(
            "A digest function that is not offered is INVALID_ARGUMENT",
            "BatchUpdateBlobsRequest.digest_function: one that the capabilities announce",
            foreign_function,
        );
    group
        .needing(&[Need::BatchLimit])
        .check("Blobs of exactly the limit are taken", "CacheCapabilities.max_batch_total_size_bytes", limit)
        .check(
            "More than the limit is INVALID_ARGUMENT",
            "BatchUpdateBlobs, errors: INVALID_ARGUMENT for more than the limit",
            over_limit,
        );
}

/// One blob, refused with INVALID_ARGUMENT: in its status, or for all that the call says.
async fn invalid(server: &Server, request: Request) -> Outcome {
    match server.batch_update(vec![request]).await {
        Ok(responses) => {
            let status = responses.first().and_then(|response| response.status.as_ref());
            answered("the blob", status, &[Code::InvalidArgument])
        }
        refusal => refused(refusal, &[Code::InvalidArgument]),
    }
}

/// All blobs are answered with OK, and are there.
async fn all_stored(server: &Server, blobs: &[Blob]) -> Outcome {
    let responses = server.batch_update(blobs.iter().map(upload).collect()).await?;
    equal("the number of responses", &responses.len(), &blobs.len())?;
    for response in &responses {
        answered("a blob", response.status.as_ref(), &[Code::Ok])?;
    }
    for blob in blobs {
        let known = responses.iter().any(|response| response.digest.as_ref() == Some(&blob.digest));
        ensure(known, || format!("no response is about {:?}", blob.digest))?;
        same_bytes("a blob", &server.get(blob).await?, &blob.data)?;
    }
    Ok(())
}

async fn stored(server: Server) -> Outcome {
    let blobs: Vec<Blob> = [1, 100, 4096, 100_000].map(|length| server.random(length)).into();
    all_stored(&server, &blobs).await
}

async fn nothing(server: Server) -> Outcome {
    equal("the responses", &server.batch_update(Vec::new()).await?, &Vec::new())
}

async fn again(server: Server) -> Outcome {
    let blobs = [server.random(100)];
    all_stored(&server, &blobs).await?;
    all_stored(&server, &blobs).await
}

async fn duplicates(server: Server) -> Outcome {
    let blob = server.random(100);
    all_stored(&server, &[blob.clone(), blob]).await
}

async fn empty(server: Server) -> Outcome {
    all_stored(&server, &[server.random(0)]).await
}

async fn wrong_hash(server: Server) -> Outcome {
    let (claimed, sent) = (server.random(100), server.random(100));
    invalid(&server, upload_as(&claimed.digest, sent.data.clone(), Compressor::Identity)).await?;
    ensure(server.is_missing(&claimed).await?, || "what was claimed is there".to_owned())?;
    ensure(server.is_missing(&sent).await?, || "what was sent is there".to_owned())
}

async fn wrong_size(server: Server) -> Outcome {
    let blob = server.random(100);
    for size in [0, 99, 101] {
        let claimed = Blob { digest: blob.with_size(size), ..blob.clone() };
        invalid(&server, upload(&claimed)).await?;
        ensure(server.is_missing(&claimed).await?, || format!("it is there with {size} bytes"))?;
    }
    ensure(server.is_missing(&blob).await?, || "what was sent is there".to_owned())
}

async fn independent(server: Server) -> Outcome {
    let [first, wrong, last] = [100, 100, 100].map(|length| server.random(length));
    let bad = upload_as(&wrong.digest, vec![0; 100], Compressor::Identity);
    let responses = server.batch_update(vec![upload(&first), bad, upload(&last)]).await?;
    equal("the number of responses", &responses.len(), &3)?;
    for response in &responses {
        let is_wrong = response.digest.as_ref() == Some(&wrong.digest);
        let expected = if is_wrong { Code::InvalidArgument } else { Code::Ok };
        answered("a blob", response.status.as_ref(), &[expected])?;
    }
    same_bytes("the last blob", &server.get(&last).await?, &last.data)
}

async fn malformed(server: Server) -> Outcome {
    for (what, digest) in malformed::digests(&server) {
        let request = upload_as(&digest, vec![0; 10], Compressor::Identity);
        invalid(&server, request).await.map_err(|difference| difference.about(what))?;
    }
    Ok(())
}

async fn no_digest(server: Server) -> Outcome {
    invalid(&server, Request { digest: None, data: vec![0; 10], compressor: 0 }).await
}

async fn foreign_compressor(server: Server) -> Outcome {
    let offered = &server.offers.cache.supported_batch_update_compressors;
    let all = [Compressor::Brotli, Compressor::Deflate, Compressor::Zstd];
    let Some(foreign) = all.into_iter().find(|compressor| !offered.contains(&(*compressor as i32))) else {
        return Ok(());
    };
    let blob = server.random(100);
    invalid(&server, upload_as(&blob.digest, blob.data, foreign)).await
}

async fn foreign_function(server: Server) -> Outcome {
    let request = BatchUpdateBlobsRequest {
        instance_name: server.instance_name(),
        requests: vec![upload(&server.random(10))],
        digest_function: server.offers.foreign_function(),
    };
    refused(server.cas().batch_update_blobs(request).await, &[Code::InvalidArgument])
}

/// As many blobs as fill the limit to the last byte, and a few bytes more.
fn filling(server: &Server, more: usize) -> Vec<Blob> {
    let limit = usize::try_from(server.offers.cache.max_batch_total_size_bytes).unwrap_or(0);
    let (half, rest) = (limit / 2, limit - limit / 2);
    vec![server.random(half), server.random(rest + more)]
}

async fn limit(server: Server) -> Outcome {
    all_stored(&server, &filling(&server, 0)).await
}

async fn over_limit(server: Server) -> Outcome {
    let requests = filling(&server, 1).iter().map(upload).collect();
    refused(server.batch_update(requests).await, &[Code::InvalidArgument])
}
