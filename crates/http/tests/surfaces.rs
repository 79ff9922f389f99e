//! Each surface as its clients use it.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use kura_http::ServerSettings;
use support::{Site, noise, sha256};

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

async fn serving() -> Site {
    Site::serving(ServerSettings::default()).await.0
}

/// An action result that names one output file.
fn action_result(hash: &str, size: u8) -> Vec<u8> {
    let mut digest = vec![0x0a, 64];
    digest.extend(hash.as_bytes());
    if size > 0 {
        digest.extend([0x10, size]);
    }
    let mut file = vec![0x0a, 3, b'o', b'u', b't', 0x12, digest.len() as u8];
    file.extend(&digest);
    let mut result = vec![0x12, file.len() as u8];
    result.extend(file);
    result
}

#[tokio::test]
async fn bazel_stores_blobs_and_results_and_hits_on_them_under_any_prefix() {
    let site = serving().await;
    let hash = sha256(b"output");
    let action = sha256(b"action");
    assert_eq!(site.get(&format!("/bazel/ac/{action}")).await.status, 404);
    assert_eq!(site.put(&format!("/bazel/cas/{hash}"), b"output").await.status, 200);
    let result = action_result(&hash, 6);
    assert_eq!(site.put(&format!("/bazel/ac/{action}"), &result).await.status, 200);
    for prefix in ["/bazel", "", "/other/prefix"] {
        let found = site.get(&format!("{prefix}/ac/{action}")).await;
        assert_eq!((found.status, found.body), (200, result.clone()), "{prefix}");
        let found = site.get(&format!("{prefix}/cas/{hash}")).await;
        assert_eq!((found.status, found.text().as_str()), (200, "output"), "{prefix}");
        assert_eq!(found.header("content-type"), Some("application/octet-stream"));
    }
    assert_eq!(site.metric("kura_cache_hits_total{kind=\"action\"}").await, 3);
    assert_eq!(site.metric("kura_cache_misses_total{kind=\"action\"}").await, 1);
}

#[tokio::test]
async fn an_action_result_is_a_miss_until_and_unless_all_that_it_names_is_there() {
    let site = serving().await;
    let (hash, action) = (sha256(b"output"), sha256(b"action"));
    let (blob, result) = (format!("/cas/{hash}"), format!("/ac/{action}"));
    assert_eq!(site.put(&result, &action_result(&hash, 6)).await.status, 200, "blobs may follow later");
    assert_eq!(site.get(&result).await.status, 404);
    assert_eq!(site.request("HEAD", &result, "", b"").await.status, 404);
    assert_eq!(site.put(&blob, b"output").await.status, 200);
    assert_eq!(site.get(&result).await.status, 200);
    assert_eq!(site.request("DELETE", &blob, "", b"").await.status, 204);
    assert_eq!(site.get(&result).await.status, 404);
    assert_eq!(site.metric("kura_cache_incomplete_total{kind=\"action\"}").await, 3);
}

#[tokio::test]
async fn what_is_no_action_result_is_refused_unless_the_prefix_is_opaque() {
    let settings = ServerSettings { opaque_prefixes: vec!["/moon".to_owned()], ..ServerSettings::default() };
    let (site, _store) = Site::serving(settings).await;
    let action = sha256(b"action");
    site.put(&format!("/ac/{action}"), b"these are ccache's own bytes").await.refused(400);
    assert_eq!(site.get(&format!("/ac/{action}")).await.status, 404);
    assert_eq!(site.put(&format!("/moon/ac/{action}"), b"{\"exitCode\":0}").await.status, 200);
    assert_eq!(site.get(&format!("/moon/ac/{action}")).await.text(), "{\"exitCode\":0}");
    assert_eq!(site.get(&format!("/ac/{action}")).await.status, 404, "an opaque value is no result elsewhere");
}

