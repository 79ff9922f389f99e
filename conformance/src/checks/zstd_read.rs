//! ByteStream.Read of `compressed-blobs/zstd`.

use tonic::Code;

use super::zstd_write::{compressed, decompressed};
use crate::calls::messages;
use crate::check::{EXECUTION, Suite};
use crate::client::Server;
use crate::digest::Blob;
use crate::expect::{Outcome, refused, same_bytes};
use crate::offers::Need;

pub(super) fn register(suite: &mut Suite) {
    let form = "ContentAddressableStorage: {instance_name}/compressed-blobs/{compressor}/…";
    let offset = "ContentAddressableStorage: read_offset refers to the uncompressed form";
    let every = "ContentAddressableStorage: every blob in each of the formats, and uncompressed";
    suite
        .group("ByteStream.Read", EXECUTION)
        .needing(&[Need::Zstd])
        .check("A blob that came as it is is read as zstd", every, plain_as_zstd)
        .check("A blob that came as zstd is read as zstd", every, zstd_as_zstd)
        .check("A blob that came as zstd is read as it is, with offset and limit", every, zstd_as_plain)
        .check("The offset of a zstd read counts uncompressed bytes", offset, offset_of_plain)
        .check("The offset of a zstd read counts uncompressed bytes of what came as zstd", offset, offset_of_zstd)
        .check("A zstd read from the very end is empty", offset, at_end)
        .check(
            "A zstd read past the end is OUT_OF_RANGE",
            "ReadRequest.read_offset: greater than the size is OUT_OF_RANGE",
            past_end,
        )
        .check(
            "A zstd read from a negative offset is OUT_OF_RANGE",
            "ReadRequest.read_offset: negative is OUT_OF_RANGE",
            negative,
        )
        .check(
            "A zstd read with a limit is INVALID_ARGUMENT",
            "ContentAddressableStorage: INVALID_ARGUMENT if read_limit is not zero",
            limit,
        )
        .check("An absent blob is NOT_FOUND as zstd", form, absent)
        .check("The empty blob is read as zstd", "ContentAddressableStorage: empty blobs are always available", empty);
}

/// A blob that was uploaded as zstd.
async fn as_zstd(server: &Server, blob: Blob) -> Outcome<Blob> {
    let name = server.zstd_upload_name_of(&blob.digest);
    server.write(messages(&name, &compressed(&blob.data), 100_000)).await?;
    Ok(blob)
}

/// A blob that was uploaded as it is.
async fn as_it_is(server: &Server, blob: Blob) -> Outcome<Blob> {
    server.put(&blob).await?;
    Ok(blob)
}

/// What is read as zstd from `offset` on decodes to the end of the blob.
async fn reads(server: &Server, blob: &Blob, offset: usize) -> Outcome {
    let read = server.read(&server.zstd_name(blob), i64::try_from(offset).unwrap_or(0), 0).await?;
    same_bytes(&format!("what is from {offset} on"), &decompressed(&read)?, &blob.data[offset..])
}

async fn plain_as_zstd(server: Server) -> Outcome {
    for blob in [server.text(1), server.text(3_000_000), server.random(3_000_000)] {
        reads(&server, &as_it_is(&server, blob).await?, 0).await?;
    }
    Ok(())
}

async fn zstd_as_zstd(server: Server) -> Outcome {
    for blob in [server.text(1), server.text(3_000_000), server.random(3_000_000)] {
        reads(&server, &as_zstd(&server, blob).await?, 0).await?;
    }
    Ok(())
}

async fn zstd_as_plain(server: Server) -> Outcome {
    let blob = as_zstd(&server, server.text(3_000_000)).await?;
    for (offset, limit) in [(0, 1), (1, 0), (65_536, 70_000), (2_999_999, 5), (3_000_000, 0)] {
        let read = server.read(&server.name(&blob), offset, limit).await?;
        let from = usize::try_from(offset).unwrap_or(0);
        let most = if limit == 0 { usize::MAX } else { usize::try_from(limit).unwrap_or(0) };
        let end = blob.data.len().min(from.saturating_add(most));
        same_bytes(&format!("{limit} bytes from {offset} on"), &read, &blob.data[from..end])?;
    }
    Ok(())
}

async fn offset_of_plain(server: Server) -> Outcome {
    let blob = as_it_is(&server, server.text(300_000)).await?;
    for offset in [1, 65_536, 299_999] {
        reads(&server, &blob, offset).await?;
    }
    Ok(())
}

async fn offset_of_zstd(server: Server) -> Outcome {
    let blob = as_zstd(&server, server.text(300_000)).await?;
    for offset in [1, 65_536, 299_999] {
        reads(&server, &blob, offset).await?;
    }
    Ok(())
}

async fn at_end(server: Server) -> Outcome {
    let blob = as_it_is(&server, server.text(1000)).await?;
    reads(&server, &blob, 1000).await
}

async fn past_end(server: Server) -> Outcome {
    let blob = as_it_is(&server, server.text(1000)).await?;
    refused(server.read(&server.zstd_name(&blob), 1001, 0).await, &[Code::OutOfRange])
}

async fn negative(server: Server) -> Outcome {
    let blob = as_it_is(&server, server.text(1000)).await?;
    refused(server.read(&server.zstd_name(&blob), -1, 0).await, &[Code::OutOfRange])
}

async fn limit(server: Server) -> Outcome {
    let blob = as_it_is(&server, server.text(1000)).await?;
    refused(server.read(&server.zstd_name(&blob), 0, 10).await, &[Code::InvalidArgument])
}

async fn absent(server: Server) -> Outcome {
    refused(server.read(&server.zstd_name(&server.text(1000)), 0, 0).await, &[Code::NotFound])
}

async fn empty(server: Server) -> Outcome {
    reads(&server, &server.random(0), 0).await
}
