//! What holds for every call: recovery, deadlines, framing, counting, and what is not served.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::time::Duration;

use bazel_remote_apis::build::bazel::remote::execution::v2 as proto;
use bytes::Bytes;
use kura_http::ServerSettings;
use kura_reapi::ReapiSettings;
use proto::capabilities_client::CapabilitiesClient;
use proto::execution_client::ExecutionClient;
use support::raw::{CAPABILITIES, Connection, full, stepwise};
use support::{Site, blob, digest, messages, noise, read, refused, upload, written};
use tonic::Code;

async fn code(connection: &Connection, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Code {
    connection.exchange(path, headers, full(body)).await.unwrap().0
}

#[tokio::test]
async fn capabilities_say_what_is_served() {
    let (site, store) = Site::serving().await;
    let mut client = CapabilitiesClient::new(site.channel().await);
    let said = client.get_capabilities(proto::GetCapabilitiesRequest::default()).await.unwrap().into_inner();
    let version = |version: Option<bazel_remote_apis::build::bazel::semver::SemVer>| {
        let version = version.unwrap();
        (version.major, version.minor, version.patch)
    };
    assert_eq!((version(said.low_api_version), version(said.high_api_version)), ((2, 0, 0), (2, 13, 0)));
    let cache = said.cache_capabilities.unwrap();
    assert_eq!(cache.digest_functions[0], proto::digest_function::Value::Sha256 as i32);
    assert_eq!(cache.digest_functions.len(), 6);
    assert_eq!(cache.supported_compressors, [proto::compressor::Value::Zstd as i32]);
    assert_eq!(cache.supported_batch_update_compressors, cache.supported_compressors);
    assert!(cache.action_cache_update_capabilities.unwrap().update_enabled);
    assert_eq!(cache.max_batch_total_size_bytes, (4 << 20) - (64 << 10));
    assert_eq!(cache.max_cas_blob_size_bytes, store.max_artifact_size() as i64);
    assert!(cache.split_blob_support && cache.splice_blob_support);
    let chunking = cache.fast_cdc_2020_params.unwrap();
    assert_eq!((chunking.avg_chunk_size_bytes, chunking.seed), (512 << 10, 0));
    assert!(!said.execution_capabilities.unwrap().exec_enabled);
    let bad = proto::GetCapabilitiesRequest { instance_name: "a//b".to_owned() };
    refused(client.get_capabilities(bad).await, Code::InvalidArgument);
}

#[tokio::test]
async fn until_recovery_is_done_calls_are_told_to_come_back() {
    let site = Site::unopened(ServerSettings::default(), ReapiSettings::default()).await;
    let mut client = site.byte_stream().await;
    let data = noise(100_000, 1);
    let name = upload(&digest(&data));
    refused(written(&mut client, &name, &data, 1000).await, Code::Unavailable);
    let told = refused(read(&mut client, &blob(&digest(&data))).await, Code::Unavailable);
    assert!(!told.details().is_empty(), "says when");
    let _store = site.open().await;
    assert_eq!(written(&mut client, &name, &data, 1000).await.unwrap(), 100_000);
}

#[tokio::test]
async fn what_is_not_served_is_unimplemented() {
    let (site, _store) = Site::serving().await;
    let mut execution = ExecutionClient::new(site.channel().await);
    refused(execution.execute(proto::ExecuteRequest::default()).await, Code::Unimplemented);
    let client = Connection::new(&site).await;
    for path in ["/", "/nothing", "/google.bytestream.ByteStream/Append", "/some.Service/Method"] {
        assert_eq!(code(&client, path, &[], &[0; 5]).await, Code::Unimplemented, "{path}");
    }
}

#[tokio::test]
async fn messages_that_are_badly_framed_are_refused() {
    let (site, _store) = Site::serving().await;
    let client = Connection::new(&site).await;
    let empty = [0; 5];
    assert_eq!(code(&client, CAPABILITIES, &[], &empty).await, Code::Ok);
    let table: [(&[u8], Code); 7] = [
        (&[], Code::Internal),
        (&[0, 0, 0], Code::Internal),
        (&[0, 0, 0, 0, 9, 1], Code::Internal),
        (&[&empty[..], &empty].concat(), Code::Internal),
        (&[1, 0, 0, 0, 0], Code::Unimplemented),
        (&[0, 0xff, 0xff, 0xff, 0xff], Code::InvalidArgument),
        (&[0, 0, 0, 0, 2, 0xff, 0xff], Code::InvalidArgument),
    ];
    for (body, expected) in table {
        assert_eq!(code(&client, CAPABILITIES, &[], body).await, expected, "{body:?}");
    }
    // The same in the middle of an upload.
    let write = "/google.bytestream.ByteStream/Write";
    for body in
        [&[][..], &[0, 0, 0, 0, 1], &[0, 0, 0, 0, 1, 0x0a], &[0, 0, 0, 0, 2, 0x52, 9], &[0, 0, 0, 0, 3, 0x0b, 1, 1]]
    {
        assert_ne!(code(&client, write, &[], body).await, Code::Ok, "{body:?}");
    }
}

#[tokio::test]
async fn a_deadline_that_is_over_ends_the_call() {
    let (site, _store) = Site::serving().await;
    let client = Connection::new(&site).await;
    // The rest never comes.
    let (begun, body) = stepwise();
    begun.send(Bytes::from_static(&[0, 0, 0, 0, 9])).unwrap();
    let (answer, _) = client.exchange(CAPABILITIES, &[("grpc-timeout", "100m")], body).await.unwrap();
    assert_eq!(answer, Code::DeadlineExceeded);
    assert_eq!(code(&client, CAPABILITIES, &[("grpc-timeout", "soon")], &[0; 5]).await, Code::InvalidArgument);
    assert_eq!(code(&client, CAPABILITIES, &[("grpc-timeout", "60S")], &[0; 5]).await, Code::Ok);
}

#[tokio::test]
async fn an_upload_that_stalls_or_dawdles_is_dropped() {
    let settings = ReapiSettings { idle_timeout: Duration::from_millis(100), ..ReapiSettings::default() };
    let (site, _store) = Site::with(ServerSettings::default(), settings).await;
    let data = noise(1000, 1);
    let mut all = messages(&upload(&digest(&data)), &data, 100);
    all.truncate(3);
    let stalled = tokio_stream::StreamExt::chain(tokio_stream::iter(all), tokio_stream::pending());
    refused(site.byte_stream().await.write(stalled).await, Code::DeadlineExceeded);

    let settings =
        ReapiSettings { upload_pace: 1 << 30, pace_window: Duration::from_millis(50), ..ReapiSettings::default() };
    let (site, _store) = Site::with(ServerSettings::default(), settings).await;
    let all = messages(&upload(&digest(&data)), &data, 1);
    let slow = tokio_stream::StreamExt::throttle(tokio_stream::iter(all), Duration::from_millis(10));
    refused(site.byte_stream().await.write(slow).await, Code::DeadlineExceeded);
}

#[tokio::test]
async fn calls_are_counted_by_method_and_code_whatever_becomes_of_them() {
    let (site, _store) = Site::serving().await;
    let data = noise(3 << 20, 1);
    let digest = site.put(&data).await;
    let mut client = site.byte_stream().await;
    read(&mut client, &blob(&digest)).await.unwrap();
    refused(read(&mut client, "nothing").await, Code::InvalidArgument);
    // Called off in the middle.
    let request =
        bazel_remote_apis::google::bytestream::ReadRequest { resource_name: blob(&digest), ..Default::default() };
    let mut stream = client.read(request).await.unwrap().into_inner();
    stream.message().await.unwrap();
    drop((stream, client));
    let count = |method: &str, code: &str| format!("kura_grpc_calls_total{{method=\"{method}\",code=\"{code}\"}}");
    while site.metric(&count("Read", "CANCELLED")).await == 0 {}
    assert_eq!(site.metric(&count("Write", "OK")).await, 1);
    assert_eq!(site.metric(&count("Read", "OK")).await, 1);
    assert_eq!(site.metric(&count("Read", "INVALID_ARGUMENT")).await, 1);
    assert!(site.metric("kura_grpc_received_bytes_total").await > 3 << 20);
    assert!(site.metric("kura_grpc_sent_bytes_total").await > 3 << 20);
    assert_eq!(site.metric("kura_memory_bytes{part=\"bodies\"}").await, 0, "all of it was given back");
}

#[tokio::test]
async fn memory_in_flight_is_bounded() {
    let settings = ServerSettings { memory: 1 << 20, ..ServerSettings::default() };
    let (site, _store) = Site::with(settings, ReapiSettings::default()).await;
    let mut client = site.byte_stream().await;
    let data = noise(100_000, 1);
    let digest = digest(&data);
    assert_eq!(written(&mut client, &upload(&digest), &data, 1000).await.unwrap(), 100_000);
    let large = noise(3 << 20, 2);
    let told =
        refused(written(&mut client, &upload(&support::digest(&large)), &large, 1000).await, Code::ResourceExhausted);
    assert!(!told.details().is_empty(), "says when to come back");
    assert!(read(&mut client, &blob(&digest)).await.unwrap() == data);
}