#[tokio::test]
async fn an_action_result_comes_and_goes_as_json_for_who_says_so() {
    const SENDS: &str = "Content-Type: application/json; charset=utf-8\r\n";
    const TAKES: &str = "Accept: text/plain, application/json\r\n";
    let site = serving().await;
    let hash = sha256(b"output");
    let path = format!("/moon/ac/{}", sha256(b"action"));
    let json =
        format!("{{\"outputFiles\":[{{\"path\":\"out\",\"digest\":{{\"hash\":\"{hash}\",\"sizeBytes\":\"6\"}}}}]}}");
    assert_eq!(site.request("PUT", &path, SENDS, json.as_bytes()).await.status, 200);
    site.request("GET", &path, TAKES, b"").await.refused(404);
    site.put(&format!("/cas/{hash}"), b"output").await;
    let found = site.request("GET", &path, TAKES, b"").await;
    assert_eq!((found.status, found.text()), (200, json.clone()));
    assert_eq!((found.header("content-type"), found.header("vary")), (Some("application/json"), Some("accept")));
    let looked = site.request("HEAD", &path, TAKES, b"").await;
    assert_eq!((looked.status, looked.header("content-length")), (200, found.header("content-length")));
    assert_eq!(site.get(&path).await.body, action_result(&hash, 6), "the same as a message");

    site.request("PUT", &path, SENDS, b"{\"nothing\":1}").await.refused(400);
    let other = json.replace(&hash, "ab");
    site.request("PUT", &path, SENDS, other.as_bytes()).await.refused(400);
    site.request("PUT", &path, &format!("{SENDS}If-None-Match: *\r\n"), json.as_bytes()).await.refused(415);
    let long = vec![b' '; (1 << 20) + 1];
    site.request("PUT", &path, SENDS, &long).await.refused(413);
    assert_eq!(site.request("GET", &path, TAKES, b"").await.text(), json, "what was refused changed nothing");
    // Under other paths it says what a body is, and nothing more.
    let blob = format!("/cas/{}", sha256(b"{}"));
    assert_eq!(site.request("PUT", &blob, SENDS, b"{}").await.status, 200);
    assert_eq!(site.request("GET", &blob, TAKES, b"").await.header("content-type"), Some("application/octet-stream"));
}

#[tokio::test]
async fn the_empty_blob_always_exists() {
    let site = serving().await;
    let path = format!("/cas/{EMPTY}");
    for _ in 0..2 {
        let found = site.get(&path).await;
        assert_eq!((found.status, found.body.len()), (200, 0));
        assert_eq!(found.header("content-length"), Some("0"));
        let found = site.request("HEAD", &path, "", b"").await;
        assert_eq!((found.status, found.header("content-length")), (200, Some("0")));
        assert_eq!(site.put(&path, b"").await.status, 200);
        site.request("DELETE", &path, "", b"").await;
    }
    site.put(&path, b"x").await.refused(400);
}

#[tokio::test]
async fn a_blob_that_is_there_costs_no_write_and_is_checked_all_the_same() {
    let (site, store) = Site::serving(ServerSettings::default()).await;
    let body = noise(300_000, 1);
    let path = format!("/cas/{}", sha256(&body));
    assert_eq!(site.put(&path, &body).await.status, 200);
    let written = store.stats().bytes_written;
    assert_eq!(site.put(&path, &body).await.status, 200);
    assert_eq!(store.stats().bytes_written, written);
    assert_eq!(site.metric("kura_cache_known_total{kind=\"cas\"}").await, 1);
    site.put(&path, &noise(300_000, 2)).await.refused(400);
    assert_eq!(site.get(&path).await.body, body);
}

#[tokio::test]
async fn a_client_that_asks_first_need_not_send_a_blob_that_is_there() {
    let site = serving().await;
    let body = noise(100_000, 3);
    let path = format!("/cas/{}", sha256(&body));
    let head =
        format!("PUT {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n", body.len());
    let mut client = site.connect().await;
    client.send(&head).await;
    assert_eq!(client.response().await.status, 100);
    client.send(&body).await;
    assert_eq!(client.response().await.status, 200);
    let mut client = site.connect().await;
    client.send(&head).await;
    assert_eq!(client.response().await.status, 200);
}

#[tokio::test]
async fn gradle_stores_and_hits_and_overwrites() {
    let site = serving().await;
    let path = "/cache/0123456789abcdef0123456789abcdef";
    assert_eq!(site.get(path).await.status, 404);
    assert_eq!(site.put(path, b"first").await.status, 200);
    assert_eq!(site.put(path, b"second").await.status, 200);
    let found = site.get(path).await;
    assert_eq!(found.text(), "second");
    assert_eq!(found.header("content-type"), Some("application/vnd.gradle.build-cache-artifact.v1"));
    let refused = site.request("DELETE", path, "", b"").await;
    refused.refused(405);
    assert_eq!(refused.header("allow"), Some("GET, HEAD, PUT"));
}

