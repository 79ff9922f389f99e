//! S3 with the key pairs of tokens: each may do what its token may, where its token may, and for as long.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use kura_auth::Role;
use kura_http::ServerSettings;
use support::people::People;
use support::s3::{S3, key_pair, of_token, refused, signer, signing};
use support::sigv4::Signer;
use support::{CAPACITY, Response, Site};

async fn asking(people: &People) -> S3 {
    let settings = ServerSettings { s3: key_pair(), ..ServerSettings::default() };
    let site = Site::asking(settings, Some(people.authenticator())).await;
    site.open(CAPACITY).await;
    S3 { site }
}

async fn by(s3: &S3, token: &str, method: &str, target: &str, body: &[u8]) -> Response {
    s3.signed(&of_token(token), method, target, &[], body).await
}

fn within<'a>(text: &'a str, element: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("<{element}>")).unwrap();
    rest.split_once("</").unwrap().0
}

#[tokio::test]
async fn a_reader_fetches_and_lists_a_writer_stores_and_an_admin_deletes() {
    let mut people = People::default();
    let [reader, writer, admin] =
        [Role::Reader, Role::Writer, Role::Admin].map(|role| people.token("default", &[], role));
    let s3 = asking(&people).await;
    let (body, nothing) = (b"body".as_slice(), b"".as_slice());
    let parts =
        b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>";
    for (method, target, body) in [
        ("PUT", "/b/k", body),
        ("PUT", "/b", nothing),
        ("POST", "/b/k?uploads=", nothing),
        ("PUT", "/b/k?partNumber=1&uploadId=0", body),
        ("POST", "/b/k?uploadId=0", parts),
        ("DELETE", "/b/k?uploadId=0", nothing),
    ] {
        let refusal = by(&s3, &reader, method, target, body).await;
        refused(&refusal, 403, "AccessDenied");
        assert!(refusal.text().contains("role writer"), "{method} {target}: {}", refusal.text());
    }
    assert_eq!(by(&s3, &writer, "PUT", "/b/k", body).await.status, 200);
    for target in ["/b/k", "/b", "/b?list-type=2", "/b?location="] {
        assert_eq!(by(&s3, &reader, "GET", target, b"").await.status, 200, "{target}");
    }
    assert_eq!(by(&s3, &reader, "HEAD", "/b/k", b"").await.status, 200);
    assert_eq!(by(&s3, &reader, "HEAD", "/b", b"").await.status, 200);
    // What nobody can fetch yet, a writer may give up.
    let started = by(&s3, &writer, "POST", "/b/parts?uploads=", b"").await.text();
    let upload = format!("/b/parts?uploadId={}", within(&started, "UploadId"));
    refused(&by(&s3, &reader, "DELETE", &upload, b"").await, 403, "AccessDenied");
    assert_eq!(by(&s3, &reader, "GET", &upload, b"").await.status, 200);
    assert_eq!(by(&s3, &writer, "DELETE", &upload, b"").await.status, 204);
    let delete = b"<Delete><Object><Key>k</Key></Object></Delete>".as_slice();
    for (method, target, body) in [("DELETE", "/b/k", nothing), ("POST", "/b?delete=", delete)] {
        for token in [&reader, &writer] {
            let refusal = by(&s3, token, method, target, body).await;
            refused(&refusal, 403, "AccessDenied");
            assert!(refusal.text().contains("role admin"), "{}", refusal.text());
        }
        assert_eq!(by(&s3, &reader, "GET", "/b/k", b"").await.status, 200);
    }
    assert_eq!(by(&s3, &admin, "POST", "/b?delete=", delete).await.status, 200);
    assert_eq!(by(&s3, &admin, "GET", "/b/k", b"").await.status, 404);
}

#[tokio::test]
async fn a_bucket_is_a_namespace_of_the_tokens_tenant_and_of_no_other() {
    let mut people = People::default();
    let ios = people.token("acme", &["ios"], Role::Writer);
    let other = people.token("other", &[], Role::Admin);
    let overlay = people.in_overlay("acme", "pr/1");
    let s3 = asking(&people).await;
    assert_eq!(by(&s3, &ios, "PUT", "/ios/k", b"trusted").await.status, 200);
    for target in ["/web/k", "/web?list-type=2", "/web"] {
        let refusal = by(&s3, &ios, "GET", target, b"").await;
        refused(&refusal, 403, "AccessDenied");
        assert!(refusal.text().contains("namespace web"), "{}", refusal.text());
    }
    refused(&by(&s3, &other, "GET", "/ios/k", b"").await, 404, "NoSuchKey");
    assert!(!by(&s3, &other, "GET", "/ios?list-type=2", b"").await.text().contains("<Key>"));
    // Over the same namespace, and seen by nobody else.
    assert_eq!(by(&s3, &overlay, "GET", "/ios/k", b"").await.text(), "trusted");
    assert_eq!(by(&s3, &overlay, "PUT", "/ios/k", b"poisoned").await.status, 200);
    assert_eq!(by(&s3, &overlay, "PUT", "/ios/own", b"own").await.status, 200);
    assert_eq!(by(&s3, &overlay, "GET", "/ios/k", b"").await.text(), "poisoned");
    assert_eq!(by(&s3, &ios, "GET", "/ios/k", b"").await.text(), "trusted");
    refused(&by(&s3, &ios, "GET", "/ios/own", b"").await, 404, "NoSuchKey");
    refused(&by(&s3, &overlay, "DELETE", "/ios/own", b"").await, 403, "AccessDenied");
    let listed = by(&s3, &overlay, "GET", "/ios?list-type=2", b"").await.text();
    assert!(listed.contains("<Key>k</Key>") && listed.contains("<Key>own</Key>"), "{listed}");
}

