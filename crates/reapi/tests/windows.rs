//! Windows: over a long path one transfer moves as much in a round trip as its window holds, so that all of it has to be used, both ways.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use bazel_remote_apis::build::bazel::remote::execution::v2::Digest;
use bazel_remote_apis::google::bytestream::ReadRequest;
use bytes::Bytes;
use futures_util::future::poll_fn;
use h2::client::{Builder, SendRequest};
use h2::{RecvStream, SendStream};
use http::Request;
use http_body_util::BodyExt as _;
use kura_http::ServerSettings;
use kura_reapi::ReapiSettings;
use support::raw::{Connection, WRITE, framed, full, stepwise};
use support::{PATIENCE, Site, blob, noise};
use tokio::net::TcpStream;
use tokio::time::timeout;

const READ: &str = "/google.bytestream.ByteStream/Read";

const MIB: u32 = 1 << 20;

async fn connect(site: &Site, builder: &Builder) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(site.address).await.unwrap();
    let (requests, connection) = builder.handshake(stream).await.unwrap();
    tokio::spawn(connection);
    requests
}

fn post(path: &str) -> Request<()> {
    Request::post(format!("http://test{path}")).header("content-type", "application/grpc").body(()).unwrap()
}

/// Waits until so many bytes may be sent on the stream without hearing from the server again.
async fn may_send(stream: &mut SendStream<Bytes>, bytes: usize) {
    stream.reserve_capacity(bytes);
    let enough = async {
        while stream.capacity() < bytes {
            poll_fn(|cx| stream.poll_capacity(cx)).await.unwrap().unwrap();
        }
    };
    timeout(PATIENCE, enough).await.expect("its window is smaller");
}

/// Takes bytes, and gives none of the window back, until so many are there.
async fn take(stream: &mut RecvStream, bytes: u32) -> Vec<u8> {
    let mut taken = Vec::new();
    let all = async {
        while taken.len() < bytes as usize {
            taken.extend_from_slice(&stream.data().await.unwrap().unwrap());
        }
    };
    timeout(PATIENCE, all).await.expect("the window is not used");
    taken
}

/// An answer to a read of `digest`, of which nothing was taken.
async fn read(requests: &SendRequest<Bytes>, digest: &Digest) -> RecvStream {
    let (answer, mut stream) = requests.clone().ready().await.unwrap().send_request(post(READ), false).unwrap();
    let request = framed(&ReadRequest { resource_name: blob(digest), ..ReadRequest::default() });
    stream.send_data(request, true).unwrap();
    answer.await.unwrap().into_body()
}

#[tokio::test]
async fn an_upload_may_have_all_of_its_streams_window_under_way_and_all_of_them_the_connections() {
    let settings = ServerSettings { stream_window: 3 * MIB, connection_window: 5 * MIB, ..ServerSettings::default() };
    let (site, _store) = Site::with(settings, ReapiSettings::default()).await;
    let mut builder = Builder::new();
    builder.max_send_buffer_size(64 << 20);
    let requests = connect(&site, &builder).await;
    let mut streams = Vec::new();
    for _ in 0..2 {
        let (answer, stream) = requests.clone().ready().await.unwrap().send_request(post(WRITE), false).unwrap();
        streams.push((answer, stream));
    }
    may_send(&mut streams[0].1, 3 << 20).await;
    // What is left of the connection's.
    may_send(&mut streams[1].1, 2 << 20).await;
    streams[1].1.reserve_capacity(3 << 20);
    assert_eq!(streams[1].1.capacity(), 2 << 20, "and no more");
    // What the first does not want, the second may have.
    streams[0].1.reserve_capacity(0);
    may_send(&mut streams[1].1, 3 << 20).await;
    assert_eq!(streams[0].1.capacity(), 0);
}