#[tokio::test]
async fn ccache_is_served_in_its_three_layouts() {
    let site = serving().await;
    let flat = "/ccache/0123456789abcdef0123456789abcdef01234567";
    let subdirs = "/ccache/01/23456789abcdef0123456789abcdef01234567";
    let bazel = format!("/ccache/ac/{}", sha256(b"key"));
    for path in [subdirs, &bazel] {
        assert_eq!(site.request("HEAD", path, "Accept-Encoding:\r\n", b"").await.status, 404);
        assert_eq!(site.put(path, b"cCaC\0manifest").await.status, 200);
        assert_eq!(site.get(path).await.body, b"cCaC\0manifest");
        let found = site.request("HEAD", path, "", b"").await;
        assert_eq!((found.status, found.header("content-length")), (200, Some("13")));
    }
    assert_eq!(site.get(flat).await.status, 200, "the same key, spelled flat");
    assert_eq!(site.request("DELETE", flat, "", b"").await.status, 204);
    assert_eq!(site.get(subdirs).await.status, 404);
}

#[tokio::test]
async fn generic_clients_store_paths_with_their_types_and_delete_them() {
    let site = serving().await;
    let path = "/http/tools/some/deep%20path.json";
    let stored = site.request("PUT", path, "Content-Type: application/json\r\nContent-Encoding: gzip\r\n", b"{}").await;
    assert_eq!(stored.status, 200);
    for method in ["GET", "HEAD"] {
        let found = site.request(method, path, "", b"").await;
        assert_eq!(found.header("content-type"), Some("application/json"));
        assert_eq!(found.header("content-encoding"), Some("gzip"));
        assert_eq!(found.header("etag"), stored.header("etag"));
        assert_eq!(found.header("content-length"), Some("2"));
    }
    assert_eq!(site.get("/http/other/some/deep%20path.json").await.status, 404, "namespaces are apart");
    assert_eq!(site.request("DELETE", path, "", b"").await.status, 204);
    assert_eq!(site.request("DELETE", path, "", b"").await.status, 404);
    assert_eq!(site.get(path).await.status, 404);
}

#[tokio::test]
async fn a_namespace_tells_what_it_holds_in_order_and_in_pages() {
    let site = serving().await;
    for key in ["b/2", "a", "b/1", "gone", "%ff%0a", "a%2525+"] {
        assert_eq!(site.put(&format!("/http/tools%2Fci/{key}"), key.as_bytes()).await.status, 200);
    }
    site.put("/http/other/a", b"body").await;
    site.put("/webdav/a?namespace_id=tools%2Fci", b"body").await;
    site.request("DELETE", "/http/tools%2Fci/gone", "", b"").await;
    let told = async |query: &str| {
        let page = site.get(&format!("/http/tools%2Fci{query}")).await;
        assert_eq!((page.status, page.header("content-type")), (200, Some("application/json")), "{page:?}");
        serde_json::from_slice::<serde_json::Value>(&page.body).unwrap()
    };
    let paths = |page: &serde_json::Value| {
        let path = |one: &serde_json::Value| one["path"].as_str().unwrap().replace("/http/tools%2Fci/", "");
        page["artifacts"].as_array().unwrap().iter().map(path).collect::<Vec<_>>()
    };
    let all = told("").await;
    assert_eq!(paths(&all), ["a", "a%2525%2B", "b/1", "b/2", "%FF%0A"]);
    for one in all["artifacts"].as_array().unwrap() {
        let found = site.get(one["path"].as_str().unwrap()).await;
        assert_eq!((found.status, found.body.len() as u64), (200, one["size"].as_u64().unwrap()));
        assert!(one["stored"].as_u64().unwrap() > 1_700_000_000, "in seconds");
    }
    assert_eq!(paths(&told("?prefix=b%2F").await), ["b/1", "b/2"]);
    assert!(paths(&told("?prefix=nothing").await).is_empty());
    for number in 0..1500 {
        site.put(&format!("/http/tools%2Fci/many/{number:04}"), b"").await;
    }
    let first = told("?prefix=many").await;
    site.request("DELETE", "/http/tools%2Fci/many/1200", "", b"").await;
    let second = told(&format!("?prefix=many&page={}", first["next"].as_str().unwrap())).await;
    assert_eq!((paths(&first).len(), paths(&second).len(), second.get("next")), (1000, 499, None));
    assert_eq!(paths(&second)[0], "many/1000");
    for bad in
        ["/http/tools?page=x", "/http/tools?prefix=%ff", "/http/", "/http", "/http/tools/", "/http/..", "/http/a%2F"]
    {
        site.get(bad).await.refused(400);
    }
    let refused = site.put("/http/tools", b"body").await;
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET")));
}

