//! ByteStream.Write, as it goes well.
//! Not here: errors (`write_errors`), compressed ones (`zstd_write`), and how to go on with one that was broken off (`query`).

use bazel_remote_apis::google::bytestream::WriteRequest;
use futures_channel::mpsc;
use tonic::Request;

use crate::calls::{AHEAD, messages};
use crate::check::{BYTE_STREAM, EXECUTION, Suite};
use crate::client::Server;
use crate::digest::Blob;
use crate::expect::{Outcome, equal, same_bytes, soon};

pub(super) fn register(suite: &mut Suite) {
    let data = "WriteRequest.data: a portion of the data; may be empty";
    let finish = "WriteRequest.finish_write: true on the last message";
    suite
        .group("ByteStream.Write", BYTE_STREAM)
        .check(
            "An upload in one message is stored",
            "Write: the contents of a resource as a sequence of bytes",
            one_message,
        )
        .check("An upload in messages of one byte is stored", data, single_bytes)
        .check("An upload in messages of 4 KiB is stored", data, small_messages)
        .check("An upload in messages of 2 MiB is stored", data, large_messages)
        .check("finish_write may come in an empty last message", finish, empty_last)
        .check("Empty messages in between are passed over", data, empty_between)
        .check(
            "The name may be repeated in every message",
            "WriteRequest.resource_name: if set later, it matches the first",
            name_repeated,
        )
        .check(
            "committed_size is the size of the blob",
            "WriteResponse.committed_size: the bytes that have been processed",
            committed,
        );
    let exists =
        "ContentAddressableStorage: an upload that another client has completed ends at once, with the full size";
    suite
        .group("ByteStream.Write", EXECUTION)
        .check("The empty blob is stored", "ContentAddressableStorage: empty blobs are always available", empty)
        .check("A blob that exists is answered with its full size", exists, exists_whole)
        .check("A blob that exists is answered with its full size from any offset on", exists, exists_further_on)
        .check("A blob that exists is answered before the client has sent it", exists, exists_early)
        .check(
            "Two uploads of a blob at once both succeed",
            "ContentAddressableStorage: uploads of the same data may occur concurrently",
            at_once,
        )
        .check("An upload goes on when another completes its blob", exists, overtaken)
        .check(
            "A name may end in metadata",
            "ContentAddressableStorage: {/optional_metadata}, which servers may ignore",
            metadata,
        )
        .check(
            "A UUID may serve for several blobs",
            "ContentAddressableStorage: clients may reuse the uuid for different blobs",
            same_uuid,
        )
        .check(
            "A header that repeats the name changes nothing",
            "ContentAddressableStorage: build.bazel.remote.execution.v2.resource-name",
            header,
        );
}

/// Uploads in messages of `chunk` bytes, and reads it back.
async fn stored(server: &Server, blob: &Blob, chunk: usize) -> Outcome {
    let committed = server.write(messages(&server.upload_name(blob), &blob.data, chunk)).await?;
    equal("committed_size", &committed, &blob.digest.size_bytes)?;
    same_bytes("the blob", &server.get(blob).await?, &blob.data)
}

async fn one_message(server: Server) -> Outcome {
    for length in [1, 2, 100, 65_536, 1_000_000] {
        stored(&server, &server.random(length), length).await?;
    }
    Ok(())
}

async fn single_bytes(server: Server) -> Outcome {
    stored(&server, &server.random(500), 1).await
}

async fn small_messages(server: Server) -> Outcome {
    stored(&server, &server.random(1_000_001), 4096).await
}

async fn large_messages(server: Server) -> Outcome {
    stored(&server, &server.random((5 << 20) + 1), 2 << 20).await
}

async fn empty_last(server: Server) -> Outcome {
    let blob = server.random(10_000);
    let mut messages = messages(&server.upload_name(&blob), &blob.data, 4096);
    messages[2].finish_write = false;
    messages.push(WriteRequest { write_offset: 10_000, finish_write: true, ..WriteRequest::default() });
    equal("committed_size", &server.write(messages).await?, &10_000)?;
    same_bytes("the blob", &server.get(&blob).await?, &blob.data)
}

async fn empty_between(server: Server) -> Outcome {
    let blob = server.random(10_000);
    let mut messages = messages(&server.upload_name(&blob), &blob.data, 4096);
    let first = WriteRequest { resource_name: messages[0].resource_name.clone(), ..WriteRequest::default() };
    messages.insert(1, WriteRequest { write_offset: 4096, ..WriteRequest::default() });
    messages.insert(0, first);
    equal("committed_size", &server.write(messages).await?, &10_000)?;
    same_bytes("the blob", &server.get(&blob).await?, &blob.data)
}

