//! Who may do what over gRPC.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use bazel_remote_apis::build::bazel::remote::execution::v2 as proto;
use bazel_remote_apis::google::bytestream::byte_stream_client::ByteStreamClient;
use bazel_remote_apis::google::bytestream::{QueryWriteStatusRequest, ReadRequest, WriteRequest};
use kura_auth::Role;
use kura_http::ServerSettings;
use kura_reapi::ReapiSettings;
use proto::action_cache_client::ActionCacheClient;
use proto::capabilities_client::CapabilitiesClient;
use proto::content_addressable_storage_client::ContentAddressableStorageClient;
use support::people::People;
use support::{Site, blob, digest, messages, refused, upload};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

async fn asking(people: &People) -> Site {
    let who = Some(people.authenticator());
    let site = Site::asking(ServerSettings::default(), ReapiSettings::default(), who).await;
    site.open().await;
    site
}

#[derive(Clone)]
struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

type As = InterceptedService<Channel, Bearer>;

/// A connection of somebody.
async fn by(site: &Site, token: &str) -> As {
    InterceptedService::new(site.channel().await, Bearer(format!("Bearer {token}").parse().unwrap()))
}

async fn write(service: As, name: &str, data: &[u8]) -> Result<i64, Status> {
    let sent = ByteStreamClient::new(service).write(tokio_stream::iter(messages(name, data, 1 << 20))).await?;
    Ok(sent.into_inner().committed_size)
}

async fn read(service: As, name: &str) -> Result<Vec<u8>, Status> {
    let request = ReadRequest { resource_name: name.to_owned(), ..ReadRequest::default() };
    let mut stream = ByteStreamClient::new(service).read(request).await?.into_inner();
    let mut data = Vec::new();
    while let Some(message) = stream.message().await? {
        data.extend_from_slice(&message.data);
    }
    Ok(data)
}

async fn missing(service: As, instance: &str, blob: &proto::Digest) -> Result<usize, Status> {
    let request = proto::FindMissingBlobsRequest {
        instance_name: instance.to_owned(),
        blob_digests: vec![blob.clone()],
        ..Default::default()
    };
    let found = ContentAddressableStorageClient::new(service).find_missing_blobs(request).await?;
    Ok(found.into_inner().missing_blob_digests.len())
}

async fn may_update(service: As, instance: &str) -> Result<bool, Status> {
    let request = proto::GetCapabilitiesRequest { instance_name: instance.to_owned() };
    let said = CapabilitiesClient::new(service).get_capabilities(request).await?.into_inner();
    Ok(said.cache_capabilities.unwrap().action_cache_update_capabilities.unwrap().update_enabled)
}

#[tokio::test]
async fn without_a_token_that_is_known_calls_are_unauthenticated_and_health_is_told() {
    let mut people = People::default();
    let expired = people.expired("default", Role::Admin);
    let site = asking(&people).await;
    let data = digest(b"data");
    let mut anonymous = site.cas().await;
    let request = proto::FindMissingBlobsRequest { blob_digests: vec![data.clone()], ..Default::default() };
    refused(anonymous.find_missing_blobs(request).await, Code::Unauthenticated);
    for (token, says) in [("any", "not known"), (expired.as_str(), "expired")] {
        let status = refused(missing(by(&site, token).await, "", &data).await, Code::Unauthenticated);
        assert!(status.message().contains(says), "{status}");
        refused(write(by(&site, token).await, &upload(&data), b"data").await, Code::Unauthenticated);
        refused(may_update(by(&site, token).await, "").await, Code::Unauthenticated);
    }
    let mut health = tonic_health::pb::health_client::HealthClient::new(site.channel().await);
    let check = tonic_health::pb::HealthCheckRequest { service: String::new() };
    assert_eq!(health.check(check).await.unwrap().into_inner().status, 1);
}

