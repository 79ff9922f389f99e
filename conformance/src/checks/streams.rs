//! Many calls over one connection.

use bazel_remote_apis::build::bazel::remote::execution::v2::FindMissingBlobsRequest;
use bazel_remote_apis::google::bytestream::ReadRequest;
use bytes::Bytes;
use futures_util::future::try_join_all;
use h2::Reason;
use tonic::Code;

use crate::calls::messages;
use crate::check::Suite;
use crate::client::Server;
use crate::digest::Blob;
use crate::expect::{Outcome, differs, ensure};
use crate::raw::{Connection, framed, read};

const FIND_MISSING: &str = "/build.bazel.remote.execution.v2.ContentAddressableStorage/FindMissingBlobs";
const READ: &str = "/google.bytestream.ByteStream/Read";
const WRITE: &str = "/google.bytestream.ByteStream/Write";

/// Calls at once.
const MANY: usize = 1_000;

/// Calls that are given up, one after the other.
const GIVEN_UP: usize = 200;

/// Answers that nobody reads, and the length of each.
const UNREAD: usize = 50;
const LONG: usize = 4 << 20;

pub(super) fn register(suite: &mut Suite) {
    let goaway = "HTTP/2: a well-behaved client is sent no GOAWAY, REFUSED_STREAM or ENHANCE_YOUR_CALM";
    suite
        .group("Streams", "RFC 9113")
        .check(format!("{MANY} questions at once are all answered"), goaway, questions)
        .check(format!("{MANY} reads at once are all answered"), goaway, reads)
        .check(format!("{MANY} uploads at once are all answered"), goaway, uploads)
        .check(format!("{GIVEN_UP} calls that are given up do not end the connection"), goaway, given_up)
        .check("Answers that nobody reads hold up no other call", "HTTP/2: flow control per stream", unread);
}

/// Calls `path` once for each body, all at once, and finds every answer OK and the connection in order.
async fn all_ok(server: &Server, path: &str, bodies: impl IntoIterator<Item = Bytes>) -> Outcome<Vec<usize>> {
    let mut connection = Connection::open(server).await?;
    let one = async |body: Bytes| {
        let (answer, mut stream) = connection.start(path, &[]).await?;
        let _ = stream.send_data(body, true);
        match read(answer).await {
            Ok(answer) if answer.code == Some(Code::Ok) => Ok(answer.data.len()),
            Ok(answer) => differs(format!("expected OK, got {answer}")),
            Err(error) => differs(format!("instead of an answer: {error}")),
        }
    };
    let lengths = try_join_all(bodies.into_iter().map(one)).await?;
    connection.ping().await?;
    connection.close().await?;
    Ok(lengths)
}

fn question(server: &Server) -> Bytes {
    framed(&FindMissingBlobsRequest {
        instance_name: server.instance_name(),
        blob_digests: vec![server.random(10).digest],
        digest_function: server.function().field(),
    })
}

fn read_of(server: &Server, blob: &Blob) -> Bytes {
    framed(&ReadRequest { resource_name: server.name(blob), ..ReadRequest::default() })
}

async fn questions(server: Server) -> Outcome {
    all_ok(&server, FIND_MISSING, (0..MANY).map(|_| question(&server))).await.map(drop)
}

async fn reads(server: Server) -> Outcome {
    let blob = server.random(50_000);
    server.put(&blob).await?;
    let lengths = all_ok(&server, READ, (0..MANY).map(|_| read_of(&server, &blob))).await?;
    ensure(lengths.iter().all(|length| *length > blob.data.len()), || "an answer is too short".to_owned())
}

async fn uploads(server: Server) -> Outcome {
    let blobs: Vec<Blob> = (0..MANY).map(|_| server.random(10_000)).collect();
    let upload = |blob: &Blob| messages(&server.upload_name(blob), &blob.data, 4096).iter().flat_map(framed).collect();
    all_ok(&server, WRITE, blobs.iter().map(upload)).await?;
    let digests: Vec<_> = blobs.into_iter().map(|blob| blob.digest).collect();
    let missing = server.find_missing(&digests).await?.len();
    ensure(missing == 0, || format!("{missing} of {MANY} are missing"))
}

async fn given_up(server: Server) -> Outcome {
    let blob = server.random(LONG);
    server.put(&blob).await?;
    let mut connection = Connection::open(&server).await?;
    for _ in 0..GIVEN_UP {
        let (answer, mut stream) = connection.start(READ, &[]).await?;
        let _ = stream.send_data(read_of(&server, &blob), true);
        connection.ping().await?;
        stream.send_reset(Reason::CANCEL);
        drop(answer);
    }
    let answer = connection.call(FIND_MISSING, &[], question(&server)).await?;
    ensure(answer.code == Some(Code::Ok), || format!("afterwards a call is answered with {answer}"))?;
    connection.close().await
}

async fn unread(server: Server) -> Outcome {
    let blob = server.random(LONG);
    server.put(&blob).await?;
    let connection = Connection::open(&server).await?;
    let mut answers = Vec::new();
    for _ in 0..UNREAD {
        let (answer, mut stream) = connection.start(READ, &[]).await?;
        let _ = stream.send_data(read_of(&server, &blob), true);
        // The head of the answer, and no more: from here on the stream's window is what the server may send.
        match answer.await {
            Ok(answer) => answers.push(answer),
            Err(error) => return differs(format!("instead of an answer: {error}")),
        }
    }
    let answer = connection.call(FIND_MISSING, &[], question(&server)).await?;
    ensure(answer.code == Some(Code::Ok), || format!("the call is answered with {answer}"))?;
    drop(answers);
    connection.close().await
}
