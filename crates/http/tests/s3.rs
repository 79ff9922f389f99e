//! S3 as its clients speak it: each operation that is served, and who is let in.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use kura_http::ServerSettings;
use support::s3::{S3, key_pair, refused, serving, signer};
use support::sigv4::{Signed, Signer};
use support::{Response, Site, noise, sha256};

#[tokio::test]
async fn an_object_is_stored_read_looked_at_and_deleted() {
    let s3 = serving().await;
    let key = "/bucket/a/b%20c.o";
    refused(&s3.get(key).await, 404, "NoSuchKey");
    let headers = [
        ("cache-control", "no-store"),
        ("content-encoding", "gzip"),
        ("content-type", "text/plain"),
        ("x-amz-meta-color", "blue"),
        ("x-amz-meta-size", "xl"),
    ];
    let stored = s3.ask("PUT", key, &headers, b"hello world").await;
    assert_eq!((stored.status, stored.text().as_str()), (200, ""));
    let etag = stored.header("etag").unwrap();
    assert!(etag.contains('-'), "no client may take it for an MD5: {etag}");
    for method in ["GET", "HEAD"] {
        let found = s3.ask(method, key, &[], b"").await;
        assert_eq!((found.status, found.header("content-length")), (200, Some("11")));
        for (name, value) in headers {
            assert_eq!(found.header(name), Some(value), "{name}");
        }
        assert_eq!(found.header("etag"), Some(etag));
        assert!(httpdate::parse_http_date(found.header("last-modified").unwrap()).is_ok());
        assert_eq!(found.body, if method == "GET" { &b"hello world"[..] } else { b"" });
    }
    let part = s3.ask("GET", key, &[("range", "bytes=6-8")], b"").await;
    assert_eq!((part.status, part.text().as_str()), (206, "wor"));
    assert_eq!(part.header("content-range"), Some("bytes 6-8/11"));
    let past = s3.ask("GET", key, &[("range", "bytes=11-")], b"").await;
    refused(&past, 416, "InvalidRange");
    assert_eq!(past.header("content-range"), Some("bytes */11"));
    assert_eq!(s3.ask("GET", key, &[("if-none-match", etag)], b"").await.status, 304);
    refused(&s3.ask("GET", key, &[("if-match", "\"other\"")], b"").await, 412, "PreconditionFailed");
    assert_eq!(s3.get("/other/a/b%20c.o").await.status, 404, "a bucket is a namespace");
    for _ in 0..2 {
        assert_eq!(s3.ask("DELETE", key, &[], b"").await.status, 204);
    }
    refused(&s3.get(key).await, 404, "NoSuchKey");
}

#[tokio::test]
async fn bodies_of_any_size_come_back() {
    let s3 = serving().await;
    for length in [0, 1, 64 << 10, (256 << 10) + 1, 5 << 20] {
        let body = noise(length, 7);
        let key = format!("/bucket/{length}");
        assert_eq!(s3.put(&key, &body).await.status, 200);
        assert!(s3.get(&key).await.body == body, "{length}");
    }
    let received = s3.site.metric("kura_http_received_bytes_total{surface=\"s3\"}").await;
    assert_eq!(received, 1 + (64 << 10) + (256 << 10) + 1 + (5 << 20));
}

#[tokio::test]
async fn of_two_who_expect_nothing_to_be_there_one_stores() {
    let s3 = serving().await;
    let bodies = [b"one", b"two"];
    let put = async |body: &[u8]| s3.ask("PUT", "/bucket/k", &[("if-none-match", "*")], body).await.status;
    let statuses = tokio::join!(put(bodies[0]), put(bodies[1]));
    let winner = match statuses {
        (200, 412) => 0,
        (412, 200) => 1,
        other => panic!("{other:?}"),
    };
    assert_eq!(s3.get("/bucket/k").await.body, bodies[winner]);
    refused(&s3.ask("PUT", "/bucket/k", &[("if-none-match", "*")], b"three").await, 412, "PreconditionFailed");
    let etag = s3.get("/bucket/k").await.header("etag").unwrap().to_owned();
    assert_eq!(s3.ask("PUT", "/bucket/k", &[("if-match", &etag)], b"four").await.status, 200);
    refused(&s3.ask("PUT", "/bucket/k", &[("if-match", &etag)], b"five").await, 412, "PreconditionFailed");
    assert_eq!(s3.get("/bucket/k").await.text(), "four");
}