#[tokio::test]
async fn a_reader_is_told_that_it_may_not_update_reads_and_stores_nothing() {
    let mut people = People::default();
    let (reader, writer) = (people.token("default", &[], Role::Reader), people.token("default", &[], Role::Writer));
    let site = asking(&people).await;
    assert!(!may_update(by(&site, &reader).await, "").await.unwrap());
    assert!(may_update(by(&site, &writer).await, "").await.unwrap());
    let data = digest(b"data");
    refused(write(by(&site, &reader).await, &upload(&data), b"data").await, Code::PermissionDenied);
    assert_eq!(missing(by(&site, &reader).await, "", &data).await.unwrap(), 1);
    assert_eq!(write(by(&site, &writer).await, &upload(&data), b"data").await.unwrap(), 4);
    assert_eq!(read(by(&site, &reader).await, &blob(&data)).await.unwrap(), b"data");
    let update = proto::UpdateActionResultRequest {
        action_digest: Some(data.clone()),
        action_result: Some(proto::ActionResult::default()),
        ..Default::default()
    };
    let updated = ActionCacheClient::new(by(&site, &reader).await).update_action_result(update).await;
    refused(updated, Code::PermissionDenied);
}

#[tokio::test]
async fn a_call_acts_where_its_token_is_for_and_nowhere_else() {
    let mut people = People::default();
    let acme = people.token("acme", &["ios"], Role::Writer);
    let other = people.token("other", &[], Role::Admin);
    let site = asking(&people).await;
    let data = digest(b"data");
    assert_eq!(write(by(&site, &acme).await, &upload(&data), b"data").await.unwrap(), 4);
    assert_eq!(read(by(&site, &acme).await, &format!("acme/ios/{}", blob(&data))).await.unwrap(), b"data");
    for (token, instance, there) in [
        (&acme, "", Ok(0)),
        (&acme, "ios", Ok(0)),
        (&acme, "acme/ios", Ok(0)),
        (&acme, "web", Err(Code::PermissionDenied)),
        (&acme, "default/default", Err(Code::PermissionDenied)),
        (&other, "", Ok(1)),
        (&other, "ios", Ok(1)),
        (&other, "acme/ios", Err(Code::PermissionDenied)),
    ] {
        let found = missing(by(&site, token).await, instance, &data).await;
        assert_eq!(found.map_err(|status| status.code()), there, "{instance}");
    }
    refused(may_update(by(&site, &acme).await, "web").await, Code::PermissionDenied);
    refused(read(by(&site, &other).await, &format!("acme/ios/{}", blob(&data))).await, Code::PermissionDenied);
}

/// Both name an upload alike: neither goes on with the other's, nor is told how far it has come.
#[tokio::test]
async fn an_upload_that_broke_off_is_known_to_its_tenant_only() {
    let mut people = People::default();
    let acme = people.token("acme", &[], Role::Writer);
    let other = people.token("other", &[], Role::Writer);
    let site = asking(&people).await;
    let data = support::noise(100_000, 1);
    let name = upload(&digest(&data));
    let first = WriteRequest { resource_name: name.clone(), data: data[..50_000].to_vec(), ..WriteRequest::default() };
    let sent = ByteStreamClient::new(by(&site, &acme).await).write(tokio_stream::iter([first])).await.unwrap();
    assert_eq!(sent.into_inner().committed_size, 50_000);
    let status = async |token: &str| {
        let request = QueryWriteStatusRequest { resource_name: name.clone() };
        let told = ByteStreamClient::new(by(&site, token).await).query_write_status(request).await.unwrap();
        told.into_inner().committed_size
    };
    assert_eq!((status(&acme).await, status(&other).await), (50_000, 0));
    let rest = WriteRequest {
        resource_name: name.clone(),
        write_offset: 50_000,
        finish_write: true,
        data: data[50_000..].to_vec(),
    };
    let resumed = ByteStreamClient::new(by(&site, &other).await).write(tokio_stream::iter([rest.clone()])).await;
    refused(resumed, Code::InvalidArgument);
    let resumed = ByteStreamClient::new(by(&site, &acme).await).write(tokio_stream::iter([rest])).await.unwrap();
    assert_eq!(resumed.into_inner().committed_size, 100_000);
}
