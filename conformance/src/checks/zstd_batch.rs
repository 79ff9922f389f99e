//! BatchUpdateBlobs and BatchReadBlobs with zstd.

use bazel_remote_apis::build::bazel::remote::execution::v2::batch_update_blobs_request::Request;
use bazel_remote_apis::build::bazel::remote::execution::v2::compressor::Value as Compressor;
use tonic::Code;

use super::zstd_write::{compressed, decompressed};
use crate::calls::{upload, upload_as};
use crate::check::{EXECUTION, Suite};
use crate::client::Server;
use crate::digest::Blob;
use crate::expect::{Outcome, answered, differs, ensure, equal, refused, same_bytes};
use crate::offers::Need;

pub(super) fn register(suite: &mut Suite) {
    let data = "BatchUpdateBlobsRequest.Request.compressor: the format of data";
    let mismatch = "BatchUpdateBlobs, errors of a blob: INVALID_ARGUMENT if the digest is not that of the data";
    suite
        .group("BatchUpdateBlobs", EXECUTION)
        .needing(&[Need::BatchZstd])
        .check("A blob that comes as zstd is stored", data, stored)
        .check("The empty blob may come as zstd", data, empty)
        .check("zstd and other blobs may come together", data, together)
        .check("Several zstd frames are one blob", "RFC 8878: frames may be concatenated", frames)
        .check("zstd of another blob is INVALID_ARGUMENT and not kept", mismatch, other_blob)
        .check("zstd that is cut off is INVALID_ARGUMENT and not kept", mismatch, cut_off)
        .check("Bytes that are no zstd are INVALID_ARGUMENT and not kept", mismatch, no_zstd)
        .check("zstd with bytes behind it is INVALID_ARGUMENT and not kept", mismatch, trailing)
        .check("zstd of more bytes than the size is INVALID_ARGUMENT and not kept", mismatch, longer);
    let acceptable = "BatchReadBlobsRequest.acceptable_compressors: encodings that the client takes";
    suite
        .group("BatchReadBlobs", EXECUTION)
        .needing(&[Need::BatchZstd])
        .check("Where zstd is acceptable, blobs come as zstd or as they are", acceptable, read)
        .check("Where zstd is acceptable, what came as zstd is read", acceptable, read_back)
        .check("Where zstd is not acceptable, what came as zstd is decoded", acceptable, read_decoded)
        .check("The empty blob is read where zstd is acceptable", acceptable, read_empty);
}

fn zstd_upload(blob: &Blob, data: Vec<u8>) -> Request {
    upload_as(&blob.digest, data, Compressor::Zstd)
}

async fn ok(server: &Server, requests: Vec<Request>) -> Outcome {
    for response in server.batch_update(requests).await? {
        answered("a blob", response.status.as_ref(), &[Code::Ok])?;
    }
    Ok(())
}

/// `data` is refused as the zstd of `blob`, and the blob is not there.
async fn not_kept(server: &Server, blob: &Blob, data: Vec<u8>) -> Outcome {
    match server.batch_update(vec![zstd_upload(blob, data)]).await {
        Ok(responses) => {
            let status = responses.first().and_then(|response| response.status.as_ref());
            answered("the blob", status, &[Code::InvalidArgument])?;
        }
        refusal => refused(refusal, &[Code::InvalidArgument])?,
    }
    ensure(server.is_missing(blob).await?, || "the blob is there".to_owned())
}

async fn stored(server: Server) -> Outcome {
    for blob in [server.text(100_000), server.random(100_000), server.text(1)] {
        ok(&server, vec![zstd_upload(&blob, compressed(&blob.data))]).await?;
        same_bytes("the blob", &server.get(&blob).await?, &blob.data)?;
    }
    Ok(())
}

async fn empty(server: Server) -> Outcome {
    ok(&server, vec![zstd_upload(&server.random(0), compressed(&[]))]).await
}

async fn together(server: Server) -> Outcome {
    let (one, other) = (server.text(10_000), server.text(10_000));
    ok(&server, vec![zstd_upload(&one, compressed(&one.data)), upload(&other)]).await?;
    same_bytes("the one", &server.get(&one).await?, &one.data)?;
    same_bytes("the other", &server.get(&other).await?, &other.data)
}

async fn frames(server: Server) -> Outcome {
    let blob = server.text(10_000);
    let (front, back) = blob.data.split_at(4000);
    let frames = [compressed(front), compressed(back)].concat();
    ok(&server, vec![zstd_upload(&blob, frames)]).await?;
    same_bytes("the blob", &server.get(&blob).await?, &blob.data)
}

async fn other_blob(server: Server) -> Outcome {
    not_kept(&server, &server.text(10_000), compressed(&server.text(10_000).data)).await
}

async fn cut_off(server: Server) -> Outcome {
    let blob = server.random(10_000);
    let mut data = compressed(&blob.data);
    data.truncate(data.len() - 10);
    not_kept(&server, &blob, data).await
}

async fn no_zstd(server: Server) -> Outcome {
    let blob = server.random(10_000);
    not_kept(&server, &blob, blob.data.clone()).await
}

async fn trailing(server: Server) -> Outcome {
    let blob = server.random(10_000);
    not_kept(&server, &blob, [compressed(&blob.data), b"behind".to_vec()].concat()).await
}

async fn longer(server: Server) -> Outcome {
    let blob = server.text(10_000);
    let shorter = Blob { digest: blob.with_size(9_999), ..blob.clone() };
    not_kept(&server, &shorter, compressed(&blob.data)).await
}

/// `blob` is read with zstd acceptable.
async fn read_zstd(server: &Server, blob: &Blob) -> Outcome {
    let responses = server.batch_read(std::slice::from_ref(&blob.digest), &[Compressor::Zstd]).await?;
    let Some(response) = responses.into_iter().next() else { return differs("there is no response") };
    answered("the blob", response.status.as_ref(), &[Code::Ok])?;
    let data = match Compressor::try_from(response.compressor) {
        Ok(Compressor::Identity) => response.data,
        Ok(Compressor::Zstd) => decompressed(&response.data)?,
        _ => return differs(format!("compressor {} was not acceptable", response.compressor)),
    };
    same_bytes("the blob", &data, &blob.data)
}

async fn read(server: Server) -> Outcome {
    for blob in [server.text(100_000), server.random(100_000)] {
        server.put(&blob).await?;
        read_zstd(&server, &blob).await?;
    }
    Ok(())
}

async fn read_back(server: Server) -> Outcome {
    let blob = server.text(100_000);
    ok(&server, vec![zstd_upload(&blob, compressed(&blob.data))]).await?;
    read_zstd(&server, &blob).await
}

async fn read_decoded(server: Server) -> Outcome {
    let blob = server.text(100_000);
    ok(&server, vec![zstd_upload(&blob, compressed(&blob.data))]).await?;
    let responses = server.batch_read(std::slice::from_ref(&blob.digest), &[]).await?;
    let Some(response) = responses.into_iter().next() else { return differs("there is no response") };
    equal("the compressor", &response.compressor, &(Compressor::Identity as i32))?;
    same_bytes("the blob", &response.data, &blob.data)
}

async fn read_empty(server: Server) -> Outcome {
    read_zstd(&server, &server.random(0)).await
}
