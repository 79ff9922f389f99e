//! Server reflection.

use futures_util::stream;
use tonic::{Code, Status};
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use crate::check::Suite;
use crate::client::Server;
use crate::expect::{Outcome, differs, ensure, equal};
use crate::offers::Need;

/// What every cache serves.
const SERVICES: [&str; 4] = [
    "build.bazel.remote.execution.v2.ActionCache",
    "build.bazel.remote.execution.v2.Capabilities",
    "build.bazel.remote.execution.v2.ContentAddressableStorage",
    "google.bytestream.ByteStream",
];

pub(super) fn register(suite: &mut Suite) {
    let list = "ServerReflectionRequest.list_services: the full names of registered services";
    suite
        .group("Reflection", "grpc/reflection/v1/reflection.proto")
        .needing(&[Need::Reflection])
        .check("The services of a cache are listed", list, cache)
        .check("Remote Asset is listed where it is served", list, asset)
        .check(
            "A symbol that is not known is NOT_FOUND, and the stream goes on",
            "ErrorResponse: sent in the stream",
            unknown,
        );
}

fn request(message: MessageRequest) -> ServerReflectionRequest {
    ServerReflectionRequest { host: String::new(), message_request: Some(message) }
}

async fn ask(server: &Server, requests: Vec<ServerReflectionRequest>) -> Result<Vec<ServerReflectionResponse>, Status> {
    let mut client = ServerReflectionClient::new(server.channel());
    let mut answers = client.server_reflection_info(stream::iter(requests)).await?.into_inner();
    let mut all = Vec::new();
    while let Some(answer) = answers.message().await? {
        all.push(answer);
    }
    Ok(all)
}

/// The names of all services.
pub(crate) async fn services(server: &Server) -> Result<Vec<String>, Status> {
    let answers = ask(server, vec![request(MessageRequest::ListServices(String::new()))]).await?;
    let listed = answers.into_iter().filter_map(|answer| match answer.message_response {
        Some(MessageResponse::ListServicesResponse(list)) => Some(list.service),
        _ => None,
    });
    Ok(listed.flatten().map(|service| service.name).collect())
}

async fn lists(server: &Server, expected: &[&str]) -> Outcome {
    let listed = services(server).await?;
    let missing = expected.iter().find(|service| !listed.iter().any(|name| name == *service));
    ensure(missing.is_none(), || format!("{missing:?} is not among {listed:?}"))
}

async fn cache(server: Server) -> Outcome {
    lists(&server, &SERVICES).await
}

async fn asset(server: Server) -> Outcome {
    if server.offers.has(Need::Fetch) {
        lists(&server, &["build.bazel.remote.asset.v1.Fetch"]).await?;
    }
    if server.offers.has(Need::Push) {
        lists(&server, &["build.bazel.remote.asset.v1.Push"]).await?;
    }
    Ok(())
}

async fn unknown(server: Server) -> Outcome {
    let symbol = MessageRequest::FileContainingSymbol("reapi.conformance.NoSymbol".to_owned());
    let list = MessageRequest::ListServices(String::new());
    let answers = ask(&server, vec![request(symbol), request(list)]).await?;
    equal("the number of answers", &answers.len(), &2)?;
    match &answers[0].message_response {
        Some(MessageResponse::ErrorResponse(error)) => equal("the code", &error.error_code, &(Code::NotFound as i32)),
        other => differs(format!("expected an error, got {other:?}")),
    }
}