#[tokio::test]
async fn metro_stores_without_a_length_and_hits_under_both_its_paths() {
    let site = serving().await;
    let key = "0123456789abcdef".repeat(4) + "01234567";
    let path = format!("/metro/{key}");
    assert_eq!(site.get(&path).await.status, 404);
    let mut client = site.connect().await;
    client
        .send(format!(
            "PUT {path} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nmodule\r\n0\r\n\r\n"
        ))
        .await;
    assert_eq!(client.response().await.status, 200);
    for path in [path, format!("/api/metro/cache/{key}")] {
        assert_eq!(site.get(&path).await.text(), "module", "{path}");
    }
}

#[tokio::test]
async fn nx_is_told_200_once_and_409_from_then_on() {
    let site = serving().await;
    let path = "/v1/cache/12345678901234567890";
    assert_eq!(site.get(path).await.status, 404);
    let stored = site.put(path, b"first").await;
    assert_eq!((stored.status, stored.body.len()), (200, 0));
    site.put(path, b"second").await.refused(409);
    let found = site.get(path).await;
    assert_eq!((found.status, found.text().as_str()), (200, "first"));
}

#[tokio::test]
async fn what_nx_stored_is_not_replaced_by_an_upload_that_began_before() {
    let site = serving().await;
    let path = "/v1/cache/1";
    let mut slow = site.connect().await;
    slow.send(format!("PUT {path} HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")).await;
    assert_eq!(slow.response().await.status, 100, "it is under way");
    assert_eq!(site.put(path, b"first").await.status, 200);
    slow.send("slow").await;
    slow.response().await.refused(409);
    assert_eq!(site.get(path).await.text(), "first");
}

#[tokio::test]
async fn turborepo_gets_its_signature_and_duration_back() {
    let site = serving().await;
    let status = site.get("/v8/artifacts/status").await;
    assert_eq!((status.status, status.text().as_str()), (200, "{\"status\":\"enabled\"}"));
    let path = "/v8/artifacts/0123456789abcdef?slug=web";
    assert_eq!(site.request("HEAD", path, "", b"").await.status, 404);
    let headers = "x-artifact-tag: c2lnbmVk\r\nx-artifact-duration: 1234\r\nContent-Type: application/octet-stream\r\n";
    for body in [&b"first"[..], b"again"] {
        let stored = site.request("PUT", path, headers, body).await;
        assert_eq!((stored.status, stored.text().as_str()), (202, "{\"urls\":[]}"));
    }
    for method in ["GET", "HEAD"] {
        let found = site.request(method, path, "", b"").await;
        assert_eq!((found.status, found.header("content-length")), (200, Some("5")));
        assert_eq!(found.header("x-artifact-tag"), Some("c2lnbmVk"));
        assert_eq!(found.header("x-artifact-duration"), Some("1234"));
    }
    assert_eq!(site.get(path).await.text(), "again");
    assert_eq!(site.get("/v8/artifacts/0123456789abcdef?slug=other").await.status, 404, "teams are apart");
    assert_eq!(site.put("/v8/artifacts/ffffffffffffffff", b"plain").await.status, 202);
    assert_eq!(site.get("/v8/artifacts/ffffffffffffffff").await.header("x-artifact-tag"), None);
    site.request("PUT", path, &format!("x-artifact-tag: {}\r\n", "x".repeat(257)), b"x").await.refused(400);
}

