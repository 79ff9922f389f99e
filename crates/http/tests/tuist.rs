//! Tuist's API as its clients use it, and each status that it answers.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use kura_http::ServerSettings;
use support::{Response, Site, noise, sha256};

const PROJECT: &str = "account_handle=acme&project_handle=ios";

const MODULE: &str = "hash=h1&name=Core&cache_category=builds";

const UNKNOWN: &str = "000102030405060708090a0b0c0d0e0f";

async fn serving() -> Site {
    Site::serving(ServerSettings::default()).await.0
}

impl Site {
    async fn post(&self, path: &str, headers: &str, body: &[u8]) -> Response {
        let length = if body.is_empty() { "Content-Length: 0\r\n" } else { "" };
        self.request("POST", &format!("/api/cache/{path}"), &format!("{headers}{length}"), body).await
    }

    async fn head(&self, path: &str) -> u16 {
        self.request("HEAD", &format!("/api/cache/{path}"), "", b"").await.status
    }

    /// What a start answers: the id of the upload, or nothing where the module is there.
    async fn start(&self, module: &str) -> Option<String> {
        let started = self.post(&format!("module/start?{PROJECT}&{module}"), "", b"").await;
        assert_eq!((started.status, started.header("content-type")), (200, Some("application/json")));
        let text = started.text();
        if text == "{\"upload_id\":null}" {
            return None;
        }
        Some(text.strip_prefix("{\"upload_id\":\"").unwrap().strip_suffix("\"}").unwrap().to_owned())
    }

    async fn part(&self, id: &str, number: &str, body: &[u8]) -> Response {
        self.post(&format!("module/part?{PROJECT}&upload_id={id}&part_number={number}"), "", body).await
    }

    async fn complete(&self, id: &str, body: &str) -> Response {
        self.post(&format!("module/complete?{PROJECT}&upload_id={id}"), "", body.as_bytes()).await
    }
}

#[tokio::test]
async fn xcodes_blobs_come_and_go_with_their_checksum() {
    let site = serving().await;
    let path = format!("cas/0~some_id==?{PROJECT}");
    let get = async |headers: &str| site.request("GET", &format!("/api/cache/{path}"), headers, b"").await;
    get("").await.refused(404);
    assert_eq!(site.head(&path).await, 404);
    let said = |checksum: &str| format!("tuist-checksum-sha256: {checksum}\r\n");
    let right = sha256(b"body");
    site.post(&path, &said(&sha256(b"another")), b"body").await.refused(422);
    for malformed in ["", "abc", &right.to_uppercase(), &format!("{right}00")] {
        site.post(&path, &said(malformed), b"body").await.refused(400);
    }
    get("").await.refused(404);
    assert_eq!(site.post(&path, &said(&right), b"body").await.status, 204);
    let found = get("").await;
    assert_eq!((found.status, found.text().as_str()), (200, "body"));
    assert_eq!(found.header("tuist-checksum-sha256"), Some(right.as_str()));
    let part = get("Range: bytes=1-2\r\n").await;
    assert_eq!((part.status, part.text().as_str()), (206, "od"));
    assert_eq!(get("Range: bytes=9-\r\n").await.status, 416);
    assert_eq!(site.head(&path).await, 200);
    assert_eq!(site.post(&path, "", b"other").await.status, 204);
    assert_eq!(get("").await.header("tuist-checksum-sha256"), None);
    site.put(&format!("/api/cache/{path}"), b"body").await.refused(405);
    site.post("cas/a%2Fb", "", b"body").await.refused(400);
    site.post("cas", "", b"body").await.refused(400);
}

