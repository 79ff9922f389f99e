//! A unix socket beside the port: the same surfaces, the same bounds, and an end with the rest.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::path::PathBuf;
use std::time::Duration;

use kura_http::ServerSettings;
use support::{PATIENCE, Site};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// A server, and the socket that it listens on too.
struct Both {
    site: Site,
    socket: PathBuf,
    _directory: tempfile::TempDir,
}

impl Both {
    async fn serving(settings: ServerSettings) -> Both {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("socket");
        let site = Site::listening(settings, Some(UnixListener::bind(&socket).unwrap())).await;
        site.open(support::CAPACITY).await;
        Both { site, socket, _directory: directory }
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.socket).await.unwrap()
    }
}

/// All that is answered until the connection is closed.
async fn ask(stream: &mut UnixStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("it is not closed").unwrap();
    answer
}

#[tokio::test]
async fn what_is_stored_through_the_one_is_found_through_the_other() {
    let both = Both::serving(ServerSettings::default()).await;
    let mut stream = both.connect().await;
    let put = "PUT /cache/key HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody";
    assert!(ask(&mut stream, put).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(both.site.get("/cache/key").await.text(), "body");
    let mut stream = both.connect().await;
    let got = ask(&mut stream, "GET /cache/key HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(got.ends_with("\r\n\r\nbody"), "{got}");
}

#[tokio::test]
async fn who_says_nothing_is_closed_like_anybody() {
    let settings = ServerSettings { idle_timeout: Duration::from_millis(100), ..ServerSettings::default() };
    let both = Both::serving(settings).await;
    let mut stream = both.connect().await;
    assert_eq!(ask(&mut stream, "").await, "");
}

#[tokio::test]
async fn connections_are_bounded_over_both() {
    let both = Both::serving(ServerSettings { max_connections: 1, ..ServerSettings::default() }).await;
    let mut held = both.connect().await;
    held.write_all(b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(held.read(&mut [0; 512]).await.unwrap() > 0);
    let mut waiting = both.site.connect().await;
    waiting.send("GET /up HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut first = [0];
    let nothing = tokio::time::timeout(Duration::from_millis(50), waiting.stream.peek(&mut first)).await;
    assert!(nothing.is_err(), "there is one already");
    drop(held);
    assert_eq!(waiting.response().await.status, 200);
}

#[tokio::test]
async fn a_drain_ends_both() {
    let both = Both::serving(ServerSettings::default()).await;
    let mut idle = both.connect().await;
    idle.write_all(b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(idle.read(&mut [0; 512]).await.unwrap() > 0);
    assert_eq!(both.site.handle.drain(PATIENCE).await.aborted, 0);
    assert_eq!(ask(&mut idle, "").await, "");
    UnixStream::connect(&both.socket).await.unwrap_err();
}
