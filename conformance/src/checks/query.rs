//! ByteStream.QueryWriteStatus, and going on with an upload that was broken off.

use bazel_remote_apis::google::bytestream::{QueryWriteStatusResponse, WriteRequest};
use h2::Reason;
use tonic::{Code, Status};

use super::malformed;
use super::zstd_write::compressed;
use crate::calls::messages;
use crate::check::{BYTE_STREAM, EXECUTION, Suite};
use crate::client::Server;
use crate::digest::{Blob, length};
use crate::expect::{Difference, Outcome, ensure, equal, refused, same_bytes};
use crate::offers::Need;
use crate::raw::{Connection, finish, framed};

const WRITE: &str = "/google.bytestream.ByteStream/Write";

/// Bytes of an upload that is broken off, and of its messages.
const LENGTH: usize = 3_000_000;
const CHUNK: usize = 100_000;

pub(super) fn register(suite: &mut Suite) {
    let status = "QueryWriteStatusResponse.committed_size: the bytes that have been processed";
    let complete = "QueryWriteStatusResponse.complete: only if finish_write was sent and processed";
    suite
        .group("ByteStream.QueryWriteStatus", BYTE_STREAM)
        .check(
            "An upload that never began is NOT_FOUND, or has no bytes",
            "QueryWriteStatus: NOT_FOUND if the resource does not exist",
            unknown,
        )
        .check("An upload that is finished is complete", complete, finished)
        .check("An upload that was broken off is not complete", complete, broken_off)
        .check("No more bytes are committed than were sent", status, no_more)
        .check(
            "committed_size does not decrease while an upload comes in",
            "QueryWriteStatus: the sequence of committed_size values is non-decreasing",
            growing,
        )
        .check(
            "An upload goes on where it was broken off",
            "Write: continue from the committed_size that QueryWriteStatus returns",
            resumed,
        )
        .check(
            "An upload that was broken off begins anew under another name",
            "Write: a resource name of its own",
            anew,
        )
        .check(
            "An upload that goes on with other bytes is INVALID_ARGUMENT",
            "ContentAddressableStorage: if the Digest does not match, INVALID_ARGUMENT",
            resumed_wrong,
        );
    let mut group = suite.group("ByteStream.QueryWriteStatus", EXECUTION);
    group.check(
        "A malformed name is INVALID_ARGUMENT",
        "ContentAddressableStorage: {instance_name}/uploads/{uuid}/blobs/{digest_function/}{hash}/{size}",
        malformed_name,
    );
    group.needing(&[Need::Zstd]).check(
        "A zstd upload goes on at the uncompressed offset that is committed",
        "ContentAddressableStorage: write_offset of the initial request refers to the uncompressed form",
        resumed_zstd,
    );
}

/// What the server has of an upload; nothing if it does not know it.
fn status_of(answer: Result<QueryWriteStatusResponse, Status>) -> Outcome<QueryWriteStatusResponse> {
    match answer {
        Err(status) if status.code() == Code::NotFound => Ok(QueryWriteStatusResponse::default()),
        answer => answer.map_err(Difference::from),
    }
}

/// A new blob of which the first half was sent when the client gave up.
async fn half_sent(server: &Server) -> Outcome<(Blob, String)> {
    let blob = server.random(LENGTH);
    let name = server.upload_name(&blob);
    send_half(server, &messages(&name, &blob.data, CHUNK)).await?;
    Ok((blob, name))
}

/// Sends the first half of an upload, and gives up.
async fn send_half(server: &Server, messages: &[WriteRequest]) -> Outcome {
    let mut connection = Connection::open(server).await?;
    let (answer, mut stream) = connection.start(WRITE, &[]).await?;
    for message in &messages[..messages.len() / 2] {
        let _ = stream.send_data(framed(message), false);
    }
    connection.ping().await?;
    stream.send_reset(Reason::CANCEL);
    drop(answer);
    connection.ping().await
}

/// Sends what is left of `data` from the committed size on.
async fn rest(server: &Server, name: &str, data: &[u8]) -> Outcome<Result<i64, Status>> {
    let from = status_of(server.query(name).await)?.committed_size;
    let start = usize::try_from(from).unwrap_or(0);
    let mut rest = messages(name, &data[start..], CHUNK);
    rest.iter_mut().for_each(|message: &mut WriteRequest| message.write_offset += from);
    Ok(server.write(rest).await)
}

