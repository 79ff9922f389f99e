//! gRPC over HTTP/2: what holds for every method.

use bazel_remote_apis::build::bazel::remote::execution::v2::{
    FindMissingBlobsRequest, FindMissingBlobsResponse, GetCapabilitiesRequest,
};
use bytes::Bytes;
use tonic::{Code, Request};

use crate::calls::{messages, upload};
use crate::check::Suite;
use crate::client::Server;
use crate::expect::{Outcome, differs, ensure, equal, name, refused, soon};
use crate::offers::Need;
use crate::raw::{Answer, Connection, first_message, framed, framed_bytes, read};

const FIND_MISSING: &str = "/build.bazel.remote.execution.v2.ContentAddressableStorage/FindMissingBlobs";
const WRITE: &str = "/google.bytestream.ByteStream/Write";

/// A message that no server with a batch limit takes, in bytes.
const TOO_LARGE: usize = 16 << 20;

pub(super) fn register(suite: &mut Suite) {
    let mut group = suite.group("gRPC", "grpc/doc");
    group
        .check("A service that is not there is UNIMPLEMENTED", "statuscodes.md: UNIMPLEMENTED", unknown_service)
        .check("A method that is not there is UNIMPLEMENTED", "statuscodes.md: UNIMPLEMENTED", unknown_method)
        .check(
            "Content type application/grpc+proto is taken",
            "PROTOCOL-HTTP2.md, Content-Type: application/grpc, with +proto or none",
            grpc_proto,
        )
        .check(
            "Another content type is an HTTP error",
            "PROTOCOL-HTTP2.md, Content-Type: other ones are answered with 415",
            content_type,
        )
        .check(
            "A message that does not parse is INVALID_ARGUMENT or INTERNAL",
            "statuscodes.md: INTERNAL if a request does not parse",
            no_message_type,
        )
        .check(
            "A message that ends early is an error",
            "PROTOCOL-HTTP2.md, Length-Prefixed-Message: as many bytes as its length says",
            cut_off,
        )
        .check("No message where one is due is an error", "statuscodes.md: a unary call has one request message", none)
        .check(
            "A compressed message without an encoding is an error",
            "compression.md: INTERNAL without a known grpc-encoding",
            compressed,
        )
        .check(
            "An encoding that is not known is UNIMPLEMENTED",
            "compression.md: UNIMPLEMENTED, with what is accepted",
            encoding,
        )
        .check(
            "A deadline ends a call that stands still",
            "PROTOCOL-HTTP2.md, Timeout: grpc-timeout; DEADLINE_EXCEEDED",
            deadline,
        )
        .check("A ping is answered", "HTTP/2, PING: answered with an acknowledgement", ping);
    group
        .needing(&[Need::BatchLimit])
        .check(
            "A message that claims four gigabytes is refused at once",
            "statuscodes.md: RESOURCE_EXHAUSTED for a message over the limit",
            claims,
        )
        .check(
            "A message over the limit is RESOURCE_EXHAUSTED or INVALID_ARGUMENT",
            "statuscodes.md: RESOURCE_EXHAUSTED for a message over the limit",
            too_large,
        );
    suite
        .group("gRPC", "remote_execution.proto")
        .check(
            "RequestMetadata is taken",
            "RequestMetadata: build.bazel.remote.execution.v2.requestmetadata-bin",
            metadata,
        )
        .check(
            "RequestMetadata that does not parse does no harm",
            "RequestMetadata: optional, for logging or other purposes",
            bad_metadata,
        );
}

/// Answered, with an error among `codes`.
fn has_code(answer: &Answer, codes: &[Code]) -> Outcome {
    let listed = codes.iter().map(|code| name(*code)).collect::<Vec<_>>().join(" or ");
    match answer.code {
        Some(code) if codes.contains(&code) => Ok(()),
        Some(code) => differs(format!("expected {listed}, got {} ({:?})", name(code), answer.message)),
        None => differs(format!("expected {listed}, got {answer}")),
    }
}

fn question(server: &Server) -> Bytes {
    framed(&FindMissingBlobsRequest {
        instance_name: server.instance_name(),
        blob_digests: vec![server.random(10).digest],
        digest_function: server.function().field(),
    })
}

async fn unknown_service(server: Server) -> Outcome {
    let connection = Connection::open(&server).await?;
    let answer = connection.call("/reapi.conformance.NoService/Method", &[], question(&server)).await?;
    has_code(&answer, &[Code::Unimplemented])
}

async fn unknown_method(server: Server) -> Outcome {
    let connection = Connection::open(&server).await?;
    let path = "/build.bazel.remote.execution.v2.ContentAddressableStorage/NoMethod";
    has_code(&connection.call(path, &[], question(&server)).await?, &[Code::Unimplemented])
}

async fn grpc_proto(server: Server) -> Outcome {
    let connection = Connection::open(&server).await?;
    let headers = [("content-type", "application/grpc+proto")];
    let answer = connection.call(FIND_MISSING, &headers, question(&server)).await?;
    has_code(&answer, &[Code::Ok])?;
    equal("the missing", &first_message::<FindMissingBlobsResponse>(&answer)?.missing_blob_digests.len(), &1)
}