#[tokio::test]
async fn nobody_comes_in_without_the_right_signature() {
    let s3 = serving().await;
    assert_eq!(s3.put("/bucket/k", b"body").await.status, 200);
    let ask = async |signer: Signer| s3.signed(&signer, "GET", "/bucket/k", &[], b"").await;
    refused(&ask(Signer { secret: "rush".to_owned(), ..signer() }).await, 403, "SignatureDoesNotMatch");
    refused(&ask(Signer { id: "OTHER".to_owned(), ..signer() }).await, 403, "InvalidAccessKeyId");
    refused(&ask(Signer { service: "sts", ..signer() }).await, 400, "InvalidRequest");
    refused(&s3.site.get("/s3/bucket/k").await, 403, "AccessDenied");
    let basic = s3.site.request("GET", "/s3/bucket/k", "Authorization: Basic QUtJRDpodXNo\r\n", b"").await;
    refused(&basic, 400, "InvalidRequest");
    // A signature for one path, method or header is none for another.
    let of = |path, method| Signed { method, path, query: "", headers: Vec::new(), payload: sha256(b"") };
    let headers = signer().headers(&of("/s3/bucket/k", "GET"));
    assert_eq!(s3.site.request("GET", "/s3/bucket/k", &headers, b"").await.status, 200);
    for (method, path) in [("GET", "/s3/bucket/l"), ("DELETE", "/s3/bucket/k"), ("GET", "/s3/bucket/k?versionId=1")] {
        refused(&s3.site.request(method, path, &headers, b"").await, 403, "SignatureDoesNotMatch");
    }
    // Nor is it for another body.
    let of = Signed { payload: sha256(b"body"), ..of("/s3/bucket/k", "PUT") };
    let other = s3.site.request("PUT", "/s3/bucket/k", &signer().headers(&of), b"bodz").await;
    refused(&other, 400, "XAmzContentSHA256Mismatch");
    assert_eq!(s3.get("/bucket/k").await.text(), "body");
}

#[tokio::test]
async fn signatures_of_version_2_are_refused() {
    let s3 = serving().await;
    let header = "Date: Thu, 26 Nov 2026 14:00:00 GMT\r\nAuthorization: AWS AKID:frJIUN8DYpKDtOLCwo//yllqDzg=\r\n";
    let refusal = s3.site.request("GET", "/s3/bucket/k", header, b"").await;
    assert!(matches!(refusal.status, 400 | 403), "{refusal:?}");
    let presigned = "/s3/bucket/k?AWSAccessKeyId=AKID&Signature=x&Expires=9999999999";
    assert!(matches!(s3.site.get(presigned).await.status, 400 | 403));
}

#[tokio::test]
async fn clocks_may_be_off_by_a_quarter_of_an_hour() {
    let s3 = serving().await;
    s3.put("/bucket/k", b"body").await;
    let now = signer().now;
    for off in [now - 14 * 60, now + 14 * 60] {
        assert_eq!(s3.signed(&Signer { now: off, ..signer() }, "GET", "/bucket/k", &[], b"").await.status, 200);
    }
    // What was overheard an hour or a year ago is worth nothing.
    for off in [now - 16 * 60, now + 16 * 60, now - 3600, now - 365 * 86400] {
        let refusal = s3.signed(&Signer { now: off, ..signer() }, "GET", "/bucket/k", &[], b"").await;
        refused(&refusal, 403, "RequestTimeTooSkewed");
    }
}

#[tokio::test]
async fn a_url_can_be_signed_for_a_while() {
    let s3 = serving().await;
    let path = "/s3/bucket/k";
    let ask = async |signer: Signer, method: &str, seconds, body: &[u8]| {
        let query = signer.presigned(method, path, seconds);
        s3.site.request(method, &format!("{path}?{query}"), "", body).await
    };
    assert_eq!(ask(signer(), "PUT", 60, b"body").await.status, 200);
    assert_eq!(ask(signer(), "GET", 60, b"").await.text(), "body");
    let now = signer().now;
    refused(&ask(Signer { now: now - 61, ..signer() }, "GET", 60, b"").await, 403, "AccessDenied");
    refused(&ask(Signer { now: now + 3600, ..signer() }, "GET", 60, b"").await, 403, "RequestTimeTooSkewed");
    refused(&ask(Signer { secret: "rush".to_owned(), ..signer() }, "GET", 60, b"").await, 403, "SignatureDoesNotMatch");
    let for_ever = ask(signer(), "GET", 8 * 86400, b"").await;
    refused(&for_ever, 400, "AuthorizationQueryParametersError");
    let query = signer().presigned("GET", path, 60);
    refused(&s3.site.get(&format!("/s3/bucket/l?{query}")).await, 403, "SignatureDoesNotMatch");
    // What the URL says of the answer's headers holds.
    assert_eq!(s3.get("/bucket/k?response-content-type=text%2Fcss").await.header("content-type"), Some("text/css"));
}

