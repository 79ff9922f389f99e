//! ByteStream.Write: what is refused, and that nothing is kept of it.

use bazel_remote_apis::google::bytestream::WriteRequest;
use bytes::BytesMut;
use futures_channel::mpsc;
use h2::Reason;
use tonic::Code;

use super::malformed;
use crate::calls::{AHEAD, messages};
use crate::check::{BYTE_STREAM, EXECUTION, Suite};
use crate::client::Server;
use crate::digest::{Blob, length};
use crate::expect::{Outcome, differs, ensure, name, refused, soon};
use crate::offers::Need;
use crate::raw::{Connection, framed};

/// The path of the method.
const WRITE: &str = "/google.bytestream.ByteStream/Write";

pub(super) fn register(suite: &mut Suite) {
    let offset = "WriteRequest.write_offset: an incorrect value will cause an error";
    let name = "WriteRequest.resource_name: must be set on the first message";
    let finish = "Write: not complete until a message with finish_write has been processed";
    suite
        .group("ByteStream.Write", BYTE_STREAM)
        .check("A first message without a name is INVALID_ARGUMENT", name, no_name)
        .check("No message at all is INVALID_ARGUMENT", name, no_message)
        .check(
            "Another name in a later message is INVALID_ARGUMENT",
            "WriteRequest.resource_name: if set later, it must match the first",
            name_changes,
        )
        .check("A first offset that is not what is committed is an error", offset, first_offset)
        .check("An offset that leaves a gap is an error", offset, gap)
        .check("An offset that goes back is an error", offset, back)
        .check("A negative offset is an error", offset, negative_offset)
        .check(
            "A message after finish_write is an error",
            "WriteRequest.finish_write: any message after it will cause an error",
            after_finish,
        )
        .check("An upload that ends without finish_write is not there", finish, unfinished)
        .check("All bytes without finish_write are not a blob that is there", finish, all_but_finish)
        .check("An upload that is given up leaves nothing", finish, given_up);
    let mismatch = "ContentAddressableStorage: if the Digest does not match, INVALID_ARGUMENT";
    let mut group = suite.group("ByteStream.Write", EXECUTION);
    group
        .check("Bytes of another hash are INVALID_ARGUMENT and not kept", mismatch, wrong_hash)
        .check("Too few bytes are INVALID_ARGUMENT and not kept", mismatch, too_few)
        .check("Too many bytes are INVALID_ARGUMENT and not kept", mismatch, too_many)
        .check("No bytes for a blob that has some are INVALID_ARGUMENT", mismatch, none)
        .check(
            "A malformed name is INVALID_ARGUMENT",
            "ContentAddressableStorage: {instance_name}/uploads/{uuid}/blobs/{digest_function/}{hash}/{size}",
            malformed_name,
        )
        .check(
            "A name to read from is INVALID_ARGUMENT",
            "ContentAddressableStorage: {instance_name}/uploads/{uuid}/blobs/{digest_function/}{hash}/{size}",
            read_name,
        );
    group.needing(&[Need::BlobLimit]).check(
        "A blob over the largest size is INVALID_ARGUMENT before it is sent",
        "CacheCapabilities.max_cas_blob_size_bytes: uploads over the limit are INVALID_ARGUMENT",
        too_large,
    );
}

/// The codes for what the specification calls only an error.
const SOME_ERROR: [Code; 3] = [Code::InvalidArgument, Code::OutOfRange, Code::FailedPrecondition];

/// `messages` are refused with one of `codes`, and `blob` is not there.
async fn not_kept(server: &Server, blob: &Blob, messages: Vec<WriteRequest>, codes: &[Code]) -> Outcome {
    refused(soon("the answer", server.write(messages)).await?, codes)?;
    ensure(server.is_missing(blob).await?, || "the blob is there".to_owned())
}

fn three(server: &Server) -> (Blob, Vec<WriteRequest>) {
    let blob = server.random(3000);
    let messages = messages(&server.upload_name(&blob), &blob.data, 1000);
    (blob, messages)
}

async fn no_name(server: Server) -> Outcome {
    let (blob, mut messages) = three(&server);
    messages[0].resource_name.clear();
    not_kept(&server, &blob, messages, &[Code::InvalidArgument]).await
}

async fn no_message(server: Server) -> Outcome {
    refused(soon("the answer", server.write(Vec::new())).await?, &[Code::InvalidArgument])
}

async fn name_changes(server: Server) -> Outcome {
    let (blob, mut messages) = three(&server);
    messages[1].resource_name = server.upload_name(&blob);
    not_kept(&server, &blob, messages, &[Code::InvalidArgument]).await
}

async fn first_offset(server: Server) -> Outcome {
    let (blob, mut messages) = three(&server);
    messages.iter_mut().for_each(|message| message.write_offset += 1000);
    not_kept(&server, &blob, messages, &SOME_ERROR).await
}

async fn gap(server: Server) -> Outcome {
    let (blob, mut messages) = three(&server);
    messages[1].write_offset += 1;
    not_kept(&server, &blob, messages, &SOME_ERROR).await
}

