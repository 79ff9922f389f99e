//! Remote Asset: blobs that nothing is remembered for come from their origins.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::time::Duration;

use asset::fetch_client::FetchClient;
use asset::{FetchBlobRequest, FetchBlobResponse, FetchDirectoryRequest, Qualifier};
use bazel_remote_apis::build::bazel::remote::asset::v1 as asset;
use bazel_remote_apis::build::bazel::remote::execution::v2 as proto;
use bazel_remote_apis::google::protobuf;
use kura_http::ServerSettings;
use kura_reapi::{FetchSettings, ReapiSettings};
use kura_store::Store;
use support::origin::{Origin, ok, status};
use support::{Site, blob, digest, noise, read, refused};
use tonic::transport::Channel;
use tonic::{Code, Status};

struct Fetching {
    site: Site,
    client: FetchClient<Channel>,
    _store: Store,
}

fn settings() -> FetchSettings {
    let networks = vec!["127.0.0.1".parse().unwrap()];
    let (stall, roots) = (Duration::from_secs(30), Vec::new());
    let origins = kura_origin::Settings { networks, roots, stall };
    FetchSettings { origins, timeout: Duration::from_secs(30), keep: Duration::from_secs(3600) }
}

impl Fetching {
    async fn new() -> Fetching {
        Fetching::with(Some(settings())).await
    }

    async fn with(fetch: Option<FetchSettings>) -> Fetching {
        let grpc = ReapiSettings { fetch, ..ReapiSettings::default() };
        let (site, _store) = Site::with(ServerSettings::default(), grpc).await;
        let client = FetchClient::new(site.channel().await);
        Fetching { site, client, _store }
    }

    async fn ask(&self, request: FetchBlobRequest) -> Result<FetchBlobResponse, Status> {
        Ok(self.client.clone().fetch_blob(request).await?.into_inner())
    }

    async fn fetch(&self, uri: &str) -> FetchBlobResponse {
        self.ask(wanted(&[uri])).await.unwrap()
    }
}

fn wanted(uris: &[&str]) -> FetchBlobRequest {
    FetchBlobRequest { uris: uris.iter().map(|uri| (*uri).to_owned()).collect(), ..Default::default() }
}

fn qualified(uri: &str, name: &str, value: &str) -> FetchBlobRequest {
    let qualifiers = vec![Qualifier { name: name.to_owned(), value: value.to_owned() }];
    FetchBlobRequest { qualifiers, ..wanted(&[uri]) }
}

/// Asserts that an origin's answer came to that.
#[track_caller]
fn failed(answer: &FetchBlobResponse, uri: &str, code: Code) {
    let status = answer.status.as_ref().unwrap();
    assert_eq!((Code::from_i32(status.code), &*answer.uri), (code, uri), "{}", status.message);
    let said = answer.blob_digest.as_ref().unwrap();
    assert_eq!((said.size_bytes, said.hash.len()), (1, 64), "nobody takes it for the empty blob");
}

#[track_caller]
fn found(answer: &FetchBlobResponse, uri: &str, expected: &proto::Digest) {
    let status = answer.status.as_ref().unwrap();
    assert_eq!((status.code, &*status.message, &*answer.uri), (0, "", uri));
    assert_eq!(answer.blob_digest.as_ref(), Some(expected));
}

#[tokio::test]
async fn a_blob_is_fetched_from_its_origin_once_and_read_like_any_other() {
    let fetching = Fetching::new().await;
    for length in [0, 5, 100_000, 9 << 20] {
        let data = noise(length, 1);
        let body = ok(&data);
        let origin = Origin::open(move |_| body.clone()).await;
        let uri = origin.uri("/a.tar?token=x");
        for _ in 0..2 {
            let answer = fetching.fetch(&uri).await;
            found(&answer, &uri, &digest(&data));
            assert_eq!(answer.digest_function, proto::digest_function::Value::Sha256 as i32);
        }
        assert_eq!(origin.requests(), 1);
        let mut client = fetching.site.byte_stream().await;
        assert!(read(&mut client, &blob(&digest(&data))).await.unwrap() == data);
        assert!(fetching.site.missing(&[digest(&data)]).await.is_empty());
    }
    assert_eq!(fetching.site.metric("kura_memory_bytes{part=\"bodies\"}").await, 0, "all of it was given back");
    assert_eq!(fetching.site.metric("kura_grpc_fetched_total").await, 4);
    assert_eq!(fetching.site.metric("kura_grpc_fetched_bytes_total").await, 5 + 100_000 + (9 << 20));
}

