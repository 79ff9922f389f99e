//! Connections: HTTP/1.1 and HTTP/2 on one port, many calls at once, and the ways a connection ends.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::time::Duration;

use futures_util::future::join_all;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use kura_http::{Drained, ServerSettings};
use kura_reapi::ReapiSettings;
use support::raw::{CAPABILITIES, Connection, WRITE, full, held_back, received};
use support::{PATIENCE, Site, blob, noise, read};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::Code;

#[tokio::test]
async fn every_protocol_is_served_on_one_port() {
    let (site, _store) = Site::serving().await;
    assert!(site.metrics().await.contains("kura_recovered 1"), "HTTP/1.1");
    let connection = Connection::new(&site).await;
    assert_eq!(connection.capabilities().await.unwrap(), Code::Ok);
    let http = async |method: Method, path: &str, body: &[u8]| {
        let request = Request::builder().method(method).uri(format!("http://test{path}"));
        let response = connection.client.clone().send_request(request.body(full(body)).unwrap()).await.unwrap();
        (response.status(), response.into_body().collect().await.unwrap().to_bytes())
    };
    let body = noise(3 << 20, 1);
    assert_eq!(http(Method::PUT, "/http/a/b", &body).await.0, StatusCode::OK);
    assert!(http(Method::GET, "/http/a/b", b"").await == (StatusCode::OK, body.into()));
    assert_eq!(http(Method::GET, "/http/a/c", b"").await.0, StatusCode::NOT_FOUND);
    assert_eq!(http(Method::GET, "/up", b"").await.0, StatusCode::OK);
    assert_eq!(http(Method::POST, CAPABILITIES, b"").await.0, StatusCode::NOT_FOUND, "not gRPC without its type");
    assert_eq!(connection.capabilities().await.unwrap(), Code::Ok);
}