#[tokio::test]
async fn entries_are_told_as_they_were_saved() {
    let site = serving().await;
    let save = async |body: &str| site.put(&format!("/api/cache/keyvalue?{PROJECT}"), body.as_bytes()).await;
    let path = format!("/api/cache/keyvalue/0~key?{PROJECT}");
    site.get(&path).await.refused(404);
    let entries = "{\"entries\":[{\"value\":\"one\"},{\"value\":\"\"}]}";
    assert_eq!(save(&entries.replacen('{', "{\"cas_id\": \"0~key\", ", 1)).await.status, 204);
    let found = site.get(&path).await;
    assert_eq!((found.status, found.text().as_str()), (200, entries));
    assert_eq!(found.header("content-type"), Some("application/json"));
    for bad in [
        "",
        "{}",
        "[]",
        "{\"cas_id\":\"k\"}",
        "{\"cas_id\":\"\",\"entries\":[]}",
        "{\"cas_id\":\"a/b\",\"entries\":[]}",
    ] {
        save(bad).await.refused(400);
    }
    save(&format!("{{\"cas_id\":\"k\",\"entries\":[{{\"value\":\"{}\"}}]}}", "x".repeat(1 << 20))).await.refused(413);
    site.put(&path, b"{}").await.refused(405);
    site.get("/api/cache/keyvalue").await.refused(405);
    site.get("/api/cache/keyvalue/0~key").await.refused(404);
}

#[tokio::test]
async fn gradles_artifacts_say_whether_they_are_new() {
    let site = serving().await;
    let path = format!("/api/cache/gradle/0123456789abcdef?{PROJECT}");
    site.get(&path).await.refused(404);
    assert_eq!(site.put(&path, b"one").await.status, 201);
    assert_eq!(site.put(&path, b"two").await.status, 200);
    assert_eq!(site.get(&path).await.text(), "two");
    assert_eq!(site.get(&format!("/cache/0123456789abcdef?{PROJECT}")).await.text(), "two");
    let mut client = site.connect().await;
    client.send(format!("PUT {path} HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nshort")).await;
    tokio::io::AsyncWriteExt::shutdown(&mut client.stream).await.unwrap();
    client.response().await.refused(400);
    assert_eq!(site.get(&path).await.text(), "two");
}

#[tokio::test]
async fn a_module_comes_in_parts_and_is_read_as_one() {
    let site = serving().await;
    let module = format!("module/any-id?{PROJECT}&{MODULE}");
    assert_eq!(site.head(&module).await, 404);
    site.get(&format!("/api/cache/{module}")).await.refused(404);
    let id = site.start(MODULE).await.unwrap();
    let bodies: Vec<_> = (1..=3).map(|seed| noise(1_500_000, seed)).collect();
    for at in [2, 0, 1] {
        assert_eq!(site.part(&id, &(at + 1).to_string(), b"to be sent again").await.status, 204);
        assert_eq!(site.part(&id, &(at + 1).to_string(), &bodies[at]).await.status, 204);
    }
    let whole = bodies.concat();
    site.complete(&id, "{\"parts\":[1,2]}").await.refused(400);
    site.complete(&id, "{\"parts\":[2,1,3]}").await.refused(400);
    site.complete(&id, "{\"parts\":[1,2,3,4]}").await.refused(400);
    site.complete(&id, "{\"parts\":[]}").await.refused(400);
    site.complete(&id, "{\"parts\":[1,2,3],\"checksum_sha256\":\"abc\"}").await.refused(400);
    let with = |body: &[u8]| format!("{{\"parts\":[1,2,3],\"checksum_sha256\":\"{}\"}}", sha256(body));
    site.complete(&id, &with(b"another")).await.refused(422);
    assert_eq!(site.head(&module).await, 404);
    for _ in 0..2 {
        assert_eq!(site.complete(&id, &with(&whole)).await.status, 204);
    }
    assert_eq!(site.complete(&id, "{\"parts\":[1,2,3]}").await.status, 204, "who does not say it is not held to it");
    site.complete(&id, "{\"parts\":[1,2]}").await.refused(400);
    site.complete(&id, "{\"parts\":[1,2,3,4]}").await.refused(400);
    site.complete(&id, &with(b"another")).await.refused(422);
    assert_eq!(site.head(&module).await, 204);
    let found = site.get(&format!("/api/cache/{module}")).await;
    assert!(found.status == 200 && found.body == whole);
    let range = site.request("GET", &format!("/api/cache/{module}"), "Range: bytes=1499990-3000009\r\n", b"").await;
    assert!(range.status == 206 && range.body == whole[1_499_990..3_000_010]);
    assert_eq!(site.start(MODULE).await, None, "it is there");
    site.part(&id, "1", b"late").await.refused(404);
    assert!(site.get(&format!("/api/cache/{module}")).await.body == whole);
    site.get(&format!("/api/cache/module/any-id?{MODULE}")).await.refused(404);
}

