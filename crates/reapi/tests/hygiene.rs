//! Clients that take nothing, are gone without a word, or never leave: what they hold is given back, and nobody else notices.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::time::Duration;

use bazel_remote_apis::google::bytestream::ReadRequest;
use http::{Method, Request};
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use kura_http::ServerSettings;
use kura_reapi::ReapiSettings;
use prost::Message;
use support::raw::{Connection, Said, WRITE, framed, full, held_back, received};
use support::{PATIENCE, Site, blob, noise};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

const READ: &str = "/google.bytestream.ByteStream/Read";

/// More than a client's window.
const LARGE: usize = 8 << 20;

async fn serving(idle_timeout: Duration) -> (Site, kura_store::Store) {
    Site::with(ServerSettings { idle_timeout, ..ServerSettings::default() }, ReapiSettings::default()).await
}

fn call(path: &str, message: &impl Message) -> Request<Said> {
    let request = Request::post(format!("http://test{path}")).header("content-type", "application/grpc");
    request.body(full(&framed(message))).unwrap()
}

/// Waits until nothing is held for bodies any more, while calls go on.
async fn given_back(site: &Site, connection: &Connection) {
    let given_back = async {
        while site.metric("kura_memory_bytes{part=\"bodies\"}").await > 0 {
            assert_eq!(connection.capabilities().await.unwrap(), Code::Ok);
        }
    };
    timeout(PATIENCE, given_back).await.expect("it is held on to");
}

#[tokio::test]
async fn a_download_of_which_nothing_is_taken_is_broken_off_and_its_connection_goes_on() {
    let (site, _store) = serving(Duration::from_millis(500)).await;
    let digest = site.put(&noise(LARGE, 1)).await;
    let request = ReadRequest { resource_name: blob(&digest), ..ReadRequest::default() };
    let get = Request::builder().method(Method::GET).uri(format!("http://test/cas/{}", digest.hash));
    for request in [call(READ, &request), get.body(full(b"")).unwrap()] {
        let connection = Connection::new(&site).await;
        let download = connection.client.clone().send_request(request).await.unwrap();
        assert!(site.metric("kura_memory_bytes{part=\"bodies\"}").await > 0, "it is under way");
        given_back(&site, &connection).await;
        assert!(download.into_body().collect().await.is_err(), "it is short, and its client is told");
        assert_eq!(connection.capabilities().await.unwrap(), Code::Ok);
    }
}

#[tokio::test]
async fn a_download_of_which_nothing_is_taken_is_broken_off_at_its_deadline() {
    let (site, _store) = Site::serving().await;
    let digest = site.put(&noise(LARGE, 1)).await;
    let connection = Connection::new(&site).await;
    let mut request = call(READ, &ReadRequest { resource_name: blob(&digest), ..ReadRequest::default() });
    request.headers_mut().insert("grpc-timeout", "300m".parse().unwrap());
    let download = connection.client.clone().send_request(request).await.unwrap();
    given_back(&site, &connection).await;
    assert!(download.into_body().collect().await.is_err());
}

#[tokio::test]
async fn who_watches_in_silence_keeps_the_connection() {
    let (site, _store) = serving(Duration::from_millis(500)).await;
    let mut client = HealthClient::new(site.channel().await);
    let mut watched = client.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    for _ in 0..3 {
        let idle = Connection::new(&site).await;
        tokio::select! {
            ended = watched.message() => panic!("{ended:?}"),
            closed = idle.closed() => closed.unwrap(),
        }
    }
    let handle = site.handle.clone();
    let drain = tokio::spawn(async move { handle.drain(PATIENCE).await });
    assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    drop((watched, client));
    drain.await.unwrap();
}

#[tokio::test]
async fn pings_alone_keep_no_connection() {
    let (site, _store) = serving(Duration::from_millis(100)).await;
    let stream = TokioIo::new(TcpStream::connect(site.address).await.unwrap());
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).keep_alive_interval(Duration::from_millis(10)).keep_alive_while_idle(true);
    let (_client, connection) = builder.handshake::<_, Said>(stream).await.unwrap();
    timeout(PATIENCE, connection).await.expect("the connection was not closed").unwrap();
}

#[tokio::test]
async fn a_client_that_is_gone_without_a_word_is_found_though_its_call_runs() {
    let (site, _store) = serving(Duration::from_millis(100)).await;
    let mut gone = TcpStream::connect(site.address).await.unwrap();
    gone.write_all(&unfinished_call()).await.unwrap();
    timeout(PATIENCE, gone.read_to_end(&mut Vec::new())).await.expect("it was not found").unwrap();
    let ended = "kura_grpc_calls_total{method=\"GetCapabilities\",code=\"CANCELLED\"}";
    timeout(PATIENCE, async { while site.metric(ended).await == 0 {} }).await.expect("its call still runs");
}

/// What a client of HTTP/2 says that begins a call, and then nothing any more.
fn unfinished_call() -> Vec<u8> {
    let mut head = vec![0x83, 0x86];
    for (name, value) in
        [(":path", support::raw::CAPABILITIES), (":authority", "test"), ("content-type", "application/grpc")]
    {
        head.push(0);
        for text in [name, value] {
            head.push(u8::try_from(text.len()).unwrap());
            head.extend_from_slice(text.as_bytes());
        }
    }
    let length = u8::try_from(head.len()).unwrap();
    let mut said = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    // HEADERS of stream 1, all of them.
    said.extend_from_slice(&[0, 0, length, 1, 4, 0, 0, 0, 1]);
    said.extend_from_slice(&head);
    said
}

#[tokio::test]
async fn an_upload_that_its_client_calls_off_without_an_error_is_not_stored() {
    let (site, _store) = Site::serving().await;
    let stream = TcpStream::connect(site.address).await.unwrap();
    let (requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let put = Request::put("http://test/http/a/b").body(()).unwrap();
    let (answer, mut upload) = requests.ready().await.unwrap().send_request(put, false).unwrap();
    upload.send_data("the first half".into(), false).unwrap();
    let came = "kura_http_received_bytes_total{surface=\"http\"}";
    timeout(PATIENCE, async { while site.metric(came).await == 0 {} }).await.unwrap();
    upload.send_reset(h2::Reason::NO_ERROR);
    assert!(answer.await.is_err());
    timeout(PATIENCE, async { while site.metric("kura_memory_bytes{part=\"bodies\"}").await > 0 {} }).await.unwrap();
    let connection = Connection::new(&site).await;
    let get = Request::get("http://test/http/a/b").body(full(b"")).unwrap();
    assert_eq!(connection.client.clone().send_request(get).await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_connection_that_does_not_end_is_cut_off_at_twice_its_age() {
    let settings = ServerSettings { connection_age: Some(Duration::from_millis(100)), ..ServerSettings::default() };
    let (site, _store) = Site::with(settings, ReapiSettings::default()).await;
    let connection = Connection::new(&site).await;
    let (sender, all, body) = held_back(&noise(3000, 1));
    sender.send(all[0].clone()).unwrap();
    let upload = tokio::spawn({
        let client = connection.client.clone();
        let request = Request::post(format!("http://test{WRITE}")).header("content-type", "application/grpc");
        async move { client.clone().send_request(request.body(body).unwrap()).await }
    });
    received(&site, 1000).await;
    let _ = connection.closed().await;
    assert!(timeout(PATIENCE, upload).await.unwrap().unwrap().is_err(), "its call goes with it");
    drop(sender);
}