#[tokio::test]
async fn an_upload_gets_all_of_its_window_back_once_that_was_taken() {
    let settings = ServerSettings { stream_window: 3 * MIB, ..ServerSettings::default() };
    let (site, _store) = Site::with(settings, ReapiSettings::default()).await;
    let mut builder = Builder::new();
    builder.max_send_buffer_size(64 << 20);
    let requests = connect(&site, &builder).await;
    let put = Request::put("http://test/http/windows/upload").body(()).unwrap();
    let (answer, mut stream) = requests.ready().await.unwrap().send_request(put, false).unwrap();
    let window = Bytes::from(noise(3 << 20, 1));
    for _ in 0..4 {
        may_send(&mut stream, window.len()).await;
        // Frames of a length that makes no third of it.
        for frame in window.chunks(10_007) {
            stream.send_data(window.slice_ref(frame), false).unwrap();
        }
    }
    stream.send_data(Bytes::new(), true).unwrap();
    assert!(answer.await.unwrap().status().is_success());
}

#[tokio::test]
async fn a_download_fills_the_window_that_its_client_gives_it() {
    let (site, _store) = Site::serving().await;
    let data = noise(20 << 20, 1);
    let digest = site.put(&data).await;
    let mut builder = Builder::new();
    builder.initial_window_size(7 * MIB).initial_connection_window_size(7 * MIB);
    let requests = connect(&site, &builder).await;
    let mut answer = read(&requests, &digest).await;
    for _ in 0..2 {
        let window = take(&mut answer, 7 * MIB).await;
        assert_eq!(window.len(), 7 << 20, "all of the window, and no more");
        answer.flow_control().release_capacity(window.len()).unwrap();
    }
}

#[tokio::test]
async fn downloads_that_are_not_taken_keep_nobody_waiting() {
    let (site, _store) = Site::serving().await;
    let data = noise(3 << 20, 1);
    let digest = site.put(&data).await;
    let mut builder = Builder::new();
    builder.initial_window_size(MIB / 2).initial_connection_window_size(64 * MIB);
    let requests = connect(&site, &builder).await;
    let mut stopped = Vec::new();
    for _ in 0..20 {
        let mut answer = read(&requests, &digest).await;
        take(&mut answer, MIB / 2).await;
        stopped.push(answer);
    }
    let mut answer = read(&requests, &digest).await;
    let mut taken = 0;
    while let Some(frame) = timeout(PATIENCE, answer.data()).await.expect("others stand in its way") {
        let length = frame.unwrap().len();
        answer.flow_control().release_capacity(length).unwrap();
        taken += length;
    }
    assert!(taken > data.len());
    // And they go on when they are wanted.
    stopped[0].flow_control().release_capacity(MIB as usize / 2).unwrap();
    take(&mut stopped[0], MIB / 2).await;
}

#[tokio::test]
async fn a_part_of_a_module_is_accounted_for_with_what_may_come_in_ahead_of_it() {
    let settings = ServerSettings { connection_window: 5 * MIB, ..ServerSettings::default() };
    let (site, _store) = Site::with(settings, ReapiSettings::default()).await;
    let connection = Connection::new(&site).await;
    let ask = |path: &str, body| {
        let request = Request::post(format!("http://test/api/cache/module/{path}")).body(body).unwrap();
        connection.client.clone().send_request(request)
    };
    let started = ask("start?hash=h&name=n", full(b"")).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    let id = str::from_utf8(&started).unwrap().split('"').nth(3).unwrap();
    let (pieces, body) = stepwise();
    let part = tokio::spawn(ask(&format!("part?upload_id={id}&part_number=1"), body));
    pieces.send(Bytes::from_static(b"a piece")).unwrap();
    while site.metric("kura_http_received_bytes_total{surface=\"module\"}").await < 7 {}
    let under_way = site.metric("kura_memory_bytes{part=\"bodies\"}").await;
    assert!(under_way >= u64::from(5 * MIB), "{under_way}");
    drop(pieces);
    assert_eq!(part.await.unwrap().unwrap().status(), 204);
    assert!(site.metric("kura_memory_bytes{part=\"bodies\"}").await < under_way - u64::from(5 * MIB) + 1);
}
