//! What clients should not send: clean refusals, nothing stored, nothing leaked.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::time::Duration;

use kura_http::ServerSettings;
use support::{PATIENCE, Site, noise, sha256};
use tokio::io::AsyncWriteExt;

/// Larger than a quarter of a segment: its space is reserved before its first byte.
const LARGE: usize = 20 << 20;

async fn serving() -> Site {
    Site::serving(ServerSettings::default()).await.0
}

fn put(path: &str, length: u64) -> String {
    format!("PUT {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n")
}

/// Asks again until the answer is the one expected: what an abandoned upload held comes back soon, not at once.
async fn comes_to(site: &Site, metric: &str, expected: u64) {
    let asked = async { while site.metric(metric).await != expected {} };
    let came = tokio::time::timeout(PATIENCE, asked).await;
    assert!(came.is_ok(), "{metric} is {} and not {expected}", site.metric(metric).await);
}

#[tokio::test]
async fn a_body_shorter_than_declared_is_refused_and_leaves_nothing() {
    let site = serving().await;
    for length in [1000, 500_000, LARGE] {
        let path = format!("/http/short/{length}");
        let mut client = site.connect().await;
        client.send(put(&path, length as u64)).await;
        client.send(noise(length / 2, 1)).await;
        client.stream.shutdown().await.unwrap();
        client.response().await.refused(400);
        assert_eq!(site.get(&path).await.status, 404);
    }
    comes_to(&site, "kura_memory_bytes{part=\"bodies\"}", 0).await;
    comes_to(&site, "kura_store_segments{sort=\"solo\"}", 0).await;
}