async fn unknown(server: Server) -> Outcome {
    let status = status_of(server.query(&server.upload_name(&server.random(100))).await)?;
    equal("the status", &status, &QueryWriteStatusResponse::default())
}

async fn finished(server: Server) -> Outcome {
    let blob = server.random(10_000);
    let name = server.upload_name(&blob);
    server.write(messages(&name, &blob.data, 1000)).await?;
    let status = server.query(&name).await?;
    equal("the status", &status, &QueryWriteStatusResponse { committed_size: 10_000, complete: true })
}

async fn broken_off(server: Server) -> Outcome {
    let (_, name) = half_sent(&server).await?;
    ensure(!status_of(server.query(&name).await)?.complete, || "it is complete".to_owned())
}

async fn no_more(server: Server) -> Outcome {
    let (_, name) = half_sent(&server).await?;
    let committed = status_of(server.query(&name).await)?.committed_size;
    ensure((0..=length(&[0; LENGTH / 2])).contains(&committed), || format!("{committed} bytes are committed"))
}

async fn growing(server: Server) -> Outcome {
    let blob = server.random(LENGTH);
    let name = server.upload_name(&blob);
    let mut connection = Connection::open(&server).await?;
    let (answer, mut stream) = connection.start(WRITE, &[]).await?;
    let (mut sent, mut last) = (0, 0);
    for message in messages(&name, &blob.data, LENGTH / 5) {
        sent += length(&message.data);
        let _ = stream.send_data(framed(&message), message.finish_write);
        connection.ping().await?;
        let committed = status_of(server.query(&name).await)?.committed_size;
        ensure((last..=sent).contains(&committed), || format!("after {last} of {sent} bytes sent it is {committed}"))?;
        last = committed;
    }
    let answer = finish(answer).await?;
    ensure(answer.code == Some(Code::Ok), || format!("the upload is answered with {answer}"))?;
    equal("committed_size", &server.query(&name).await?.committed_size, &length(&blob.data))
}

async fn resumed(server: Server) -> Outcome {
    let (blob, name) = half_sent(&server).await?;
    equal("committed_size", &rest(&server, &name, &blob.data).await??, &blob.digest.size_bytes)?;
    same_bytes("the blob", &server.get(&blob).await?, &blob.data)
}

async fn anew(server: Server) -> Outcome {
    let (blob, _) = half_sent(&server).await?;
    equal("committed_size", &server.put(&blob).await?, &blob.digest.size_bytes)?;
    same_bytes("the blob", &server.get(&blob).await?, &blob.data)
}

async fn resumed_wrong(server: Server) -> Outcome {
    let (blob, name) = half_sent(&server).await?;
    let mut other = blob.data.clone();
    if let Some(last) = other.last_mut() {
        *last ^= 1;
    }
    refused(rest(&server, &name, &other).await?, &[Code::InvalidArgument])?;
    ensure(server.is_missing(&blob).await?, || "the blob is there".to_owned())
}

async fn resumed_zstd(server: Server) -> Outcome {
    let blob = server.random(LENGTH);
    let name = server.zstd_upload_name_of(&blob.digest);
    let all = messages(&name, &compressed(&blob.data), CHUNK);
    send_half(&server, &all).await?;
    let from = status_of(server.query(&name).await)?.committed_size;
    let start = usize::try_from(from).unwrap_or(usize::MAX);
    ensure(start <= blob.data.len(), || format!("{from} bytes are committed"))?;
    let mut rest = messages(&name, &compressed(&blob.data[start..]), CHUNK);
    rest.iter_mut().for_each(|message| message.write_offset += from);
    server.write(rest).await?;
    same_bytes("the blob", &server.get(&blob).await?, &blob.data)
}

async fn malformed_name(server: Server) -> Outcome {
    for end in malformed::names(&server) {
        let name = format!("{}uploads/{}/{end}", server.prefix(), crate::names::uuid());
        refused(server.query(&name).await, &[Code::InvalidArgument])
            .map_err(|difference| difference.about(&format!("{end:?}")))?;
    }
    Ok(())
}