async fn back(server: Server) -> Outcome {
    let (blob, mut messages) = three(&server);
    messages[2].write_offset = 0;
    not_kept(&server, &blob, messages, &SOME_ERROR).await
}

async fn negative_offset(server: Server) -> Outcome {
    let (blob, mut messages) = three(&server);
    messages[0].write_offset = -1;
    not_kept(&server, &blob, messages, &SOME_ERROR).await
}

async fn after_finish(server: Server) -> Outcome {
    let (blob, mut messages) = three(&server);
    messages[1].finish_write = true;
    messages[2].finish_write = true;
    messages[1].data.extend_from_slice(&blob.data[2000..]);
    // All at once: the server has the message too many when it looks at finish_write.
    let body: BytesMut = messages.iter().flat_map(framed).collect();
    let connection = Connection::open(&server).await?;
    let answer = connection.call(WRITE, &[], body.freeze()).await?;
    match answer.code {
        Some(code) if SOME_ERROR.contains(&code) => Ok(()),
        Some(code) => differs(format!("expected an error, got {}", name(code))),
        None => differs(format!("expected an error, got {answer}")),
    }
}

async fn unfinished(server: Server) -> Outcome {
    let (blob, mut messages) = three(&server);
    messages.truncate(2);
    // Whatever the answer is.
    let _ = soon("the answer", server.write(messages)).await?;
    ensure(server.is_missing(&blob).await?, || "the blob is there".to_owned())
}

async fn all_but_finish(server: Server) -> Outcome {
    let (blob, mut messages) = three(&server);
    messages[2].finish_write = false;
    // Whatever the answer is.
    let _ = soon("the answer", server.write(messages)).await?;
    ensure(server.is_missing(&blob).await?, || "the blob is there".to_owned())
}

async fn given_up(server: Server) -> Outcome {
    let (blob, messages) = three(&server);
    let mut connection = Connection::open(&server).await?;
    let (answer, mut stream) = connection.start(WRITE, &[]).await?;
    for message in &messages[..2] {
        let _ = stream.send_data(framed(message), false);
    }
    connection.ping().await?;
    stream.send_reset(Reason::CANCEL);
    drop(answer);
    connection.ping().await?;
    ensure(server.is_missing(&blob).await?, || "the blob is there".to_owned())?;
    server.put(&blob).await?;
    ensure(!server.is_missing(&blob).await?, || "the blob cannot be uploaded any more".to_owned())
}

async fn wrong_hash(server: Server) -> Outcome {
    let (claimed, sent) = (server.random(100_000), server.random(100_000));
    let messages = messages(&server.upload_name(&claimed), &sent.data, 10_000);
    not_kept(&server, &claimed, messages, &[Code::InvalidArgument]).await?;
    ensure(server.is_missing(&sent).await?, || "what was sent is there".to_owned())
}

/// A blob of 10,000 bytes is refused under its hash and the size that `data` does not have.
async fn claimed_size(server: &Server, data: &[u8], size: i64) -> Outcome {
    let sent = Blob::new(server.function(), data.to_vec());
    let claimed = Blob { digest: sent.with_size(size), ..sent.clone() };
    let messages = messages(&server.upload_name(&claimed), data, 1000);
    not_kept(server, &claimed, messages, &[Code::InvalidArgument]).await?;
    ensure(data.is_empty() || server.is_missing(&sent).await?, || "what was sent is there".to_owned())
}

async fn too_few(server: Server) -> Outcome {
    let data = server.random(10_000).data;
    claimed_size(&server, &data, length(&data) + 1).await
}

async fn too_many(server: Server) -> Outcome {
    let data = server.random(10_000).data;
    claimed_size(&server, &data, length(&data) - 1).await
}

async fn none(server: Server) -> Outcome {
    let blob = server.random(10_000);
    not_kept(&server, &blob, messages(&server.upload_name(&blob), &[], 1), &[Code::InvalidArgument]).await
}

async fn malformed_name(server: Server) -> Outcome {
    for end in malformed::names(&server) {
        let name = format!("{}uploads/{}/{end}", server.prefix(), crate::names::uuid());
        let answer = soon("the answer", server.write(messages(&name, &[0; 10], 10))).await?;
        refused(answer, &[Code::InvalidArgument]).map_err(|difference| difference.about(&format!("{end:?}")))?;
    }
    Ok(())
}

async fn read_name(server: Server) -> Outcome {
    let blob = server.random(100);
    not_kept(&server, &blob, messages(&server.name(&blob), &blob.data, 100), &[Code::InvalidArgument]).await
}

async fn too_large(server: Server) -> Outcome {
    let digest = server.random(10).with_size(server.offers.cache.max_cas_blob_size_bytes + 1);
    let (mut sender, receiver) = mpsc::channel(AHEAD);
    let mut first = messages(&server.upload_name_of(&digest), &[0; 10], 10);
    first.iter_mut().for_each(|message| message.finish_write = false);
    first.into_iter().for_each(|message| drop(sender.try_send(message)));
    let answer = soon("the answer to the first message", server.byte_stream().write(receiver)).await?;
    drop(sender);
    refused(answer, &[Code::InvalidArgument])
}
