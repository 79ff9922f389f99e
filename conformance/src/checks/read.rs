//! ByteStream.Read.
//! Not here: compressed reads (`zstd_read`).

use bazel_remote_apis::google::bytestream::ReadRequest;
use tonic::Code;

use super::malformed;
use crate::check::{BYTE_STREAM, EXECUTION, Suite};
use crate::client::Server;
use crate::digest::Blob;
use crate::expect::{Outcome, equal, refused, same_bytes};
use crate::names::path;

/// More than any one message.
const LARGE: usize = 9 << 20;

pub(super) fn register(suite: &mut Suite) {
    let offset = "ReadRequest.read_offset: the offset of the first byte";
    let range = "ReadRequest.read_offset: negative or greater than the size is OUT_OF_RANGE";
    let limit = "ReadRequest.read_limit: the most bytes of all messages; zero is no limit";
    let mut group = suite.group("ByteStream.Read", BYTE_STREAM);
    group
        .check("A blob is read whole", "Read: the contents of a resource as a sequence of bytes", whole)
        .check(
            "A large blob comes in messages of less than 4 MiB",
            "Read: a sequence of responses; gRPC's usual limit",
            large,
        )
        .check("A read begins at its offset", offset, from_offset)
        .check("A read from the very end is empty", range, at_end)
        .check("An offset past the end is OUT_OF_RANGE", range, past_end)
        .check("A negative offset is OUT_OF_RANGE", range, negative_offset)
        .check("A read ends at its limit", limit, limited)
        .check("Offset and limit go together", limit, middle)
        .check(
            "A limit beyond the end is none",
            "ReadRequest.read_limit: fewer bytes mean the end of the resource",
            limit_beyond,
        )
        .check(
            "A negative limit is an error",
            "ReadRequest.read_limit: a negative one will cause an error",
            negative_limit,
        )
        .check("Two reads of a blob at once are both whole", "Read: the contents of a resource", at_once)
        .check("A read that is given up does no harm", "Read: a stream that the client may cancel", given_up);
    suite
        .group("ByteStream.Read", EXECUTION)
        .check(
            "An absent blob is NOT_FOUND",
            "Read of a blob that is not in the CAS; google.rpc.Code.NOT_FOUND",
            absent,
        )
        .check(
            "The hash of a blob with another size is another blob",
            "Digest: the size is an integral part of it",
            other_size,
        )
        .check(
            "The empty blob is read without having been uploaded",
            "ContentAddressableStorage: empty blobs are always available",
            empty,
        )
        .check(
            "A malformed name is INVALID_ARGUMENT",
            "ContentAddressableStorage: {instance_name}/blobs/{digest_function/}{hash}/{size}",
            malformed_name,
        )
        .check(
            "A header that repeats the name changes nothing",
            "ContentAddressableStorage: build.bazel.remote.execution.v2.resource-name",
            header,
        );
}

async fn uploaded(server: &Server, length: usize) -> Outcome<Blob> {
    let blob = server.random(length);
    server.put(&blob).await?;
    Ok(blob)
}

async fn whole(server: Server) -> Outcome {
    for length in [1, 100, 4096, 65_536, 65_537, 1_000_000] {
        let blob = uploaded(&server, length).await?;
        same_bytes("the blob", &server.get(&blob).await?, &blob.data)?;
    }
    Ok(())
}

async fn large(server: Server) -> Outcome {
    let blob = uploaded(&server, LARGE).await?;
    same_bytes("the blob", &server.get(&blob).await?, &blob.data)
}

async fn from_offset(server: Server) -> Outcome {
    let blob = uploaded(&server, 200_000).await?;
    for offset in [1, 100, 65_535, 65_536, 199_999] {
        let read = server.read(&server.name(&blob), offset, 0).await?;
        let from = usize::try_from(offset).unwrap_or(0);
        same_bytes(&format!("what is from {offset} on"), &read, &blob.data[from..])?;
    }
    Ok(())
}

async fn at_end(server: Server) -> Outcome {
    let blob = uploaded(&server, 100).await?;
    same_bytes("the end", &server.read(&server.name(&blob), 100, 0).await?, &[])
}

