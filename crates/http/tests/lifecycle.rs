//! From the first answer before there is a cache to the last one while the server drains.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::time::Duration;

use kura_http::{Drained, ServerSettings};
use support::{CAPACITY, Site, noise, sha256};
use tokio::net::TcpStream;

#[tokio::test]
async fn until_recovery_is_done_the_surfaces_say_so_and_up_is_up() {
    let site = Site::unopened(ServerSettings::default()).await;
    let hash = sha256(b"x");
    assert_eq!(site.get("/up").await.status, 200);
    for path in [
        format!("/cas/{hash}"),
        format!("/ac/{hash}"),
        "/cache/abc".to_owned(),
        "/ccache/abc".to_owned(),
        "/http/a/b".to_owned(),
    ] {
        let refused = site.get(&path).await;
        refused.refused(503);
        assert!(refused.header("retry-after").is_some());
        site.put(&path, b"body").await.refused(503);
    }
    let ready = site.get("/ready").await;
    assert_eq!(ready.status, 503);
    for figure in [
        "\"ready\":false",
        "\"phase\":\"opening\"",
        "\"segments\":0",
        "\"segments_done\":0",
        "\"segments_left\":0",
        "\"bytes_over_budget\":0",
    ] {
        assert!(ready.text().contains(figure), "{}", ready.text());
    }
    assert!(site.get("/metrics").await.text().contains("kura_recovered 0\n"));
    assert!(site.get("/status.json").await.text().contains("\"serving\":false"));
    let _store = site.open(CAPACITY).await;
    assert_eq!(site.get("/ready").await.status, 200);
    assert_eq!(site.put("/http/a/b", b"body").await.status, 200);
}

#[tokio::test]
async fn ready_means_that_a_probe_was_written_and_read_back_and_costs_one_probe_however_many_ask() {
    let (site, store) = Site::serving(ServerSettings::default()).await;
    for _ in 0..20 {
        let ready = site.get("/ready").await;
        assert_eq!((ready.status, ready.text().as_str()), (200, "{\"ready\":true,\"phase\":\"serving\"}\n"));
    }
    assert_eq!(site.metric("kura_cache_stored_total{kind=\"probe\"}").await, 1);
    let figures = site.get("/status.json").await.text();
    assert!(figures.contains("\"hits\":0") && figures.contains("\"stored\":0,\"stored_bytes\":0"), "{figures}");
    drop(store);
}

#[tokio::test]
async fn a_store_that_takes_nothing_is_not_ready() {
    let (site, store) = Site::serving(ServerSettings::default()).await;
    store.shutdown().await.unwrap();
    let ready = site.get("/ready").await;
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("\"phase\":\"failing\""), "{}", ready.text());
    site.put("/http/a/b", b"body").await.refused(503);
}

#[tokio::test]
async fn what_ends_an_artifact_is_none() {
    let (site, store) = Site::serving(ServerSettings::default()).await;
    site.put("/http/a/b", b"body").await;
    site.put("/http/a/c", b"body").await;
    assert_eq!(site.request("DELETE", "/http/a/b", "", b"").await.status, 204);
    let figures = site.get("/status.json").await.text();
    assert!(figures.contains("\"artifacts\":1,"), "{figures}");
    assert_eq!(store.stats().index_entries, 2);
}