#[tokio::test]
async fn nothing_is_fetched_where_nobody_said_so_and_no_directory_ever() {
    let origin = Origin::open(|_| ok(b"x")).await;
    let quiet = Fetching::with(None).await;
    refused(quiet.ask(wanted(&[&origin.uri("/")])).await, Code::NotFound);
    let fetching = Fetching::new().await;
    let directory = FetchDirectoryRequest { uris: vec![origin.uri("/")], ..Default::default() };
    refused(fetching.client.clone().fetch_directory(directory).await, Code::NotFound);
    refused(fetching.ask(wanted(&["urn:x:y", "ftp://127.0.0.1/"])).await, Code::NotFound);
    refused(fetching.ask(wanted(&[])).await, Code::InvalidArgument);
    assert_eq!(origin.requests(), 0);
}

#[tokio::test]
async fn an_address_that_is_not_public_is_denied() {
    let origin = Origin::open(|_| ok(b"secret")).await;
    let mut closed = settings();
    closed.origins.networks.clear();
    let fetching = Fetching::with(Some(closed)).await;
    let uri = origin.uri("/");
    failed(&fetching.fetch(&uri).await, &uri, Code::PermissionDenied);
    assert_eq!(origin.requests(), 0);
}

#[tokio::test]
async fn content_has_the_checksum_that_was_asked_for_or_is_not_taken() {
    let fetching = Fetching::new().await;
    let origin = Origin::open(|_| ok(b"hello")).await;
    let uri = origin.uri("/");
    let right = [
        "sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
        "sha384-WeF0h3dEjGnea4ANejO7+5/xtGPkQ1TDVTvNucZm+pASWjx5+QOXvfX2oT3oKGhP",
        "sha512-m3HSJL1i83hdltRq0+o9czGb+8KJDKra4t/3JRlnPKcjI8PZm6XBHXx6zG4UuMXaDEZjR1wuXDre9G9zvN7AQw==",
    ];
    for checksum in right {
        let answer = fetching.ask(qualified(&uri, "checksum.sri", checksum)).await.unwrap();
        found(&answer, &uri, &digest(b"hello"));
        assert_eq!(answer.expires_at, None, "it is the same whenever it is fetched");
    }
    let wrong = "sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCA=";
    for requests in [4, 5] {
        failed(&fetching.ask(qualified(&uri, "checksum.sri", wrong)).await.unwrap(), &uri, Code::Aborted);
        assert_eq!(origin.requests(), requests, "nothing is remembered of it");
    }
    assert_eq!(fetching.site.metric("kura_grpc_fetches_failed_total").await, 2);
    let md5 = qualified(&uri, "checksum.sri", "md5-XUFAKrxLKna5cZ2REBfFkg==");
    refused(fetching.ask(md5).await, Code::InvalidArgument);
    let status = refused(fetching.ask(qualified(&uri, "vcs.branch", "main")).await, Code::InvalidArgument);
    assert!(status.message().contains("vcs.branch") && !status.details().is_empty());
    assert_eq!(origin.requests(), 5);
}

#[tokio::test]
async fn content_of_another_checksum_leaves_nothing() {
    let fetching = Fetching::new().await;
    let data = noise(3000, 7);
    let body = ok(&data);
    let origin = Origin::open(move |_| body.clone()).await;
    let uri = origin.uri("/");
    let wrong = "sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCA=";
    failed(&fetching.ask(qualified(&uri, "checksum.sri", wrong)).await.unwrap(), &uri, Code::Aborted);
    assert_eq!(fetching.site.missing(&[digest(&data)]).await, [3000]);
}

#[tokio::test]
async fn the_next_uri_is_tried_and_the_last_one_is_reported() {
    let fetching = Fetching::new().await;
    let origin = Origin::open(|path| match path {
        "/there" => ok(b"content"),
        "/busy" => status("503 Busy"),
        "/secret" => status("403 Forbidden"),
        "/broken" => b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort".to_vec(),
        "/strange" => b"SMTP ready\r\n\r\n".to_vec(),
        _ => status("404 Not Found"),
    })
    .await;
    let [there, busy, gone] = ["/there", "/busy", "/gone"].map(|path| origin.uri(path));
    let answer = fetching.ask(wanted(&["urn:x:y", &gone, &busy, &there, "urn:x:z"])).await.unwrap();
    found(&answer, &there, &digest(b"content"));
    for (path, code) in [
        ("/gone", Code::NotFound),
        ("/busy", Code::Unavailable),
        ("/secret", Code::PermissionDenied),
        ("/broken", Code::Unavailable),
        ("/strange", Code::Aborted),
    ] {
        let uri = origin.uri(path);
        failed(&fetching.ask(wanted(&[&gone, &uri, "urn:x:y"])).await.unwrap(), &uri, code);
    }
    // What is remembered of a later one comes before what the first one's origin has.
    let requests = origin.requests();
    found(&fetching.ask(wanted(&[&gone, &there])).await.unwrap(), &there, &digest(b"content"));
    assert_eq!(origin.requests(), requests);
}

