//! Health and server reflection, with the clients that the standard has for them.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use kura_http::ServerSettings;
use kura_reapi::ReapiSettings;
use support::{PATIENCE, Site, refused};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

const CAS: &str = "build.bazel.remote.execution.v2.ContentAddressableStorage";

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

#[tokio::test]
async fn health_follows_the_server_through_its_life() {
    let site = Site::unopened(ServerSettings::default(), ReapiSettings::default()).await;
    let mut client = HealthClient::new(site.channel().await);
    let mut watched = client.watch(of("")).await.unwrap().into_inner();
    for service in ["", CAS, "google.bytestream.ByteStream"] {
        let status = client.check(of(service)).await.unwrap().into_inner().status();
        assert_eq!(status, ServingStatus::NotServing, "{service}");
    }
    assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    let _store = site.open().await;
    assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    assert_eq!(client.check(of(CAS)).await.unwrap().into_inner().status(), ServingStatus::Serving);
    let handle = site.handle.clone();
    let drain = tokio::spawn(async move { handle.drain(PATIENCE).await });
    assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    drop((watched, client));
    drain.await.unwrap();
}

#[tokio::test]
async fn a_service_that_is_not_served_has_no_health() {
    let (site, _store) = Site::serving().await;
    let mut client = HealthClient::new(site.channel().await);
    refused(client.check(of("build.bazel.remote.execution.v2.Execution")).await, Code::NotFound);
    let mut watched = client.watch(of("nothing")).await.unwrap().into_inner();
    assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::ServiceUnknown);
}

#[tokio::test]
async fn reflection_tells_the_services_and_answers_every_question() {
    let site = Site::unopened(ServerSettings::default(), ReapiSettings::default()).await;
    let mut client = ServerReflectionClient::new(site.channel().await);
    let ask =
        |message_request| ServerReflectionRequest { host: "h".to_owned(), message_request: Some(message_request) };
    let asked = [
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol(CAS.to_owned())),
        ask(MessageRequest::ListServices(String::new())),
    ];
    let mut answers = client.server_reflection_info(tokio_stream::iter(asked.clone())).await.unwrap().into_inner();
    for asked in &asked {
        let answer = answers.message().await.unwrap().unwrap();
        assert_eq!((answer.valid_host.as_str(), answer.original_request.as_ref()), ("h", Some(asked)));
        match answer.message_response.unwrap() {
            MessageResponse::ListServicesResponse(list) => {
                let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
                assert!(names.contains(&CAS) && names.contains(&"grpc.health.v1.Health"), "{names:?}");
            }
            MessageResponse::ErrorResponse(error) => assert_eq!(error.error_code, Code::NotFound as i32),
            other => panic!("{other:?}"),
        }
    }
    assert!(answers.message().await.unwrap().is_none());
}