async fn name_repeated(server: Server) -> Outcome {
    let blob = server.random(10_000);
    let name = server.upload_name(&blob);
    let mut messages = messages(&name, &blob.data, 4096);
    messages.iter_mut().for_each(|message| message.resource_name.clone_from(&name));
    equal("committed_size", &server.write(messages).await?, &10_000)
}

async fn committed(server: Server) -> Outcome {
    equal("committed_size", &server.put(&server.random(12_345)).await?, &12_345)
}

async fn empty(server: Server) -> Outcome {
    stored(&server, &server.random(0), 1).await
}

async fn exists_whole(server: Server) -> Outcome {
    let blob = server.random(100_000);
    server.put(&blob).await?;
    equal("committed_size", &server.put(&blob).await?, &100_000)
}

async fn exists_early(server: Server) -> Outcome {
    let blob = server.random(100_000);
    server.put(&blob).await?;
    let (mut sender, receiver) = mpsc::channel(AHEAD);
    let mut first = messages(&server.upload_name(&blob), &blob.data, 1000);
    first.truncate(1);
    first.into_iter().for_each(|message| drop(sender.try_send(message)));
    // The sender stays: this client has more to say.
    let answer = soon("the answer to the first message", server.byte_stream().write(receiver)).await??;
    drop(sender);
    equal("committed_size", &answer.into_inner().committed_size, &100_000)
}

async fn exists_further_on(server: Server) -> Outcome {
    let blob = server.random(10_000);
    server.put(&blob).await?;
    let mut rest = messages(&server.upload_name(&blob), &blob.data[5_000..], 5_000);
    rest[0].write_offset = 5_000;
    equal("committed_size", &server.write(rest).await?, &10_000)
}

async fn at_once(server: Server) -> Outcome {
    let blob = server.random(3_000_000);
    let (one, other) = tokio::join!(server.put(&blob), server.put(&blob));
    equal("the one's committed_size", &one?, &3_000_000)?;
    equal("the other's committed_size", &other?, &3_000_000)?;
    same_bytes("the blob", &server.get(&blob).await?, &blob.data)
}

async fn overtaken(server: Server) -> Outcome {
    let blob = server.random(100_000);
    let all = messages(&server.upload_name(&blob), &blob.data, 10_000);
    let (mut sender, receiver) = mpsc::channel(AHEAD);
    let mut slow = server.byte_stream();
    let slow = tokio::spawn(async move { slow.write(receiver).await });
    let _ = sender.try_send(all[0].clone());
    server.put(&blob).await?;
    // The server may have answered in the meantime.
    all[1..].iter().for_each(|message| drop(sender.try_send(message.clone())));
    drop(sender);
    let Ok(answer) = soon("the answer to the slower upload", slow).await? else { return Ok(()) };
    equal("committed_size", &answer?.into_inner().committed_size, &100_000)
}

async fn metadata(server: Server) -> Outcome {
    let blob = server.random(100);
    let name = format!("{}/some/file.txt", server.upload_name(&blob));
    equal("committed_size", &server.write(messages(&name, &blob.data, 100)).await?, &100)?;
    same_bytes("the blob", &server.get(&blob).await?, &blob.data)
}

async fn same_uuid(server: Server) -> Outcome {
    let (one, other) = (server.random(100), server.random(100));
    let name = server.upload_name(&one);
    let same = name.replace(&one.digest.hash, &other.digest.hash);
    server.write(messages(&name, &one.data, 100)).await?;
    server.write(messages(&same, &other.data, 100)).await?;
    same_bytes("the first", &server.get(&one).await?, &one.data)?;
    same_bytes("the second", &server.get(&other).await?, &other.data)
}

async fn header(server: Server) -> Outcome {
    let blob = server.random(100);
    let name = server.upload_name(&blob);
    let mut request = Request::new(futures_util::stream::iter(messages(&name, &blob.data, 100)));
    let Ok(value) = name.parse() else { return Ok(()) };
    request.metadata_mut().insert("build.bazel.remote.execution.v2.resource-name", value);
    equal("committed_size", &server.byte_stream().write(request).await?.into_inner().committed_size, &100)
}