async fn past_end(server: Server) -> Outcome {
    let blob = uploaded(&server, 100).await?;
    for offset in [101, i64::MAX] {
        refused(server.read(&server.name(&blob), offset, 0).await, &[Code::OutOfRange])?;
    }
    Ok(())
}

async fn negative_offset(server: Server) -> Outcome {
    let blob = uploaded(&server, 100).await?;
    for offset in [-1, i64::MIN] {
        refused(server.read(&server.name(&blob), offset, 0).await, &[Code::OutOfRange])?;
    }
    Ok(())
}

async fn limited(server: Server) -> Outcome {
    let blob = uploaded(&server, 200_000).await?;
    for limit in [1, 65_536, 100_000, 199_999, 200_000] {
        let read = server.read(&server.name(&blob), 0, limit).await?;
        let end = usize::try_from(limit).unwrap_or(0);
        same_bytes(&format!("what is before {limit}"), &read, &blob.data[..end])?;
    }
    Ok(())
}

async fn middle(server: Server) -> Outcome {
    let blob = uploaded(&server, 200_000).await?;
    same_bytes("the middle", &server.read(&server.name(&blob), 65_000, 70_000).await?, &blob.data[65_000..135_000])
}

async fn limit_beyond(server: Server) -> Outcome {
    let blob = uploaded(&server, 1000).await?;
    same_bytes("the rest", &server.read(&server.name(&blob), 900, 1000).await?, &blob.data[900..])?;
    same_bytes("the rest", &server.read(&server.name(&blob), 900, i64::MAX).await?, &blob.data[900..])
}

async fn negative_limit(server: Server) -> Outcome {
    let blob = uploaded(&server, 100).await?;
    let codes = [Code::InvalidArgument, Code::OutOfRange];
    refused(server.read(&server.name(&blob), 0, -1).await, &codes)
}

async fn at_once(server: Server) -> Outcome {
    let blob = uploaded(&server, LARGE).await?;
    let (one, other) = tokio::join!(server.get(&blob), server.get(&blob));
    same_bytes("the one", &one?, &blob.data)?;
    same_bytes("the other", &other?, &blob.data)
}

async fn given_up(server: Server) -> Outcome {
    let blob = uploaded(&server, LARGE).await?;
    let request = ReadRequest { resource_name: server.name(&blob), ..ReadRequest::default() };
    let mut stream = server.byte_stream().read(request).await?.into_inner();
    stream.message().await?;
    drop(stream);
    same_bytes("the blob", &server.get(&blob).await?, &blob.data)
}

async fn absent(server: Server) -> Outcome {
    refused(server.get(&server.random(100)).await, &[Code::NotFound])
}

async fn other_size(server: Server) -> Outcome {
    let blob = uploaded(&server, 100).await?;
    let wrong = server.name_of(&blob.with_size(101));
    refused(server.read(&wrong, 0, 0).await, &[Code::NotFound, Code::InvalidArgument])?;
    same_bytes("the blob", &server.get(&blob).await?, &blob.data)
}

async fn empty(server: Server) -> Outcome {
    same_bytes("the empty blob", &server.get(&server.random(0)).await?, &[])
}

async fn malformed_name(server: Server) -> Outcome {
    for name in malformed::names(&server) {
        let answer = server.read(&format!("{}{name}", server.prefix()), 0, 0).await;
        refused(answer, &[Code::InvalidArgument]).map_err(|difference| difference.about(&format!("{name:?}")))?;
    }
    Ok(())
}

async fn header(server: Server) -> Outcome {
    let blob = uploaded(&server, 100).await?;
    let name = format!("{}blobs/{}", server.prefix(), path(blob.function, &blob.digest));
    let mut request = tonic::Request::new(ReadRequest { resource_name: name.clone(), ..ReadRequest::default() });
    let Ok(value) = name.parse() else { return Ok(()) };
    request.metadata_mut().insert("build.bazel.remote.execution.v2.resource-name", value);
    let mut stream = server.byte_stream().read(request).await?.into_inner();
    equal("the blob", &stream.message().await?.map(|part| part.data), &Some(blob.data))
}