#[tokio::test]
async fn checksums_beside_a_body_are_checked_and_given_back() {
    let s3 = serving().await;
    // CRC-32 and MD5 of "hello".
    let (crc, md5) = ("NhCmhg==", "XUFAKrxLKna5cZ2REBfFkg==");
    for (name, right, code) in [("x-amz-checksum-crc32", crc, "BadDigest"), ("content-md5", md5, "BadDigest")] {
        refused(&s3.ask("PUT", "/bucket/k", &[(name, right)], b"hellO").await, 400, code);
        assert_eq!(s3.get("/bucket/k").await.status, 404, "nothing is stored");
        assert_eq!(s3.ask("PUT", "/bucket/k", &[(name, right)], b"hello").await.status, 200);
        s3.ask("DELETE", "/bucket/k", &[], b"").await;
    }
    refused(&s3.ask("PUT", "/bucket/k", &[("content-md5", "?")], b"hello").await, 400, "InvalidDigest");
    s3.ask("PUT", "/bucket/k", &[("x-amz-checksum-crc32", crc)], b"hello").await;
    let asked = [("x-amz-checksum-mode", "ENABLED")];
    assert_eq!(s3.ask("GET", "/bucket/k", &asked, b"").await.header("x-amz-checksum-crc32"), Some(crc));
    assert_eq!(s3.get("/bucket/k").await.header("x-amz-checksum-crc32"), None);
    let part = [("range", "bytes=0-1"), asked[0]];
    assert_eq!(s3.ask("GET", "/bucket/k", &part, b"").await.header("x-amz-checksum-crc32"), None);
}

/// A body in chunks, signed or with a trailer.
async fn chunked(s3: &S3, payload: &str, headers: &[(&str, &str)], length: usize, body: &[u8]) -> Response {
    let mut headers: Vec<_> = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    headers.push(("content-encoding", "aws-chunked".to_owned()));
    headers.push(("x-amz-decoded-content-length", length.to_string()));
    let of = Signed { method: "PUT", path: "/s3/bucket/k", query: "", headers, payload: payload.to_owned() };
    s3.site.request("PUT", "/s3/bucket/k", &signer().headers(&of), body).await
}