async fn content_type(server: Server) -> Outcome {
    let connection = Connection::open(&server).await?;
    let headers = [("content-type", "text/plain")];
    let answer = connection.call(FIND_MISSING, &headers, question(&server)).await?;
    ensure((400..500).contains(&answer.http), || format!("expected HTTP 415 or another 4xx, got {answer}"))
}

async fn no_message_type(server: Server) -> Outcome {
    let connection = Connection::open(&server).await?;
    let answer = connection.call(FIND_MISSING, &[], framed_bytes(0, &[0xff; 20])).await?;
    has_code(&answer, &[Code::InvalidArgument, Code::Internal])
}

/// Codes for streams of bytes that are no call.
const BROKEN: [Code; 5] = [Code::InvalidArgument, Code::Internal, Code::Unimplemented, Code::Unknown, Code::Cancelled];

async fn cut_off(server: Server) -> Outcome {
    let connection = Connection::open(&server).await?;
    let question = question(&server);
    let answer = connection.call(FIND_MISSING, &[], question.slice(..question.len() - 5)).await?;
    has_code(&answer, &BROKEN)
}

async fn none(server: Server) -> Outcome {
    let connection = Connection::open(&server).await?;
    has_code(&connection.call(FIND_MISSING, &[], Bytes::new()).await?, &BROKEN)
}

async fn compressed(server: Server) -> Outcome {
    let connection = Connection::open(&server).await?;
    let answer = connection.call(FIND_MISSING, &[], framed_bytes(1, &[1, 2, 3, 4])).await?;
    has_code(&answer, &BROKEN)
}

async fn encoding(server: Server) -> Outcome {
    let connection = Connection::open(&server).await?;
    let headers = [("grpc-encoding", "x-reapi-conformance")];
    let answer = connection.call(FIND_MISSING, &headers, framed_bytes(1, &[1, 2, 3, 4])).await?;
    has_code(&answer, &[Code::Unimplemented])
}

async fn claims(server: Server) -> Outcome {
    let connection = Connection::open(&server).await?;
    let (answer, mut stream) = connection.start(FIND_MISSING, &[]).await?;
    let _ = stream.send_data(Bytes::from_static(&[0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]), false);
    match soon("the answer", read(answer)).await? {
        Ok(answer) => has_code(&answer, &[Code::ResourceExhausted, Code::InvalidArgument]),
        Err(error) => differs(format!("instead of an answer: {error}")),
    }
}

async fn too_large(server: Server) -> Outcome {
    let blobs = [upload(&server.random(TOO_LARGE))].into();
    refused(server.batch_update(blobs).await, &[Code::ResourceExhausted, Code::InvalidArgument])
}

async fn deadline(server: Server) -> Outcome {
    let connection = Connection::open(&server).await?;
    let blob = server.random(1000);
    let (answer, mut stream) = connection.start(WRITE, &[("grpc-timeout", "300m")]).await?;
    let first = messages(&server.upload_name(&blob), &blob.data, 100).swap_remove(0);
    let _ = stream.send_data(framed(&first), false);
    match soon("the end of the call", read(answer)).await? {
        Ok(answer) => has_code(&answer, &[Code::DeadlineExceeded, Code::Cancelled]),
        // A reset is how a server may end what its client does not wait for any more.
        Err(error) => ensure(error.is_reset(), || format!("the call ended with {error}")),
    }
}

async fn ping(server: Server) -> Outcome {
    let mut connection = Connection::open(&server).await?;
    connection.ping().await?;
    connection.close().await
}

/// Capabilities, asked for with this header.
async fn with_metadata(server: &Server, name: &'static str, value: &[u8]) -> Outcome {
    let mut request = Request::new(GetCapabilitiesRequest { instance_name: server.instance_name() });
    request.metadata_mut().insert_bin(name, tonic::metadata::MetadataValue::from_bytes(value));
    server.capabilities().get_capabilities(request).await.map(drop).map_err(Into::into)
}

async fn metadata(server: Server) -> Outcome {
    use bazel_remote_apis::build::bazel::remote::execution::v2::{RequestMetadata, ToolDetails};
    use prost::Message as _;

    let tool = ToolDetails { tool_name: "reapi-conformance".to_owned(), tool_version: "1".to_owned() };
    let metadata = RequestMetadata {
        tool_details: Some(tool),
        action_id: "action".to_owned(),
        tool_invocation_id: crate::names::uuid(),
        ..RequestMetadata::default()
    };
    for name in [
        "build.bazel.remote.execution.v2.requestmetadata-bin",
        // Pants 2.17 still sends this one.
        "google.devtools.remoteexecution.v1test.requestmetadata-bin",
    ] {
        with_metadata(&server, name, &metadata.encode_to_vec()).await?;
    }
    Ok(())
}

async fn bad_metadata(server: Server) -> Outcome {
    with_metadata(&server, "build.bazel.remote.execution.v2.requestmetadata-bin", &[0xff; 30]).await
}