#[tokio::test]
async fn what_is_being_fetched_is_not_fetched_twice_and_goes_on_without_its_client() {
    let fetching = Fetching::new().await;
    let origin = Origin::closed(|_| ok(b"content")).await;
    let uri = origin.uri("/");
    let impatient = || {
        let timeout = Some(protobuf::Duration { seconds: 0, nanos: 100_000_000 });
        FetchBlobRequest { timeout, ..wanted(&["urn:x:y", &uri]) }
    };
    for _ in 0..3 {
        failed(&fetching.ask(impatient()).await.unwrap(), &uri, Code::DeadlineExceeded);
    }
    // The deadline of the call itself, which either end may notice first.
    let mut call = tonic::Request::new(wanted(&[&uri]));
    call.set_timeout(Duration::from_millis(100));
    assert!(fetching.client.clone().fetch_blob(call).await.is_err());
    assert_eq!(origin.requests(), 1);
    origin.let_answer();
    found(&fetching.fetch(&uri).await, &uri, &digest(b"content"));
    assert_eq!(origin.requests(), 1);
    let negative = FetchBlobRequest {
        timeout: Some(protobuf::Duration { seconds: -1, nanos: 0 }),
        ..wanted(&[&origin.uri("/other")])
    };
    refused(fetching.ask(negative).await, Code::InvalidArgument);
}

#[tokio::test]
async fn a_fetch_takes_only_so_long() {
    let fetching = Fetching::with(Some(FetchSettings { timeout: Duration::from_millis(100), ..settings() })).await;
    let origin = Origin::closed(|_| ok(b"content")).await;
    let uri = origin.uri("/");
    failed(&fetching.fetch(&uri).await, &uri, Code::DeadlineExceeded);
    origin.let_answer();
    found(&fetching.fetch(&uri).await, &uri, &digest(b"content"));
    assert_eq!(origin.requests(), 2, "the first one was given up");
}

#[tokio::test]
async fn what_is_too_old_or_has_no_checksum_for_too_long_is_fetched_again() {
    let fetching = Fetching::new().await;
    let origin = Origin::open(|_| ok(b"content")).await;
    let uri = origin.uri("/");
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    let answer = fetching.fetch(&uri).await;
    let until = answer.expires_at.unwrap().seconds;
    assert!((now + 3600..now + 3700).contains(&until), "{until}");
    // Bazel wants nothing that is remembered, and allows for clocks that differ by an hour.
    let ahead = Some(protobuf::Timestamp { seconds: now + 3600, nanos: 0 });
    let fresh = FetchBlobRequest { oldest_content_accepted: ahead, ..wanted(&[&uri]) };
    for requests in [2, 3] {
        found(&fetching.ask(fresh.clone()).await.unwrap(), &uri, &digest(b"content"));
        assert_eq!(origin.requests(), requests);
    }
    let forgetful = Fetching::with(Some(FetchSettings { keep: Duration::ZERO, ..settings() })).await;
    for requests in [4, 5] {
        found(&forgetful.fetch(&uri).await, &uri, &digest(b"content"));
        assert_eq!(origin.requests(), requests);
    }
}

#[tokio::test]
async fn a_blob_has_the_digest_function_that_was_asked_for() {
    let fetching = Fetching::new().await;
    let origin = Origin::open(|_| ok(b"hello")).await;
    let function = proto::digest_function::Value::Blake3 as i32;
    let answer =
        fetching.ask(FetchBlobRequest { digest_function: function, ..wanted(&[&origin.uri("/")]) }).await.unwrap();
    let hash = "ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f".to_owned();
    found(&answer, &origin.uri("/"), &proto::Digest { hash, size_bytes: 5 });
    assert_eq!(answer.digest_function, function);
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_comes_and_the_next_origin_is_asked() {
    let fetching = Fetching::new().await;
    let large = Origin::open(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 40000000\r\n\r\n".to_vec()).await;
    let (large, small) = (large.uri("/"), Origin::open(|_| ok(b"hello")).await);
    let answer = fetching.fetch(&large).await;
    failed(&answer, &large, Code::InvalidArgument);
    assert!(answer.status.unwrap().message.contains("larger than"));
    let answer = fetching.ask(wanted(&[&large, &small.uri("/")])).await.unwrap();
    found(&answer, &small.uri("/"), &support::digest(b"hello"));
}
