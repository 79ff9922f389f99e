//! Who may do what over HTTP: on every surface the same, told by the codes that each surface's clients take well.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use kura_auth::Role;
use kura_http::ServerSettings;
use support::people::People;
use support::{CAPACITY, Response, Site, sha256};

async fn asking(people: &People) -> Site {
    let site = Site::asking(ServerSettings::default(), Some(people.authenticator())).await;
    site.open(CAPACITY).await;
    site
}

async fn with(site: &Site, token: &str, method: &str, path: &str, body: &[u8]) -> Response {
    site.request(method, path, &format!("Authorization: Bearer {token}\r\n"), body).await
}

#[tokio::test]
async fn without_a_token_that_is_known_nothing_is_told_and_nothing_stored() {
    let mut people = People::default();
    let (writer, expired) = (people.token("default", &[], Role::Writer), people.expired("default", Role::Admin));
    let site = asking(&people).await;
    assert_eq!(with(&site, &writer, "PUT", "/http/ns/there", b"body").await.status, 200);
    let forged = writer.replace("kura_0000000000000001", "kura_0000000000000002");
    for (headers, says) in [
        (String::new(), "asks for a token"),
        ("Authorization: Bearer any\r\n".to_owned(), "not known"),
        (format!("Authorization: Bearer {writer}x\r\n"), "not known"),
        (format!("Authorization: Bearer {forged}\r\n"), "not known"),
        (format!("Authorization: Bearer {expired}\r\n"), "expired"),
        (format!("Authorization: Token {writer}\r\n"), "cannot be read"),
        (format!("Authorization: Bearer {writer}\r\nAuthorization: Bearer {writer}\r\n"), "cannot be read"),
    ] {
        for (method, path) in [("GET", "/http/ns/there"), ("GET", "/http/ns/not"), ("HEAD", "/http/ns/there")] {
            let refused = site.request(method, path, &headers, b"").await;
            assert_eq!(refused.status, 401, "{headers}");
            assert!(refused.header("www-authenticate").unwrap().contains("Bearer"), "{refused:?}");
            assert!(method == "HEAD" || refused.text().contains(says), "{refused:?}");
        }
        site.request("PUT", "/http/ns/new", &headers, b"body").await.refused(401);
        site.request("DELETE", "/http/ns/there", &headers, b"").await.refused(401);
    }
    assert_eq!(with(&site, &writer, "GET", "/http/ns/there", b"").await.status, 200);
    assert_eq!(with(&site, &writer, "GET", "/http/ns/new", b"").await.status, 404);
}

#[tokio::test]
async fn a_token_is_taken_as_a_password_too_and_until_it_is_revoked() {
    let mut people = People::default();
    let writer = people.token("default", &[], Role::Writer);
    let site = asking(&people).await;
    let basic = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(format!("anybody:{writer}"))
    };
    let headers = format!("Authorization: Basic {basic}\r\n");
    assert_eq!(site.request("PUT", "/cache/key", &headers, b"body").await.status, 200);
    let mut connection = site.connect().await;
    assert_eq!(connection.request("GET", "/cache/key", &headers, b"").await.status, 200);
    people.revoke(&writer);
    connection.request("GET", "/cache/key", &headers, b"").await.refused(401);
}

#[tokio::test]
async fn a_reader_reads_a_writer_stores_and_an_admin_deletes() {
    let mut people = People::default();
    let [reader, writer, admin] =
        [Role::Reader, Role::Writer, Role::Admin].map(|role| people.token("default", &[], role));
    let site = asking(&people).await;
    let path = "/http/ns/key";
    with(&site, &reader, "PUT", path, b"body").await.refused(403);
    assert_eq!(with(&site, &writer, "PUT", path, b"body").await.status, 200);
    assert_eq!(with(&site, &reader, "GET", path, b"").await.text(), "body");
    for token in [&reader, &writer] {
        let refused = with(&site, token, "DELETE", path, b"").await;
        refused.refused(403);
        assert!(refused.text().contains("role admin"), "{refused:?}");
        with(&site, token, "DELETE", "/api/cache/clean", b"").await.refused(403);
    }
    assert_eq!(with(&site, &admin, "DELETE", path, b"").await.status, 204);
    assert_eq!(with(&site, &admin, "DELETE", "/api/cache/clean", b"").await.status, 204);
}

#[tokio::test]
async fn a_reader_is_refused_before_its_body_is_sent() {
    let mut people = People::default();
    let reader = people.token("default", &[], Role::Reader);
    let site = asking(&people).await;
    let mut client = site.connect().await;
    let head = "PUT /ccache/abcdef HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n";
    client.send(format!("{head}Authorization: Bearer {reader}\r\n\r\n")).await;
    client.response().await.refused(403);
}

