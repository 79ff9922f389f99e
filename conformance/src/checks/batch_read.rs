//! BatchReadBlobs.
//! Not here: compressed ones (`zstd_batch`).

use bazel_remote_apis::build::bazel::remote::execution::v2::batch_read_blobs_response::Response;
use bazel_remote_apis::build::bazel::remote::execution::v2::compressor::Value as Compressor;
use bazel_remote_apis::build::bazel::remote::execution::v2::{BatchReadBlobsRequest, Digest};
use tonic::Code;

use super::malformed;
use crate::check::{EXECUTION, Suite};
use crate::client::Server;
use crate::digest::Blob;
use crate::expect::{Outcome, answered, differs, equal, refused, same_bytes};
use crate::offers::Need;

pub(super) fn register(suite: &mut Suite) {
    let status = "BatchReadBlobs: every error of a read is in the status of its digest";
    let mut group = suite.group("BatchReadBlobs", EXECUTION);
    group
        .check("Every digest has a response, with its bytes", "BatchReadBlobsResponse.responses", read)
        .check("No digests, no responses", "BatchReadBlobsResponse.responses", nothing)
        .check(
            "A digest that is asked for twice is answered as any other",
            "BatchReadBlobsResponse.responses",
            duplicates,
        )
        .check(
            "The empty blob is read without having been uploaded",
            "ContentAddressableStorage: empty blobs are always available",
            empty,
        )
        .check("An absent blob is NOT_FOUND in its status", status, absent)
        .check(
            "One absent blob does not fail the others",
            "BatchReadBlobs: requests may succeed or fail independently",
            independent,
        )
        .check(
            "The hash of a blob with another size is another blob",
            "Digest: the size is an integral part of it",
            other_size,
        )
        .check("A malformed digest is INVALID_ARGUMENT", status, malformed)
        .check(
            "Without acceptable compressors blobs come as they are",
            "BatchReadBlobsRequest.acceptable_compressors: identity is always allowed",
            identity,
        )
        .check(
            "A compressor that is not offered is passed over",
            "BatchReadBlobsRequest.acceptable_compressors: identity is always allowed",
            foreign_compressor,
        )
        .check(
            "A digest function that is not offered is INVALID_ARGUMENT",
            "BatchReadBlobsRequest.digest_function: one that the capabilities announce",
            foreign_function,
        );
    group
        .needing(&[Need::BatchLimit])
        .check("Blobs of exactly the limit are read", "CacheCapabilities.max_batch_total_size_bytes", limit)
        .check(
            "More than the limit is INVALID_ARGUMENT",
            "BatchReadBlobs, errors: INVALID_ARGUMENT for more than the limit",
            over_limit,
        );
}

/// The response about `blob` is OK and has its bytes, as they are.
fn has(responses: &[Response], blob: &Blob) -> Outcome {
    let Some(response) = responses.iter().find(|response| response.digest.as_ref() == Some(&blob.digest)) else {
        return differs(format!("no response is about {:?}", blob.digest));
    };
    answered("a blob", response.status.as_ref(), &[Code::Ok])?;
    equal("the compressor", &response.compressor, &(Compressor::Identity as i32))?;
    same_bytes("a blob", &response.data, &blob.data)
}

async fn uploaded(server: &Server, lengths: &[usize]) -> Outcome<Vec<Blob>> {
    let blobs: Vec<Blob> = lengths.iter().map(|length| server.random(*length)).collect();
    for blob in &blobs {
        server.put(blob).await?;
    }
    Ok(blobs)
}

fn digests(blobs: &[Blob]) -> Vec<Digest> {
    blobs.iter().map(|blob| blob.digest.clone()).collect()
}

/// All blobs are read, as they are.
async fn all_read(server: &Server, blobs: &[Blob], compressors: &[Compressor]) -> Outcome {
    let responses = server.batch_read(&digests(blobs), compressors).await?;
    equal("the number of responses", &responses.len(), &blobs.len())?;
    blobs.iter().try_for_each(|blob| has(&responses, blob))
}

async fn read(server: Server) -> Outcome {
    let blobs = uploaded(&server, &[1, 100, 4096, 100_000]).await?;
    all_read(&server, &blobs, &[]).await
}