#[tokio::test]
async fn a_chunked_body_that_breaks_off_leaves_nothing() {
    let site = serving().await;
    for broken in ["5\r\nhel", "zz\r\nhello\r\n0\r\n\r\n", "5\r\nhelloXX0\r\n\r\n", "fffffffffffffffff\r\nhello"] {
        let mut client = site.connect().await;
        client.send("PUT /http/broken/a HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        client.send(broken).await;
        client.stream.shutdown().await.unwrap();
        client.response().await.refused(400);
        client.closed().await;
        assert_eq!(site.get("/http/broken/a").await.status, 404, "{broken:?}");
    }
}

#[tokio::test]
async fn a_client_that_vanishes_mid_body_leaves_nothing() {
    let site = serving().await;
    let mut client = site.connect().await;
    client.send(put("/http/gone/a", LARGE as u64)).await;
    client.send(noise(1 << 20, 1)).await;
    comes_to(&site, "kura_http_received_bytes_total{surface=\"http\"}", 1 << 20).await;
    assert!(site.metric("kura_store_used_bytes{category=\"solo\"}").await > LARGE as u64, "its space is reserved");
    drop(client);
    comes_to(&site, "kura_store_used_bytes{category=\"solo\"}", 0).await;
    comes_to(&site, "kura_memory_bytes{part=\"bodies\"}", 0).await;
    assert_eq!(site.get("/http/gone/a").await.status, 404);
}

#[tokio::test]
async fn what_follows_a_body_longer_than_declared_is_not_part_of_it() {
    let site = serving().await;
    let mut client = site.connect().await;
    client.send(put("/http/long/a", 5)).await;
    client.send("hello, and more that was not announced\r\n\r\n").await;
    assert_eq!(client.response().await.status, 200);
    assert!(client.closed().await.starts_with(b"HTTP/1.1 400"));
    assert_eq!(site.get("/http/long/a").await.text(), "hello");
}

#[tokio::test]
async fn a_wrong_digest_is_refused_and_leaves_nothing() {
    let site = serving().await;
    for length in [10, 400_000, LARGE] {
        let path = format!("/cas/{}", sha256(&length.to_le_bytes()));
        site.put(&path, &noise(length, 1)).await.refused(400);
        assert_eq!(site.get(&path).await.status, 404);
        assert_eq!(site.request("HEAD", &path, "", b"").await.status, 404);
    }
    assert_eq!(site.metric("kura_cache_stored_total{kind=\"cas\"}").await, 0);
}

#[tokio::test]
async fn three_gibibytes_against_a_budget_of_one_are_refused_before_the_body() {
    let (site, _store) = Site::with_capacity(ServerSettings::default(), 1 << 30).await;
    let hash = sha256(b"whatever");
    for path in [
        "/http/large/a".to_owned(),
        format!("/cas/{hash}"),
        format!("/ac/{hash}"),
        "/cache/0123456789abcdef".to_owned(),
    ] {
        let mut client = site.connect().await;
        client.send(put(&path, 3 << 30)).await;
        let refused = client.response().await;
        refused.refused(413);
        assert_eq!(refused.header("connection"), Some("close"));
        let mut client = site.connect().await;
        client.send(put(&path, 3 << 30).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n")).await;
        client.response().await.refused(413);
    }
    assert_eq!(site.metric("kura_http_received_bytes_total{surface=\"http\"}").await, 0);
}

#[tokio::test]
async fn a_client_that_sends_on_after_a_refusal_can_still_read_why() {
    let site = serving().await;
    let mut client = site.connect().await;
    client.send(put("/http/large/a", 3 << 30)).await;
    let megabyte = noise(1 << 20, 1);
    for _ in 0..8 {
        if client.stream.write_all(&megabyte).await.is_err() {
            break;
        }
    }
    client.response().await.refused(413);
}

#[tokio::test]
async fn a_body_of_unknown_length_that_grows_too_large_is_refused() {
    let site = serving().await;
    let mut client = site.connect().await;
    client.send("PUT /http/grows/a HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let piece = noise(1 << 20, 1);
    for _ in 0..40 {
        // The server may have closed before all is sent.
        let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), &piece, b"\r\n"].concat();
        if client.stream.write_all(&chunk).await.is_err() {
            break;
        }
    }
    client.response().await.refused(413);
    assert_eq!(site.get("/http/grows/a").await.status, 404);
    comes_to(&site, "kura_store_segments{sort=\"solo\"}", 0).await;
}

#[tokio::test]
async fn keys_that_are_none_are_refused_on_every_surface() {
    let site = serving().await;
    let long = "k".repeat(5000);
    let bad = ["..", ".", "%2e%2e", "a%00b", "%", "%zz", &long];
    let surfaces = [
        "/http/ns/",
        "/cache/",
        "/ccache/",
        "/ccache/ab/",
        "/ccache/ac/",
        "/cas/",
        "/ac/",
        "/prefix/cas/",
        "/metro/",
        "/api/metro/cache/",
        "/v1/cache/",
        "/v8/artifacts/",
        "/webdav/",
    ];
    for surface in surfaces {
        for key in bad {
            let path = format!("{surface}{key}");
            for method in ["GET", "HEAD", "PUT"] {
                let refused = site.request(method, &path, "", if method == "PUT" { b"body" } else { b"" }).await;
                assert_eq!(refused.status, 400, "{method} {path}");
            }
        }
    }
    for path in [
        "/cache/a%2Fb",
        "/cache/a%2fb",
        "/ccache/ab/c%2Fd",
        "/cas/%2F",
        "/http/a%2F/key",
        "/http/%2Fb/key",
        "/v8/artifacts/a%2Fb",
        "/v1/cache/a%2Fb",
        "/metro/a%2Fb",
        "/http/ns/a/../b",
        "/http/ns/./b",
    ] {
        site.get(path).await.refused(400);
    }
    assert_eq!(site.metric("kura_store_index_entries").await, 0);
}

#[tokio::test]
async fn raw_nul_and_other_garbage_in_the_request_line_is_refused() {
    let site = serving().await;
    for line in
        ["GET /http/ns/a\0b HTTP/1.1", "GET /http/ns/a b HTTP/1.1", "\0\0\0\0", "GET", "PUT /http/ns/a HTTP/9.9"]
    {
        let mut client = site.connect().await;
        client.send(format!("{line}\r\nHost: test\r\n\r\n")).await;
        let said = client.closed().await;
        assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 400"), "{line:?}: {}", said.escape_ascii());
    }
    assert_eq!(site.get("/up").await.status, 200);
}

#[tokio::test]
async fn lengths_that_are_none_are_refused() {
    let site = serving().await;
    for length in ["-1", "x", "1e3", "99999999999999999999999", "5\r\nContent-Length: 6"] {
        let mut client = site.connect().await;
        client.send(format!("PUT /http/ns/a HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\nhello")).await;
        assert!(client.closed().await.starts_with(b"HTTP/1.1 400"), "{length}");
    }
    let mut client = site.connect().await;
    client.send(put("/http/ns/a", u64::MAX / 2)).await;
    client.response().await.refused(413);
    assert_eq!(site.get("/http/ns/a").await.status, 404);
}

#[tokio::test]
async fn a_client_that_stalls_mid_body_is_dropped_and_its_reservation_comes_back() {
    let settings = ServerSettings { idle_timeout: Duration::from_millis(100), ..ServerSettings::default() };
    let (site, store) = Site::serving(settings).await;
    let solo = |store: &kura_store::Store| store.stats().used.iter().find(|(name, _)| *name == "solo").unwrap().1;
    assert_eq!(solo(&store), 0);
    let mut client = site.connect().await;
    client.send(put("/http/stalls/a", LARGE as u64)).await;
    client.send(noise(100_000, 1)).await;
    client.response().await.refused(408);
    client.closed().await;
    comes_to(&site, "kura_store_used_bytes{category=\"solo\"}", 0).await;
    comes_to(&site, "kura_memory_bytes{part=\"bodies\"}", 0).await;
    assert_eq!(site.get("/http/stalls/a").await.status, 404);
}

#[tokio::test]
async fn a_client_that_dawdles_is_dropped() {
    let settings =
        ServerSettings { upload_pace: 1 << 30, pace_window: Duration::from_millis(5), ..ServerSettings::default() };
    let (site, _store) = Site::serving(settings).await;
    let mut client = site.connect().await;
    client.send(put("/http/dawdles/a", 1 << 20)).await;
    let (mut reading, mut writing) = client.stream.split();
    let dawdle = async {
        while writing.write_all(b"x").await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    let mut answer = [0; 12];
    let read = tokio::io::AsyncReadExt::read_exact(&mut reading, &mut answer);
    tokio::select! {
        () = dawdle => panic!("cut off without a word"),
        read = read => drop(read.unwrap()),
        () = tokio::time::sleep(PATIENCE) => panic!("still taken"),
    }
    assert_eq!(&answer, b"HTTP/1.1 408");
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_is_dropped() {
    let settings = ServerSettings { idle_timeout: Duration::from_millis(100), ..ServerSettings::default() };
    let (site, _store) = Site::serving(settings).await;
    assert_eq!(site.put("/http/slow/a", &noise(LARGE, 1)).await.status, 200);
    let mut client = site.connect().await;
    client.send("GET /http/slow/a HTTP/1.1\r\nHost: test\r\n\r\n").await;
    // The one connection that is left asks.
    comes_to(&site, "kura_http_connections", 1).await;
    comes_to(&site, "kura_memory_bytes{part=\"bodies\"}", 0).await;
    let got = client.response().await;
    assert!(got.body.len() < LARGE, "it was broken off");
}

#[tokio::test]
async fn a_head_that_does_not_end_is_cut_off() {
    let settings = ServerSettings { header_timeout: Duration::from_millis(100), ..ServerSettings::default() };
    let (site, _store) = Site::serving(settings).await;
    let mut client = site.connect().await;
    client.send("GET /up HTTP/1.1\r\nX-Slow").await;
    assert_eq!(client.closed().await, b"");
    let mut client = site.connect().await;
    assert_eq!(client.request("GET", "/up", "", b"").await.status, 200);
    client.send("GET /up HTTP/1.1\r\nX-Slow").await;
    assert_eq!(client.closed().await, b"", "nor after a first request");
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let site = serving().await;
    let mut client = site.connect().await;
    let head = format!("GET /up HTTP/1.1\r\nX-Long: {}\r\n\r\n", "x".repeat(200_000));
    let _ = client.stream.write_all(head.as_bytes()).await;
    let said = client.closed().await;
    assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 431"), "{}", said.escape_ascii());
}

#[tokio::test]
async fn a_thousand_connections_that_send_nothing_hinder_nobody_and_are_closed() {
    // Both ends are files of this process, which may have few.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let _ = rustix::process::setrlimit(
        rustix::process::Resource::Nofile,
        rustix::process::Rlimit { current: limit.maximum, ..limit },
    );
    let settings = ServerSettings { idle_timeout: Duration::from_secs(2), ..ServerSettings::default() };
    let (site, _store) = Site::serving(settings).await;
    let mut silent = Vec::new();
    for _ in 0..1000 {
        silent.push(site.connect().await);
    }
    for at in 0..20 {
        let path = format!("/http/busy/{at}");
        assert_eq!(site.put(&path, b"body").await.status, 200);
        assert_eq!(site.get(&path).await.text(), "body");
    }
    for client in &mut silent {
        assert_eq!(client.closed().await, b"");
    }
    comes_to(&site, "kura_http_connections", 1).await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_their_turn() {
    let settings = ServerSettings { max_connections: 2, ..ServerSettings::default() };
    let (site, _store) = Site::serving(settings).await;
    let mut first = site.connect().await;
    let mut second = site.connect().await;
    assert_eq!(first.request("GET", "/up", "", b"").await.status, 200);
    assert_eq!(second.request("GET", "/up", "", b"").await.status, 200);
    let mut third = site.connect().await;
    third.send("GET /up HTTP/1.1\r\nHost: test\r\n\r\n").await;
    let early = tokio::time::timeout(Duration::from_millis(50), third.stream.readable()).await;
    assert!(early.is_err(), "it has to wait");
    drop(first);
    assert_eq!(third.response().await.status, 200);
}

#[tokio::test]
async fn bodies_beyond_the_memory_are_told_to_come_back() {
    let settings = ServerSettings { memory: 400_000, ..ServerSettings::default() };
    let (site, _store) = Site::serving(settings).await;
    let refused = site.put("/http/busy/a", &noise(310_000, 1)).await;
    refused.refused(429);
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(site.metric("kura_memory_refused_total").await, 1);
    assert_eq!(site.put("/http/busy/a", &noise(150_000, 1)).await.status, 200);
    assert_eq!(site.get("/http/busy/a").await.status, 200);
}

/// Uploads of this tenant that stand still, until memory for one more is refused.
async fn fill(site: &Site, tenant: &str) -> Vec<support::Client> {
    let mut standing = Vec::new();
    loop {
        let mut client = site.connect().await;
        let path = format!("/http/n/{}?tenant_id={tenant}", standing.len());
        client
            .send(format!(
                "PUT {path} HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n"
            ))
            .await;
        let told = client.response().await;
        match told.status {
            100 => standing.push(client),
            429 => return standing,
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn a_tenant_that_takes_all_memory_leaves_some_for_others_and_uploads_leave_some_for_answers() {
    let settings = ServerSettings { memory: 32 << 20, ..ServerSettings::default() };
    let (site, _store) = Site::serving(settings).await;
    let body = noise(1_000_000, 1);
    assert_eq!(site.put("/http/n/stored?tenant_id=quiet", &body).await.status, 200);
    let flood = fill(&site, "flood").await;
    assert!(flood.len() > 10, "{}", flood.len());
    assert_eq!(site.put("/http/n/other?tenant_id=quiet", &body).await.status, 200);
    let quiet = fill(&site, "quiet").await;
    assert!(quiet.len() >= flood.len() / 4, "{} beside {}", quiet.len(), flood.len());
    site.put("/http/n/third?tenant_id=third", &body).await.refused(429);
    assert_eq!(site.get("/http/n/stored?tenant_id=quiet").await.body, body);
}

#[tokio::test]
async fn requests_beyond_the_memory_are_told_to_come_back_and_pages_are_not() {
    let settings = ServerSettings { memory: 128 << 10, ..ServerSettings::default() };
    let (site, _store) = Site::serving(settings).await;
    let mut open = Vec::new();
    // Idle connections, as many as there is memory for beside one that asks.
    for _ in 0..2 {
        let mut client = site.connect().await;
        assert_eq!(client.request("GET", "/up", "", b"").await.status, 200);
        open.push(client);
    }
    let mut client = site.connect().await;
    assert_eq!(client.request("GET", "/up", "", b"").await.status, 200);
    client.request("GET", "/http/n/k", "", b"").await.refused(404);
    assert_eq!(site.connect().await.closed().await, b"", "there is no memory for one more connection");
    drop(open);
}
