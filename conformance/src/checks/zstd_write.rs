//! ByteStream.Write of `compressed-blobs/zstd`.

use std::io::Write as _;

use bazel_remote_apis::google::bytestream::WriteRequest;
use futures_channel::mpsc;
use tonic::Code;

use crate::calls::{AHEAD, messages};
use crate::check::{EXECUTION, Suite};
use crate::client::Server;
use crate::digest::{Blob, length};
use crate::expect::{Outcome, differs, ensure, equal, refused, same_bytes, soon};
use crate::offers::Need;

/// What a bomb decodes to, in bytes.
const BOMB: usize = 1 << 30;

/// The largest window that every decoder should take, as a power of two: RFC 8878 names 8 MiB.
const WINDOW: u32 = 23;

pub(super) fn register(suite: &mut Suite) {
    let verify =
        "ContentAddressableStorage: what was uploaded is verified once uncompressed, INVALID_ARGUMENT on mismatch";
    let frames = "RFC 8878: frames may be concatenated; skippable ones are passed over";
    let exists =
        "ContentAddressableStorage: an upload that another client has completed ends at once, with -1 if compressed";
    suite
        .group("ByteStream.Write", EXECUTION)
        .needing(&[Need::Zstd])
        .check(
            "A blob that comes as zstd is stored",
            "ContentAddressableStorage: uploads/{uuid}/compressed-blobs/{compressor}/…",
            stored,
        )
        .check("zstd in messages of one byte is stored", "WriteRequest.data: a portion of the data", single_bytes)
        .check(
            "zstd of every level is stored",
            "ContentAddressableStorage: {compressor}, the lowercase name of a Compressor",
            levels,
        )
        .check("zstd that does not tell its length is stored", "RFC 8878: Frame_Content_Size is optional", streamed)
        .check("zstd with a window of 8 MiB is stored", "RFC 8878: decoders should support at least 8 MiB", wide_window)
        .check("Several zstd frames are one blob", frames, several_frames)
        .check("A skippable frame is no part of the blob", frames, skippable)
        .check("The empty blob may come as zstd", "ContentAddressableStorage: empty blobs are always available", empty)
        .check(
            "committed_size of zstd is -1 or a number of bytes processed",
            "WriteResponse.committed_size: the bytes that have been processed",
            committed,
        )
        .check("A blob that exists is answered with -1 before it is sent as zstd", exists, exists_early)
        .check(
            "A blob comes as zstd and as it is at once",
            "ContentAddressableStorage: concurrent uploads in any form",
            both_forms,
        )
        .check("zstd of another blob is INVALID_ARGUMENT and not kept", verify, other_blob)
        .check("zstd of more bytes than the size is INVALID_ARGUMENT and not kept", verify, longer)
        .check("zstd of fewer bytes than the size is INVALID_ARGUMENT and not kept", verify, shorter)
        .check("A frame that decodes to a gigabyte too much is INVALID_ARGUMENT", verify, bomb)
        .check("zstd that is cut off is INVALID_ARGUMENT and not kept", verify, cut_off)
        .check("zstd with bytes behind it is INVALID_ARGUMENT and not kept", verify, trailing)
        .check("Bytes that are no zstd are INVALID_ARGUMENT and not kept", verify, no_zstd)
        .check(
            "An offset of compressed bytes that leaves a gap is an error",
            "WriteRequest.write_offset: first offset and the compressed bytes sent since",
            gap,
        );
}

pub(super) fn compressed(data: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(data, 3).unwrap_or_default()
}

pub(super) fn decompressed(data: &[u8]) -> Outcome<Vec<u8>> {
    zstd::stream::decode_all(data).or_else(|error| differs(format!("no zstd: {error}")))
}

/// zstd as a stream makes it: without the length.
fn streamed_zstd(data: &[u8], window: Option<u32>) -> Outcome<Vec<u8>> {
    let encode = || {
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1)?;
        if let Some(window) = window {
            encoder.window_log(window)?;
        }
        encoder.write_all(data)?;
        encoder.finish()
    };
    encode().or_else(|error| differs(format!("zstd of this suite: {error}")))
}

async fn write(server: &Server, blob: &Blob, data: &[u8], chunk: usize) -> Result<i64, tonic::Status> {
    server.write(messages(&server.zstd_upload_name_of(&blob.digest), data, chunk)).await
}

/// `data` is taken as the zstd of `blob`, which is read back as it is.
async fn taken(server: &Server, blob: &Blob, data: &[u8]) -> Outcome {
    write(server, blob, data, 100_000).await?;
    same_bytes("the blob", &server.get(blob).await?, &blob.data)
}

/// `data` is refused as the zstd of `blob`, and the blob is not there.
async fn not_kept(server: &Server, blob: &Blob, data: &[u8]) -> Outcome {
    refused(soon("the answer", write(server, blob, data, 100_000)).await?, &[Code::InvalidArgument])?;
    ensure(server.is_missing(blob).await?, || "the blob is there".to_owned())
}