#[tokio::test]
async fn a_preface_may_come_in_pieces_and_what_only_begins_like_one_is_http_1() {
    let (site, _store) = Site::serving().await;
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    let mut frame = [0; 9];
    timeout(PATIENCE, stream.read_exact(&mut frame)).await.unwrap().unwrap();
    assert_eq!(frame[3], 4, "SETTINGS come first");

    for request in
        ["PUT /http/a/b HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n\r\nx", "P / HTTP/1.1\r\nHost: test\r\n\r\n"]
    {
        let mut stream = TcpStream::connect(site.address).await.unwrap();
        let (first, rest) = request.split_at(1);
        stream.write_all(first.as_bytes()).await.unwrap();
        tokio::task::yield_now().await;
        stream.write_all(rest.as_bytes()).await.unwrap();
        let mut answer = [0; 9];
        timeout(PATIENCE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(&answer, b"HTTP/1.1 ", "{request}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_calls_at_once_are_served_on_one_connection() {
    let (site, _store) = Site::serving().await;
    let connection = Connection::new(&site).await;
    let uploads: Vec<_> = (0..1000).map(|seed| held_back(&noise(3000, seed))).collect();
    let mut running = Vec::new();
    for (sender, all, body) in uploads {
        let call = connection.call(WRITE, body);
        running.push(async move {
            let (first, rest) = all.split_first().unwrap();
            sender.send(first.clone()).unwrap();
            let send_rest = async {
                for message in rest {
                    tokio::task::yield_now().await;
                    sender.send(message.clone()).unwrap();
                }
                drop(sender);
            };
            tokio::join!(call, send_rest).0
        });
    }
    for answer in join_all(running).await {
        assert_eq!(answer.unwrap(), Code::Ok);
    }
    assert_eq!(connection.capabilities().await.unwrap(), Code::Ok);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_downloads_at_once_are_served_on_one_connection() {
    let (site, _store) = Site::serving().await;
    // In all, several times what its client lets be under way.
    let data = noise(100_000, 1);
    let name = blob(&site.put(&data).await);
    let client = site.byte_stream().await;
    let downloads = (0..1000).map(|_| {
        let (mut client, name) = (client.clone(), &name);
        async move { read(&mut client, name).await }
    });
    for download in join_all(downloads).await {
        assert!(download.unwrap() == data);
    }
}

#[tokio::test]
async fn a_thousand_calls_called_off_at_once_leave_the_connection_as_it_was() {
    let (site, _store) = Site::serving().await;
    let connection = Connection::new(&site).await;
    let mut sent = 0;
    for _ in 0..3 {
        let mut senders = Vec::new();
        let mut calls = Vec::new();
        for seed in 0..1000 {
            let (sender, all, body) = held_back(&noise(3000, seed));
            sent += all[0].len() as u64;
            sender.send(all[0].clone()).unwrap();
            senders.push(sender);
            calls.push(Box::pin(connection.call(WRITE, body)));
        }
        let all = join_all(calls);
        tokio::select! {
            _ = all => panic!("none can end"),
            () = received(&site, sent) => {}
        }
        assert_eq!(connection.capabilities().await.unwrap(), Code::Ok);
        sent += 5;
    }
    while site.metric("kura_grpc_calls_total{method=\"Write\",code=\"CANCELLED\"}").await < 3000 {}
    assert_eq!(site.metric("kura_memory_bytes{part=\"bodies\"}").await, 0);
}

#[tokio::test]
async fn thousands_of_uploads_answered_early_leave_the_connection_as_it_was() {
    let (site, _store) = Site::serving().await;
    let data = noise(100_000, 1);
    site.put(&data).await;
    let connection = Connection::new(&site).await;
    for _ in 0..3000 {
        // All of it is sent, though the first message is answered.
        let (sender, all, body) = held_back(&data);
        all.into_iter().for_each(|message| sender.send(message).unwrap());
        drop(sender);
        assert_eq!(connection.call(WRITE, body).await.unwrap(), Code::Ok);
    }
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused_and_the_connection_goes_on() {
    let (site, _store) = Site::serving().await;
    let connection = Connection::new(&site).await;
    let long = "x".repeat(100_000);
    let request = Request::post(format!("http://test{CAPABILITIES}"))
        .header("content-type", "application/grpc")
        .header("x-long", long)
        .body(full(&[0; 5]));
    let answer = connection.client.clone().send_request(request.unwrap()).await;
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status() == 431));
    assert_eq!(connection.capabilities().await.unwrap(), Code::Ok);
}

#[tokio::test]
async fn a_connection_without_calls_is_closed_in_good_order() {
    let settings = ServerSettings { idle_timeout: Duration::from_millis(100), ..ServerSettings::default() };
    let (site, _store) = Site::with(settings, ReapiSettings::default()).await;
    let connection = Connection::new(&site).await;
    assert_eq!(connection.capabilities().await.unwrap(), Code::Ok);
    connection.closed().await.unwrap();
    // One that does not even answer is closed all the same.
    let mut silent = TcpStream::connect(site.address).await.unwrap();
    silent.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    timeout(PATIENCE, silent.read_to_end(&mut Vec::new())).await.expect("it was not closed").unwrap();
}

#[tokio::test]
async fn a_call_that_runs_keeps_its_connection() {
    let settings = ServerSettings { idle_timeout: Duration::from_millis(250), ..ServerSettings::default() };
    let (site, _store) = Site::with(settings, ReapiSettings::default()).await;
    let connection = Connection::new(&site).await;
    let data = noise(3000, 1);
    let (sender, all, body) = held_back(&data);
    let slowly = async {
        for message in all {
            sender.send(message).unwrap();
            // For as long as one lasts that nothing runs on.
            Connection::new(&site).await.closed().await.unwrap();
        }
        drop(sender);
    };
    let (answer, ()) = tokio::join!(connection.call(WRITE, body), slowly);
    assert_eq!(answer.unwrap(), Code::Ok);
}

#[tokio::test]
async fn an_old_connection_ends_once_its_calls_have() {
    // It is cut off at twice its age, and the call has to end before.
    let settings = ServerSettings { connection_age: Some(Duration::from_secs(2)), ..ServerSettings::default() };
    let (site, _store) = Site::with(settings, ReapiSettings::default()).await;
    let connection = Connection::new(&site).await;
    let data = noise(3000, 1);
    let (sender, all, body) = held_back(&data);
    sender.send(all[0].clone()).unwrap();
    let mut upload = Box::pin(connection.call(WRITE, body));
    // Until the client has been asked to go elsewhere, it may begin calls.
    let retired = async { while connection.capabilities().await.is_ok() {} };
    tokio::select! {
        _ = &mut upload => panic!("it cannot have ended"),
        () = retired => {}
    }
    for message in &all[1..] {
        sender.send(message.clone()).unwrap();
    }
    drop(sender);
    assert_eq!((&mut upload).await.unwrap(), Code::Ok);
    drop(upload);
    connection.closed().await.unwrap();
}

#[tokio::test]
async fn a_drain_lets_calls_end_and_takes_no_more() {
    let (site, _store) = Site::serving().await;
    let idle = Connection::new(&site).await;
    assert_eq!(idle.capabilities().await.unwrap(), Code::Ok);
    let running = Connection::new(&site).await;
    let data = noise(3000, 1);
    let (sender, all, body) = held_back(&data);
    sender.send(all[0].clone()).unwrap();
    let upload = running.call(WRITE, body);
    let drain = async {
        received(&site, 1000).await;
        let handle = site.handle.clone();
        let drain = tokio::spawn(async move { handle.drain(PATIENCE).await });
        idle.closed().await.unwrap();
        for message in &all[1..] {
            sender.send(message.clone()).unwrap();
        }
        drop(sender);
        drain.await.unwrap()
    };
    let (answer, drained) = tokio::join!(upload, drain);
    assert_eq!(answer.unwrap(), Code::Ok);
    assert_eq!(drained, Drained { aborted: 0 });
    running.closed().await.unwrap();
}