#[tokio::test]
async fn turborepo_asks_about_many_reports_events_and_looks_ahead() {
    let site = serving().await;
    site.request("PUT", "/v8/artifacts/aa?slug=web", "x-artifact-duration: 70\r\n", b"body").await;
    let asked = site.request("POST", "/v8/artifacts?slug=web", "", b"{\"hashes\":[\"aa\",\"bb\"]}").await;
    assert_eq!(asked.status, 200);
    assert_eq!(asked.text(), "{\"aa\":{\"size\":4,\"taskDurationMs\":70},\"bb\":null}");
    site.request("POST", "/v8/artifacts", "", b"{\"hashes\":\"aa\"}").await.refused(400);
    site.request("POST", "/v8/artifacts", "", b"{\"hashes\":[\"..\"]}").await.refused(400);
    let many = format!("{{\"hashes\":[{}\"a\"]}}", "\"a\",".repeat(1000));
    site.request("POST", "/v8/artifacts", "", many.as_bytes()).await.refused(413);
    assert_eq!(site.request("POST", "/v8/artifacts/events", "", b"[]").await.status, 200);
    let preflight = site.request("OPTIONS", "/v8/artifacts/aa", "", b"").await;
    assert_eq!(preflight.status, 200);
    assert!(preflight.header("access-control-allow-headers").unwrap().contains("Authorization"));
    site.request("DELETE", "/v8/artifacts/aa", "", b"").await.refused(405);
    for (path, allow) in [("", "POST, OPTIONS"), ("/events", "POST, OPTIONS"), ("/status", "GET, OPTIONS")] {
        let refused = site.put(&format!("/v8/artifacts{path}"), b"body").await;
        refused.refused(405);
        assert_eq!(refused.header("allow"), Some(allow), "{path} is no artifact");
    }
}

#[tokio::test]
async fn sccache_starts_and_walks_down_to_where_it_writes() {
    let site = serving().await;
    assert_eq!(site.get("/webdav/.sccache_check").await.status, 404);
    assert_eq!(site.put("/webdav/.sccache_check", b"Hello, World!").await.status, 201);
    assert_eq!(site.get("/webdav/.sccache_check").await.text(), "Hello, World!");
    let file = format!("/webdav/4/d/6/{}", sha256(b"object"));
    for collection in ["/webdav/", "/webdav/4/d/6/", "/webdav"] {
        let found = site.request("PROPFIND", collection, "Depth: 0\r\n", b"<?xml version=\"1.0\"?><propfind/>").await;
        assert_eq!(found.status, 207);
        assert!(found.text().contains("<D:collection/>") && found.text().contains(&format!("<D:href>{collection}<")));
        assert_eq!(site.request("MKCOL", collection, "", b"").await.status, 201);
    }
    assert_eq!(site.request("PROPFIND", &file, "Depth: 0\r\n", b"").await.status, 404);
    assert_eq!(site.put(&file, b"object").await.status, 201);
    let found = site.request("PROPFIND", &file, "Depth: 0\r\n", b"").await;
    assert_eq!(found.status, 207);
    assert!(found.text().contains("<D:getcontentlength>6</D:getcontentlength>") && found.text().contains(" GMT<"));
    assert_eq!(site.get(&file).await.text(), "object");
    let options = site.request("OPTIONS", &file, "", b"").await;
    assert_eq!((options.status, options.header("dav")), (200, Some("1")));
    assert_eq!(site.request("DELETE", &file, "", b"").await.status, 204);
    for (method, path) in [("PUT", "/webdav/a/"), ("MKCOL", "/webdav/../a/"), ("PROPFIND", "/webdav/%2e%2e/")] {
        site.request(method, path, "", b"").await.refused(400);
    }
    site.request("LOCK", &file, "", b"").await.refused(405);
}

#[tokio::test]
async fn tenants_and_namespaces_are_kept_apart() {
    let site = serving().await;
    let path = "/cache/0123456789abcdef0123456789abcdef";
    assert_eq!(site.put(&format!("{path}?tenant_id=acme&namespace_id=ios"), b"theirs").await.status, 200);
    assert_eq!(site.get(path).await.status, 404);
    assert_eq!(site.get(&format!("{path}?tenant_id=acme")).await.status, 404);
    assert_eq!(site.get(&format!("{path}?account_handle=acme&project_handle=ios")).await.text(), "theirs");
    site.get(&format!("{path}?tenant_id=a%2Fb")).await.refused(400);
}