#[tokio::test]
async fn what_no_module_is_made_of_is_refused() {
    let site = serving().await;
    let id = site.start(MODULE).await.unwrap();
    site.part(UNKNOWN, "1", b"x").await.refused(404);
    site.part("no-id", "1", b"x").await.refused(404);
    site.complete(UNKNOWN, "{\"parts\":[1]}").await.refused(404);
    for bad in ["0", "10001", "-1", "one", ""] {
        site.part(&id, bad, b"x").await.refused(400);
    }
    let looked = site.request("GET", "/api/cache/module/start", "", b"").await;
    looked.refused(405);
    assert_eq!(looked.header("allow"), Some("POST"));
    site.post(&format!("module/part?{PROJECT}&part_number=1"), "", b"x").await.refused(400);
    site.post(&format!("module/part?part_number=1&upload_id={id}"), "", b"x").await.refused(404);
    site.post(&format!("module/start?{PROJECT}&hash=h"), "", b"").await.refused(400);
    site.post(&format!("module/start?{PROJECT}&hash=a%2Fb&name=n"), "", b"").await.refused(400);
    for bad in ["", "[1]", "{\"parts\":1}", "{\"parts\":[-1]}"] {
        site.complete(&id, bad).await.refused(400);
    }
    site.complete(&id, &format!("{{\"parts\":[{}1]}}", "1,".repeat(200_000))).await.refused(413);
    site.put(&format!("/api/cache/module/id?{PROJECT}&{MODULE}"), b"x").await.refused(405);
    let path = format!("/api/cache/module/part?{PROJECT}&upload_id={id}&part_number=1");
    let declared = format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", (10 << 20) + 1);
    let mut client = site.connect().await;
    client.send(declared).await;
    client.response().await.refused(413);
}

#[tokio::test]
async fn the_parts_of_a_module_are_bounded_together() {
    let site = serving().await;
    let id = site.start(MODULE).await.unwrap();
    // The largest artifact of this store is 34 MiB; of one that is large enough it is 2 GiB.
    let body = vec![7; 10 << 20];
    for number in ["1", "2", "3"] {
        assert_eq!(site.part(&id, number, &body).await.status, 204);
    }
    site.part(&id, "4", &body).await.refused(422);
    assert_eq!(site.part(&id, "3", &body).await.status, 204, "one that takes another's place");
}

#[tokio::test]
async fn a_project_is_emptied_and_no_other() {
    let site = serving().await;
    let paths =
        [format!("/api/cache/gradle/k?{PROJECT}"), "/api/cache/gradle/k?tenant_id=acme&namespace_id=web".to_owned()];
    for path in &paths {
        assert_eq!(site.put(path, b"x").await.status, 201);
    }
    let id = site.start(MODULE).await.unwrap();
    assert_eq!(site.part(&id, "1", b"x").await.status, 204);
    let clean = format!("/api/cache/clean?{PROJECT}");
    site.get(&clean).await.refused(405);
    assert_eq!(site.request("DELETE", &clean, "", b"").await.status, 204);
    site.get(&paths[0]).await.refused(404);
    assert_eq!(site.get(&paths[1]).await.status, 200);
    site.part(&id, "2", b"x").await.refused(404);
    site.complete(&id, "{\"parts\":[1]}").await.refused(404);
    site.request("DELETE", "/api/cache/clean?tenant_id=..", "", b"").await.refused(400);
}
