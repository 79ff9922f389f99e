//! Who may do what over gRPC.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use bazel_remote_apis::build::bazel::remote::asset::v1::fetch_client::FetchClient;
use bazel_remote_apis::build::bazel::remote::asset::v1::push_client::PushClient;
use bazel_remote_apis::build::bazel::remote::asset::v1::{FetchBlobRequest, PushBlobRequest};
use bazel_remote_apis::build::bazel::remote::execution::v2 as proto;
use bazel_remote_apis::google::bytestream::byte_stream_client::ByteStreamClient;
use bazel_remote_apis::google::bytestream::{QueryWriteStatusRequest, ReadRequest, WriteRequest};
use kura_auth::Role;
use kura_http::ServerSettings;
use kura_reapi::ReapiSettings;
use proto::action_cache_client::ActionCacheClient;
use proto::capabilities_client::CapabilitiesClient;
use proto::content_addressable_storage_client::ContentAddressableStorageClient;
use support::llvm::{Llvm, Value};
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

/// What somebody is told of everything that the test stores, over every service.
async fn told(site: &Site, token: &str, data: &proto::Digest) -> Vec<String> {
    let action = proto::GetActionResultRequest { action_digest: Some(data.clone()), ..Default::default() };
    let action = ActionCacheClient::new(by(site, token).await).get_action_result(action).await;
    let fetch = FetchBlobRequest { uris: vec!["https://a/b".to_owned()], ..Default::default() };
    let fetch = FetchClient::new(by(site, token).await).fetch_blob(fetch).await;
    let status = QueryWriteStatusRequest { resource_name: upload(data) };
    let status = ByteStreamClient::new(by(site, token).await).query_write_status(status).await;
    let batch = proto::BatchReadBlobsRequest { digests: vec![data.clone()], ..Default::default() };
    let batch = ContentAddressableStorageClient::new(by(site, token).await).batch_read_blobs(batch).await;
    let tree = proto::GetTreeRequest { root_digest: Some(data.clone()), ..Default::default() };
    let tree = ContentAddressableStorageClient::new(by(site, token).await).get_tree(tree).await;
    let tree = match tree {
        Ok(mut tree) => format!("{:?}", tree.get_mut().message().await.map_err(|status| status.code())),
        Err(status) => status.to_string(),
    };
    let mut llvm = Llvm::new(site.channel().await).with(token);
    let id: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&data.hash[2 * at..2 * at + 2], 16).unwrap()).collect();
    vec![
        format!("{:?}", missing(by(site, token).await, "", data).await),
        format!("{:?}", read(by(site, token).await, &blob(data)).await.map_err(|status| status.code())),
        format!("{:?}", action.map(tonic::Response::into_inner).map_err(|status| status.code())),
        format!("{:?}", fetch.map(tonic::Response::into_inner).map_err(|status| status.code())),
        format!("{:?}", status.map(tonic::Response::into_inner).map_err(|status| status.code())),
        format!("{:?}", batch.map(tonic::Response::into_inner).map_err(|status| status.code())),
        tree,
        format!("{:?}", llvm.get_value(b"key").await),
        format!("{:?}", llvm.get(&id, false).await),
    ]
}

/// Stores a blob, an action result, a value of LLVM's and an asset.
async fn store(site: &Site, token: &str, data: &proto::Digest, exit_code: i32) {
    assert_eq!(write(by(site, token).await, &upload(data), b"data").await.unwrap(), 4);
    let update = proto::UpdateActionResultRequest {
        action_digest: Some(data.clone()),
        action_result: Some(proto::ActionResult { exit_code, ..Default::default() }),
        ..Default::default()
    };
    ActionCacheClient::new(by(site, token).await).update_action_result(update).await.unwrap();
    let push =
        PushBlobRequest { uris: vec!["https://a/b".to_owned()], blob_digest: Some(data.clone()), ..Default::default() };
    PushClient::new(by(site, token).await).push_blob(push).await.unwrap();
    let mut llvm = Llvm::new(site.channel().await).with(token);
    let value = Value { entries: [("of".to_owned(), vec![u8::try_from(exit_code).unwrap()])].into() };
    llvm.put_value(b"key", Some(value)).await.unwrap();
}

#[tokio::test]
async fn what_one_stores_changes_nothing_of_what_another_is_told() {
    let mut people = People::default();
    let pairs = [
        (people.token("a", &[], Role::Writer), people.token("b", &[], Role::Writer)),
        (people.token("c", &["x"], Role::Writer), people.token("c", &["y"], Role::Writer)),
        (people.in_overlay("d", "1"), people.token("d", &[], Role::Writer)),
        (people.in_overlay("e", "1"), people.in_overlay("e", "2")),
    ];
    let site = asking(&people).await;
    let data = digest(b"data");
    for (one, other) in pairs {
        let nothing = told(&site, &other, &data).await;
        store(&site, &one, &data, 1).await;
        assert_ne!(told(&site, &one, &data).await, nothing, "what was stored is there");
        assert_eq!(told(&site, &other, &data).await, nothing);
        store(&site, &other, &data, 2).await;
        let own = told(&site, &other, &data).await;
        store(&site, &one, &data, 3).await;
        assert_eq!(told(&site, &other, &data).await, own);
    }
}

#[tokio::test]
async fn an_overlay_is_told_what_is_trusted_until_it_stores_its_own() {
    let mut people = People::default();
    let (trusted, overlay) = (people.token("a", &[], Role::Writer), people.in_overlay("a", "1"));
    let site = asking(&people).await;
    let data = digest(b"data");
    store(&site, &trusted, &data, 1).await;
    let good = told(&site, &trusted, &data).await;
    assert_eq!(told(&site, &overlay, &data).await, good);
    assert!(may_update(by(&site, &overlay).await, "").await.unwrap());
    store(&site, &overlay, &data, 7).await;
    assert_ne!(told(&site, &overlay, &data).await, good);
    assert_eq!(told(&site, &trusted, &data).await, good, "not one byte of it");
}