#[tokio::test]
async fn a_pair_is_good_for_as_long_as_its_token() {
    let mut people = People::default();
    let (writer, expired) = (people.token("default", &[], Role::Writer), people.expired("default", Role::Admin));
    let s3 = asking(&people).await;
    let late = by(&s3, &expired, "GET", "/b/k", b"").await;
    refused(&late, 403, "AccessDenied");
    assert!(late.text().contains("expired"), "{}", late.text());
    let url = format!("/s3/b/k?{}", of_token(&writer).presigned("PUT", "/s3/b/k", 60));
    let mut connection = s3.site.connect().await;
    assert_eq!(connection.request("PUT", &url, "", b"body").await.status, 200);
    people.revoke(&writer);
    refused(&connection.request("PUT", &url, "", b"body").await, 403, "InvalidAccessKeyId");
    refused(&by(&s3, &writer, "GET", "/b/k", b"").await, 403, "InvalidAccessKeyId");
}

#[tokio::test]
async fn nobody_signs_for_another_and_the_pair_of_the_settings_is_nobodys() {
    let mut people = People::default();
    let [one, other] = [Role::Reader, Role::Admin].map(|role| people.token("default", &[], role));
    let s3 = asking(&people).await;
    let [one, other] = [one, other].map(|token| (of_token(&token), token));
    let ask = async |signer: Signer| s3.signed(&signer, "GET", "/b/k", &[], b"").await;
    refused(&ask(Signer { id: other.0.id.clone(), ..one.0.clone() }).await, 403, "SignatureDoesNotMatch");
    refused(&ask(signing(&other.0.id, other.1.rsplit_once('_').unwrap().1)).await, 403, "SignatureDoesNotMatch");
    refused(&ask(signing(&other.0.id, "")).await, 403, "SignatureDoesNotMatch");
    refused(&ask(signing(&other.0.id.to_uppercase().replace('2', "3"), "x")).await, 403, "InvalidAccessKeyId");
    refused(&ask(signer()).await, 403, "InvalidAccessKeyId");
    let bearer = format!("Authorization: Bearer {}\r\n", other.1);
    assert!(matches!(s3.site.request("GET", "/s3/b/k", &bearer, b"").await.status, 400 | 403));
    refused(&s3.site.get("/s3/b/k").await, 403, "AccessDenied");
    refused(&ask(one.0).await, 404, "NoSuchKey");
}

#[tokio::test]
async fn without_what_pairs_are_made_with_nobody_signs() {
    let mut people = People::default();
    let writer = people.token("default", &[], Role::Writer);
    let only_tokens = kura_auth::Authenticator::default();
    only_tokens.replace_tokens(people.all());
    let site = Site::asking(ServerSettings::default(), Some(only_tokens.into())).await;
    let s3 = S3 { site };
    s3.site.open(CAPACITY).await;
    refused(&by(&s3, &writer, "GET", "/b/k", b"").await, 403, "InvalidAccessKeyId");
    let empty = signing(&of_token(&writer).id, "");
    refused(&s3.signed(&empty, "GET", "/b/k", &[], b"").await, 403, "InvalidAccessKeyId");
}

#[tokio::test]
async fn signatures_that_do_not_hold_are_logins_that_fail() {
    let mut people = People::default();
    let reader = people.token("default", &[], Role::Reader);
    let s3 = asking(&people).await;
    let wrong = Signer { secret: "rush".to_owned(), ..of_token(&reader) };
    let ask = async |signer: &Signer| s3.signed(signer, "GET", "/b/k", &[], b"").await;
    for _ in 0..40 {
        // Who does not sign has not tried to be somebody, and whose role is not enough is somebody.
        refused(&s3.site.get("/s3/b/k").await, 403, "AccessDenied");
        refused(&by(&s3, &reader, "PUT", "/b/k", b"body").await, 403, "AccessDenied");
    }
    for _ in 0..29 {
        refused(&ask(&wrong).await, 403, "SignatureDoesNotMatch");
    }
    let url = format!("/s3/b/k?{}", wrong.presigned("GET", "/s3/b/k", 60));
    refused(&s3.site.get(&url).await, 403, "SignatureDoesNotMatch");
    for later in [ask(&wrong).await, ask(&signing("0123456789abcdef", "x")).await, s3.site.get(&url).await] {
        refused(&later, 503, "SlowDown");
        assert!(later.header("retry-after").is_some());
    }
    refused(&ask(&of_token(&reader)).await, 404, "NoSuchKey");
    let metrics = s3.site.request("GET", "/metrics", &format!("Authorization: Bearer {reader}\r\n"), b"").await.text();
    assert!(metrics.lines().any(|line| line == "kura_logins_failed_total 33"), "{metrics}");
}