#[tokio::test]
async fn bodies_of_all_sizes_come_back_whole_with_and_without_a_declared_length() {
    let site = serving().await;
    for (at, length) in [0, 1, 255, 65_536, 262_145, 1_048_576, 1_048_577, 5_000_000, 9_000_000].into_iter().enumerate()
    {
        let body = noise(length, at as u64);
        let path = format!("/http/sizes/{length}");
        assert_eq!(site.put(&path, &body).await.status, 200, "{length}");
        assert!(site.get(&path).await.body == body, "{length}");
        let mut client = site.connect().await;
        client.send(format!("PUT {path}-chunked HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")).await;
        for piece in body.chunks(100_000) {
            client.send(format!("{:x}\r\n", piece.len())).await;
            client.send(piece).await;
            client.send("\r\n").await;
        }
        client.send("0\r\n\r\n").await;
        assert_eq!(client.response().await.status, 200, "{length}");
        let again = client.request("GET", &format!("{path}-chunked"), "", b"").await;
        assert!(again.body == body, "{length}: on the same connection");
    }
}

#[tokio::test]
async fn a_range_is_answered_with_just_that() {
    let site = serving().await;
    for length in [1000, 3_000_000] {
        let body = noise(length, 7);
        let path = format!("/http/ranges/{length}");
        let stored = site.put(&path, &body).await;
        let etag = stored.header("etag").unwrap();
        let ranged = async |range: &str| site.request("GET", &path, &format!("Range: {range}\r\n"), b"").await;
        let part = ranged("bytes=10-19").await;
        assert_eq!((part.status, &part.body[..]), (206, &body[10..20]));
        assert_eq!(part.header("content-range"), Some(&*format!("bytes 10-19/{length}")));
        assert_eq!(ranged("bytes=-5").await.body, &body[length - 5..]);
        let most = ranged(&format!("bytes=1-{}", u64::MAX)).await;
        assert!(most.status == 206 && most.body == body[1..]);
        for past in [format!("bytes={length}-"), "bytes=99999999999999999999999-".to_owned()] {
            let refused = ranged(&past).await;
            assert_eq!((refused.status, refused.body.len()), (416, 0));
            assert_eq!(refused.header("content-range"), Some(&*format!("bytes */{length}")));
        }
        for odd in ["bytes=0-1,5-6", "bytes=--5", "bytes=-5-7", "bytes=9-2", "lines=1-2", "bytes=x"] {
            let whole = ranged(odd).await;
            assert!(whole.status == 200 && whole.body == body, "{odd}");
        }
        let with = async |validator: &str| {
            site.request("GET", &path, &format!("Range: bytes=0-0\r\nIf-Range: {validator}\r\n"), b"").await.status
        };
        assert_eq!(with(etag).await, 206);
        assert_eq!(with("\"another\"").await, 200);
    }
}

#[tokio::test]
async fn conditions_are_weighed() {
    let site = serving().await;
    let path = "/http/conditions/a";
    let etag = site.put(path, b"one").await.header("etag").unwrap().to_owned();
    let status = async |method: &str, condition: String| site.request(method, path, &condition, b"").await.status;
    assert_eq!(status("GET", format!("If-None-Match: {etag}\r\n")).await, 304);
    assert_eq!(status("HEAD", format!("If-None-Match: {etag}\r\n")).await, 304);
    assert_eq!(status("GET", "If-None-Match: \"x\"\r\n".to_owned()).await, 200);
    assert_eq!(status("GET", "If-Match: \"x\"\r\n".to_owned()).await, 412);
    assert_eq!(status("PUT", "If-None-Match: *\r\n".to_owned()).await, 412);
    assert_eq!(status("DELETE", "If-Match: \"x\"\r\n".to_owned()).await, 412);
    assert_eq!(site.get(path).await.text(), "one");
    assert_eq!(site.request("PUT", path, &format!("If-Match: {etag}\r\n"), b"two").await.status, 200);
    assert_eq!(site.get(path).await.text(), "two");
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let site = serving().await;
    let mut client = site.connect().await;
    for at in 0..100 {
        let path = format!("/http/many/{at}");
        assert_eq!(client.request("GET", &path, "", b"").await.status, 404);
        assert_eq!(client.request("PUT", &path, "", path.as_bytes()).await.status, 200);
        assert_eq!(client.request("GET", &path, "", b"").await.text(), path);
    }
    assert_eq!(site.metric("kura_http_connections").await, 2);
}