#[tokio::test]
async fn metrics_say_what_an_operator_has_to_know() {
    let (site, _store) = Site::serving(ServerSettings::default()).await;
    site.put("/http/a/b", b"body").await;
    site.get("/http/a/b").await;
    site.get("/http/a/c").await;
    let text = site.get("/metrics").await.text();
    for line in [
        "kura_http_requests_total{surface=\"http\",method=\"PUT\",status=\"200\"} 1",
        "kura_http_requests_total{surface=\"http\",method=\"GET\",status=\"404\"} 1",
        "kura_http_received_bytes_total{surface=\"http\"} 4",
        "kura_http_sent_bytes_total{surface=\"http\"} 4",
        "kura_cache_hits_total{kind=\"http\"} 1",
        "kura_cache_misses_total{kind=\"http\"} 1",
        "kura_store_index_entries 1",
        "kura_store_evictions_total 0",
        "kura_store_lost_leases_total 0",
        "kura_store_shed_age_seconds 0",
        "kura_store_commit_seconds_count 1",
    ] {
        assert!(text.lines().any(|have| have == line), "{line}\n{text}");
    }
    for family in [
        "kura_store_used_bytes{category=",
        "kura_store_segments{sort=\"shared\"}",
        "kura_store_commit_seconds_bucket{le=\"+Inf\"}",
    ] {
        assert!(text.contains(family), "{family}");
    }
    // Each family is declared once, before its values.
    let mut declared = std::collections::HashSet::new();
    for line in text.lines() {
        match line.strip_prefix("# TYPE ") {
            Some(family) => assert!(declared.insert(family.split(' ').next().unwrap().to_owned()), "{line}"),
            None if !line.starts_with('#') => {
                let name = line.split(['{', ' ']).next().unwrap();
                let family =
                    ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
                assert!(declared.contains(family) || declared.contains(name), "{line}");
                assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
            }
            None => {}
        }
    }
}

#[tokio::test]
async fn the_page_tells_people_this_servers_own_address_and_nothing_hostile() {
    let (site, _store) = Site::serving(ServerSettings::default()).await;
    let page = site.request("GET", "/", "", b"").await;
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    assert!(page.text().contains("http://test/bazel"), "the Host header's");
    let mut client = site.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: <script>alert(1)</script>\r\n\r\n").await;
    assert!(!client.response().await.text().contains("alert(1)"));
    let status = site.get("/status.json").await;
    assert_eq!(status.header("content-type"), Some("application/json"));
    assert!(status.text().contains("\"serving\":true"), "{}", status.text());
    site.get("/nothing/here").await.refused(404);
    assert_eq!(site.request("POST", "/up", "", b"").await.status, 405);
}

#[tokio::test]
async fn a_drain_closes_what_is_idle_and_lets_what_runs_end() {
    let (site, _store) = Site::serving(ServerSettings::default()).await;
    let mut idle = site.connect().await;
    assert_eq!(idle.request("GET", "/up", "", b"").await.status, 200);
    let body = noise(1 << 20, 1);
    let mut running = site.connect().await;
    running.send(format!("PUT /http/drain/a HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", body.len())).await;
    running.send(&body[..1000]).await;
    while site.metric("kura_http_received_bytes_total{surface=\"http\"}").await < 1000 {}
    let drain = tokio::spawn({
        let handle = site.handle.clone();
        async move { handle.drain(Duration::from_secs(20)).await }
    });
    assert_eq!(idle.closed().await, b"");
    running.send(&body[1000..]).await;
    let stored = running.response().await;
    assert_eq!((stored.status, stored.header("connection")), (200, Some("close")));
    running.closed().await;
    assert_eq!(drain.await.unwrap(), Drained { aborted: 0 });
    site.server.await.unwrap();
    assert!(TcpStream::connect(site.address).await.is_err(), "nothing is accepted any more");
}

#[tokio::test]
async fn a_drain_cuts_off_what_does_not_end_in_time() {
    let (site, store) = Site::serving(ServerSettings::default()).await;
    let mut stuck = site.connect().await;
    stuck.send("PUT /http/drain/a HTTP/1.1\r\nHost: test\r\nContent-Length: 20000000\r\n\r\nbeginning").await;
    while site.metric("kura_http_received_bytes_total{surface=\"http\"}").await < 9 {}
    assert_eq!(site.handle.drain(Duration::from_millis(50)).await, Drained { aborted: 1 });
    assert_eq!(stuck.closed().await, b"");
    store.shutdown().await.unwrap();
    assert_eq!(site.handle.drain(Duration::ZERO).await, Drained { aborted: 1 }, "a second call tells the same");
}