#[tokio::test]
async fn uploads_of_readers_are_refused_as_each_surface_takes_it_best() {
    let mut people = People::default();
    let reader = people.token("default", &[], Role::Reader);
    let site = asking(&people).await;
    let hash = sha256(b"body");
    for (path, status) in [
        (format!("/bazel/cas/{hash}"), 403),
        (format!("/ccache/{hash}"), 403),
        ("/v1/cache/1".to_owned(), 403),
        ("/v8/artifacts/0123456789abcdef".to_owned(), 403),
        // Gradle takes that for an artifact that is too large; after 403 it would not read either.
        (format!("/cache/{}", &hash[..32]), 413),
        (format!("/api/cache/gradle/{}", &hash[..32]), 413),
    ] {
        with(&site, &reader, "PUT", &path, b"body").await.refused(status);
        assert_eq!(with(&site, &reader, "GET", &path, b"").await.status, 404, "{path}");
    }
    let query = with(&site, &reader, "POST", "/v8/artifacts", br#"{"hashes":["0123456789abcdef"]}"#).await;
    assert_eq!((query.status, query.text().as_str()), (200, r#"{"0123456789abcdef":null}"#));
    assert_eq!(with(&site, &reader, "POST", "/v8/artifacts/events", b"[]").await.status, 200);
    assert_eq!(site.request("OPTIONS", "/v8/artifacts/0123456789abcdef", "", b"").await.status, 200, "a preflight");
}

#[tokio::test]
async fn a_request_acts_where_its_token_is_for_and_nowhere_else() {
    let mut people = People::default();
    let ios = people.token("acme", &["ios", "web"], Role::Writer);
    let all = people.token("acme", &[], Role::Writer);
    let other = people.token("other", &[], Role::Admin);
    let site = asking(&people).await;
    assert_eq!(with(&site, &ios, "PUT", "/cache/key", b"body").await.status, 200);
    for (token, path, status) in [
        (&ios, "/cache/key", 200),
        (&ios, "/cache/key?namespace_id=ios", 200),
        (&ios, "/cache/key?tenant_id=acme&project_handle=ios", 200),
        (&ios, "/cache/key?namespace_id=web", 404),
        (&ios, "/cache/key?namespace_id=default", 403),
        (&ios, "/cache/key?tenant_id=other&namespace_id=ios", 403),
        (&ios, "/http/web/key", 404),
        (&ios, "/http/default/key", 403),
        (&ios, "/http/web", 200),
        (&ios, "/http/default", 403),
        (&ios, "/http/web?tenant_id=other", 403),
        (&ios, "/v8/artifacts/key?slug=web", 404),
        (&ios, "/v8/artifacts/key?slug=mobile", 403),
        (&all, "/cache/key", 404),
        (&all, "/cache/key?namespace_id=ios", 200),
        (&all, "/cache/key?account_handle=other", 403),
        (&other, "/cache/key", 404),
        (&other, "/cache/key?namespace_id=ios", 404),
        (&other, "/cache/key?tenant_id=acme&namespace_id=ios", 403),
    ] {
        let answer = with(&site, token, "GET", path, b"").await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn health_is_for_everybody_and_figures_are_for_the_default_tenant() {
    let mut people = People::default();
    let operator = people.token("default", &[], Role::Reader);
    let tenant = people.token("acme", &[], Role::Admin);
    let site = asking(&people).await;
    for path in ["/up", "/ready"] {
        assert_eq!(site.get(path).await.status, 200, "{path}");
    }
    for path in ["/", "/status.json", "/metrics"] {
        site.get(path).await.refused(401);
        with(&site, &tenant, "GET", path, b"").await.refused(403);
        assert_eq!(with(&site, &operator, "GET", path, b"").await.status, 200, "{path}");
    }
    site.get("/nobodys").await.refused(401);
    with(&site, &tenant, "GET", "/nobodys", b"").await.refused(404);
}

#[tokio::test]
async fn secrets_are_in_no_answer() {
    let mut people = People::default();
    let reader = people.token("default", &[], Role::Reader);
    let secret = reader.rsplit_once('_').unwrap().1.to_owned();
    let site = asking(&people).await;
    for (method, path) in [
        ("PUT", "/http/ns/key"),
        ("GET", "/metrics"),
        ("GET", "/status.json"),
        ("GET", "/cache/.."),
        ("PATCH", "/cache/a"),
    ] {
        let answer = with(&site, &reader, method, path, b"").await;
        assert!(!format!("{answer:?}{}", String::from_utf8_lossy(&answer.body)).contains(&secret), "{answer:?}");
    }
    let wrong = with(&site, &reader.replace("kura_0", "kura_1"), "GET", "/http/ns/key", b"").await;
    assert!(!wrong.text().contains(&secret), "{wrong:?}");
}