async fn stored(server: Server) -> Outcome {
    for blob in [server.text(1), server.text(3_000_000), server.random(3_000_000)] {
        taken(&server, &blob, &compressed(&blob.data)).await?;
    }
    Ok(())
}

async fn single_bytes(server: Server) -> Outcome {
    let blob = server.text(100_000);
    write(&server, &blob, &compressed(&blob.data), 1).await?;
    same_bytes("the blob", &server.get(&blob).await?, &blob.data)
}

async fn levels(server: Server) -> Outcome {
    for level in [-5, 1, 3, 9, 19] {
        let blob = server.text(200_000);
        taken(&server, &blob, &zstd::bulk::compress(&blob.data, level).unwrap_or_default()).await?;
    }
    Ok(())
}

async fn streamed(server: Server) -> Outcome {
    let blob = server.text(300_000);
    taken(&server, &blob, &streamed_zstd(&blob.data, None)?).await
}

async fn wide_window(server: Server) -> Outcome {
    let blob = server.random(9 << 20);
    taken(&server, &blob, &streamed_zstd(&blob.data, Some(WINDOW))?).await
}

async fn several_frames(server: Server) -> Outcome {
    let blob = server.text(300_000);
    let frames: Vec<u8> = blob.data.chunks(70_000).flat_map(compressed).collect();
    taken(&server, &blob, &frames).await
}

async fn skippable(server: Server) -> Outcome {
    let blob = server.text(10_000);
    let skipped = [&0x184D_2A50_u32.to_le_bytes()[..], &4_u32.to_le_bytes(), b"note"].concat();
    taken(&server, &blob, &[skipped, compressed(&blob.data)].concat()).await
}

async fn empty(server: Server) -> Outcome {
    write(&server, &server.random(0), &compressed(&[]), 100).await.map(drop).map_err(Into::into)
}

async fn committed(server: Server) -> Outcome {
    let blob = server.text(100_000);
    let data = compressed(&blob.data);
    let committed = write(&server, &blob, &data, 100).await?;
    let valid = [-1, length(&data), blob.digest.size_bytes];
    ensure(valid.contains(&committed), || format!("expected one of {valid:?}, got {committed}"))
}

async fn exists_early(server: Server) -> Outcome {
    let blob = server.text(100_000);
    server.put(&blob).await?;
    let (mut sender, receiver) = mpsc::channel(AHEAD);
    let message = WriteRequest {
        resource_name: server.zstd_upload_name_of(&blob.digest),
        data: compressed(&blob.data)[..10].to_vec(),
        ..WriteRequest::default()
    };
    let _ = sender.try_send(message);
    let answer = soon("the answer to the first message", server.byte_stream().write(receiver)).await??;
    drop(sender);
    equal("committed_size", &answer.into_inner().committed_size, &-1)
}

async fn both_forms(server: Server) -> Outcome {
    let blob = server.text(3_000_000);
    let data = compressed(&blob.data);
    let (plain, zstd) = tokio::join!(server.put(&blob), write(&server, &blob, &data, 100));
    plain?;
    zstd?;
    same_bytes("the blob", &server.get(&blob).await?, &blob.data)
}

async fn other_blob(server: Server) -> Outcome {
    not_kept(&server, &server.text(100_000), &compressed(&server.text(100_000).data)).await
}

async fn longer(server: Server) -> Outcome {
    let blob = server.text(100_000);
    let claimed = Blob { digest: blob.with_size(99_999), ..blob.clone() };
    not_kept(&server, &claimed, &compressed(&blob.data)).await
}

async fn shorter(server: Server) -> Outcome {
    let blob = server.text(100_000);
    let claimed = Blob { digest: blob.with_size(100_001), ..blob.clone() };
    not_kept(&server, &claimed, &compressed(&blob.data)).await
}

async fn bomb(server: Server) -> Outcome {
    let zeros = vec![0; 1 << 20];
    let frame = streamed_zstd(&zeros, None)?;
    let bomb: Vec<u8> = std::iter::repeat_n(frame, BOMB >> 20).flatten().collect();
    not_kept(&server, &server.random(100_000), &bomb).await
}

async fn cut_off(server: Server) -> Outcome {
    let blob = server.random(100_000);
    let data = compressed(&blob.data);
    not_kept(&server, &blob, &data[..data.len() - 10]).await
}

async fn trailing(server: Server) -> Outcome {
    let blob = server.random(100_000);
    not_kept(&server, &blob, &[compressed(&blob.data), b"behind".to_vec()].concat()).await
}

async fn no_zstd(server: Server) -> Outcome {
    let blob = server.random(100_000);
    not_kept(&server, &blob, &blob.data).await
}

async fn gap(server: Server) -> Outcome {
    let blob = server.random(100_000);
    let mut messages = messages(&server.zstd_upload_name_of(&blob.digest), &compressed(&blob.data), 10_000);
    messages[1].write_offset += 1;
    let codes = [Code::InvalidArgument, Code::OutOfRange, Code::FailedPrecondition];
    refused(soon("the answer", server.write(messages)).await?, &codes)?;
    ensure(server.is_missing(&blob).await?, || "the blob is there".to_owned())
}