#[tokio::test]
async fn bodies_come_in_chunks_with_their_checksum_behind() {
    let s3 = serving().await;
    let payload = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
    let trailer = [("x-amz-trailer", "x-amz-checksum-crc32")];
    let send = async |length, body: &[u8]| chunked(&s3, payload, &trailer, length, body).await;
    let stored = send(5, b"3\r\nhel\r\n2\r\nlo\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n").await;
    assert_eq!(stored.status, 200, "{stored:?}");
    let found = s3.get("/bucket/k").await;
    assert_eq!((found.text().as_str(), found.header("content-encoding")), ("hello", None));
    s3.ask("DELETE", "/bucket/k", &[], b"").await;
    for (body, code) in [
        (&b"5\r\nhellO\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"[..], "BadDigest"),
        (b"5\r\nhello\r\n0\r\n\r\n", "BadDigest"),
        (b"5\r\nhello\r\n", "BadDigest"),
        (b"4\r\nhell\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", "BadDigest"),
        (b"6\r\nhello!\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", "InvalidRequest"),
        (b"no chunk\r\n", "InvalidRequest"),
    ] {
        refused(&send(5, body).await, 400, code);
        assert_eq!(s3.get("/bucket/k").await.status, 404, "{}", body.escape_ascii());
    }
    // One chunk may be as long as the body: it is not gathered.
    let (body, crc) = (noise(9 << 20, 3), "x-amz-checksum-crc32");
    let whole = [format!("{:x}\r\n", body.len()).as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
    refused(&chunked(&s3, payload, &[("x-amz-trailer", crc)], body.len(), &whole).await, 400, "BadDigest");
}

#[tokio::test]
async fn each_signed_chunk_is_checked() {
    let s3 = serving().await;
    let signer = signer();
    let payload = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
    let send = async |chunks: &[&[u8]], forge: bool| {
        let length: usize = chunks.iter().map(|chunk| chunk.len()).sum();
        let headers =
            vec![("content-encoding", "aws-chunked".to_owned()), ("x-amz-decoded-content-length", length.to_string())];
        let of = Signed { method: "PUT", path: "/s3/bucket/k", query: "", headers, payload: payload.to_owned() };
        let headers = signer.headers(&of);
        let mut previous = headers.trim_end().rsplit_once("Signature=").unwrap().1.to_owned();
        let mut body = Vec::new();
        for chunk in chunks.iter().chain([&&b""[..]]) {
            let text = format!(
                "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{previous}\n{}\n{}",
                signer.date(),
                signer.scope(),
                sha256(b""),
                sha256(chunk)
            );
            previous = signer.signature(&text);
            body.extend(format!("{:x};chunk-signature={previous}\r\n", chunk.len()).as_bytes());
            body.extend(if forge && chunk.len() == 5 { b"hellO" } else { *chunk });
            body.extend(b"\r\n");
        }
        s3.site.request("PUT", "/s3/bucket/k", &headers, &body).await
    };
    refused(&send(&[b"hello", b" world"], true).await, 403, "SignatureDoesNotMatch");
    assert_eq!(s3.get("/bucket/k").await.status, 404);
    assert_eq!(send(&[b"hello", b" world"], false).await.status, 200);
    assert_eq!(s3.get("/bucket/k").await.text(), "hello world");
    let long = noise((1 << 20) + 1, 1);
    refused(&send(&[&long], false).await, 400, "EntityTooLarge");
}

#[tokio::test]
async fn what_is_left_out_says_so() {
    let s3 = serving().await;
    for (method, target) in [
        ("GET", "/bucket/k?tagging="),
        ("GET", "/bucket?policy="),
        ("DELETE", "/bucket"),
        ("GET", "/"),
        ("GET", "/bucket?versions="),
        ("GET", "/bucket/k?versionId=1"),
        ("GET", "/bucket/k?partNumber=1"),
    ] {
        refused(&s3.ask(method, target, &[], b"").await, 501, "NotImplemented");
    }
    for header in [
        ("x-amz-server-side-encryption", "AES256"),
        ("x-amz-acl", "public-read"),
        ("x-amz-copy-source", "/bucket/k"),
        ("x-amz-tagging", "a=b"),
    ] {
        refused(&s3.ask("PUT", "/bucket/k", &[header], b"body").await, 501, "NotImplemented");
    }
    let form = [("content-type", "multipart/form-data; boundary=x")];
    refused(&s3.ask("POST", "/bucket", &form, b"--x--").await, 501, "NotImplemented");
    assert_eq!(s3.ask("HEAD", "/bucket", &[], b"").await.status, 200);
    assert_eq!(s3.ask("PUT", "/bucket", &[], b"").await.status, 200);
    assert_eq!(s3.ask("GET", "/bucket?location=", &[], b"").await.status, 200);
}

#[tokio::test]
async fn bad_names_and_bodies_are_refused() {
    let s3 = serving().await;
    for key in ["/bucket/a/../b", "/bucket/.", "/bucket/a%00b"] {
        refused(&s3.put(key, b"body").await, 400, "InvalidRequest");
    }
    refused(&s3.put(&format!("/bucket/{}", "x".repeat(1100)), b"body").await, 400, "KeyTooLongError");
    refused(&s3.put("/../k", b"body").await, 400, "InvalidBucketName");
    let large = ("x-amz-meta-a", "x".repeat(1100));
    refused(&s3.ask("PUT", "/bucket/k", &[(large.0, &large.1)], b"body").await, 400, "MetadataTooLarge");
    let of = Signed {
        method: "PUT",
        path: "/s3/bucket/k",
        query: "",
        headers: Vec::new(),
        payload: "UNSIGNED-PAYLOAD".to_owned(),
    };
    let headers = signer().headers(&of);
    let mut client = s3.site.connect().await;
    client
        .send(format!("PUT /s3/bucket/k HTTP/1.1\r\nHost: test\r\nContent-Length: 9999999999\r\n{headers}\r\n"))
        .await;
    refused(&client.response().await, 400, "EntityTooLarge");
    let mut client = s3.site.connect().await;
    client.send(format!("PUT /s3/bucket/k HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n{headers}\r\nhello")).await;
    client.end().await;
    assert_eq!(s3.get("/bucket/k").await.status, 404);
}

#[tokio::test]
async fn without_a_key_pair_nobody_comes_in() {
    let (site, _store) = Site::serving(ServerSettings::default()).await;
    let refusal = site.get("/s3/bucket/k").await;
    refused(&refusal, 403, "AccessDenied");
    assert!(refusal.text().contains("--s3-key-id"));
}

#[tokio::test]
async fn before_recovery_is_done_clients_are_told_to_come_back() {
    let site = Site::unopened(ServerSettings { s3: key_pair(), ..ServerSettings::default() }).await;
    let s3 = S3 { site };
    for response in [s3.get("/bucket/k").await, s3.put("/bucket/k", b"body").await] {
        refused(&response, 503, "ServiceUnavailable");
        assert!(response.header("retry-after").is_some());
    }
}