async fn nothing(server: Server) -> Outcome {
    equal("the responses", &server.batch_read(&[], &[]).await?, &Vec::new())
}

async fn duplicates(server: Server) -> Outcome {
    let blobs = uploaded(&server, &[100]).await?;
    let twice = digests(&[blobs.clone(), blobs.clone()].concat());
    let responses = server.batch_read(&twice, &[]).await?;
    for response in &responses {
        has(std::slice::from_ref(response), &blobs[0])?;
    }
    has(&responses, &blobs[0])
}

async fn empty(server: Server) -> Outcome {
    all_read(&server, &[server.random(0)], &[]).await
}

async fn absent(server: Server) -> Outcome {
    let responses = server.batch_read(&[server.random(100).digest], &[]).await?;
    equal("the number of responses", &responses.len(), &1)?;
    answered("the blob", responses[0].status.as_ref(), &[Code::NotFound])
}

async fn independent(server: Server) -> Outcome {
    let blobs = uploaded(&server, &[100, 100]).await?;
    let absent = server.random(100);
    let all = [blobs[0].clone(), absent.clone(), blobs[1].clone()];
    let responses = server.batch_read(&digests(&all), &[]).await?;
    equal("the number of responses", &responses.len(), &3)?;
    blobs.iter().try_for_each(|blob| has(&responses, blob))
}

async fn other_size(server: Server) -> Outcome {
    let blobs = uploaded(&server, &[100]).await?;
    match server.batch_read(&[blobs[0].with_size(99)], &[]).await {
        Ok(responses) => {
            let status = responses.first().and_then(|response| response.status.as_ref());
            answered("the blob", status, &[Code::NotFound, Code::InvalidArgument])?;
        }
        refusal => refused(refusal, &[Code::InvalidArgument])?,
    }
    all_read(&server, &blobs, &[]).await
}

async fn malformed(server: Server) -> Outcome {
    for (what, digest) in malformed::digests(&server) {
        let refusal = match server.batch_read(&[digest], &[]).await {
            Ok(responses) => {
                let status = responses.first().and_then(|response| response.status.as_ref());
                answered("the blob", status, &[Code::InvalidArgument])
            }
            refusal => refused(refusal, &[Code::InvalidArgument]),
        };
        refusal.map_err(|difference| difference.about(what))?;
    }
    Ok(())
}

async fn identity(server: Server) -> Outcome {
    let text = server.text(10_000);
    server.put(&text).await?;
    all_read(&server, &[text], &[]).await
}

async fn foreign_compressor(server: Server) -> Outcome {
    let offered = &server.offers.cache.supported_batch_update_compressors;
    let all = [Compressor::Brotli, Compressor::Deflate, Compressor::Zstd];
    let foreign: Vec<Compressor> = all.into_iter().filter(|it| !offered.contains(&(*it as i32))).collect();
    let blobs = uploaded(&server, &[100]).await?;
    all_read(&server, &blobs, &foreign).await
}

async fn foreign_function(server: Server) -> Outcome {
    let request = BatchReadBlobsRequest {
        instance_name: server.instance_name(),
        digests: vec![server.random(10).digest],
        acceptable_compressors: Vec::new(),
        digest_function: server.offers.foreign_function(),
    };
    refused(server.cas().batch_read_blobs(request).await, &[Code::InvalidArgument])
}

/// Two blobs that fill the limit to the last byte, and `more` bytes.
async fn filling(server: &Server, more: usize) -> Outcome<Vec<Blob>> {
    let limit = usize::try_from(server.offers.cache.max_batch_total_size_bytes).unwrap_or(0);
    uploaded(server, &[limit / 2, limit - limit / 2 + more]).await
}

async fn limit(server: Server) -> Outcome {
    let blobs = filling(&server, 0).await?;
    all_read(&server, &blobs, &[]).await
}

async fn over_limit(server: Server) -> Outcome {
    let blobs = filling(&server, 1).await?;
    refused(server.batch_read(&digests(&blobs), &[]).await, &[Code::InvalidArgument])
}
