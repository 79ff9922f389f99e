//! What is removed by those who may: all of a namespace, an overlay, one artifact of whatever surface; and by whoever the server runs as, through a
//! socket of their own.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use kura_auth::Role;
use kura_http::ServerSettings;
use support::people::People;
use support::{CAPACITY, PATIENCE, Site, sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// A server that asks for tokens, and serves.
async fn asking(people: &People) -> Site {
    let site = Site::asking(ServerSettings::default(), Some(people.authenticator())).await;
    site.open(CAPACITY).await;
    site
}

async fn status(site: &Site, token: &str, method: &str, path: &str, body: &[u8]) -> u16 {
    site.request(method, path, &format!("Authorization: Bearer {token}\r\n"), body).await.status
}

#[tokio::test]
async fn an_admin_empties_a_namespace_and_leaves_all_others() {
    let mut people = People::default();
    let (admin, writer) = (people.token("a", &[], Role::Admin), people.token("a", &[], Role::Writer));
    let of_others = [people.token("b", &[], Role::Admin), people.token("a", &["web"], Role::Admin)];
    let site = asking(&people).await;
    for namespace in ["ios", "ios%2Fmain", "web"] {
        assert_eq!(status(&site, &admin, "PUT", &format!("/http/{namespace}/key"), b"body").await, 200);
    }
    assert_eq!(status(&site, &admin, "PUT", "/cache/0123?namespace_id=ios", b"body").await, 200);
    for token in [&writer, &of_others[0], &of_others[1]] {
        let path = "/admin/namespaces/ios?tenant_id=a";
        assert_eq!(status(&site, token, "DELETE", path, b"").await, 403);
    }
    assert_eq!(status(&site, &of_others[0], "DELETE", "/admin/namespaces/ios", b"").await, 204, "of its own tenant");
    assert_eq!(status(&site, &admin, "GET", "/http/ios/key", b"").await, 200);
    assert_eq!(status(&site, &admin, "GET", "/admin/namespaces/ios", b"").await, 405);
    for path in ["/admin/namespaces/", "/admin/namespaces/ios/", "/admin/namespaces/..", "/admin/namespaces/%ff"] {
        assert_eq!(status(&site, &admin, "DELETE", path, b"").await, 400, "{path}");
    }
    assert_eq!(status(&site, &admin, "DELETE", "/admin/namespaces/ios", b"").await, 204);
    for (path, there) in [
        ("/http/ios/key", 404),
        ("/cache/0123?namespace_id=ios", 404),
        ("/http/ios%2Fmain/key", 200),
        ("/http/web/key", 200),
    ] {
        assert_eq!(status(&site, &admin, "GET", path, b"").await, there, "{path}");
    }
}

#[tokio::test]
async fn one_artifact_is_removed_by_its_kind_and_key_also_where_its_surface_removes_nothing() {
    let (site, _store) = Site::serving(ServerSettings::default()).await;
    let hash = sha256(b"body");
    for (path, kind, key) in [
        ("/cache/0123456789abcdef", "gradle", "0123456789abcdef"),
        ("/v1/cache/12345", "nx", "12345"),
        ("/http/default/a/b c", "http", "a/b%20c"),
        (&format!("/cas/{hash}"), "cas", &hash),
    ] {
        let path = path.replace(' ', "%20");
        assert_eq!(site.put(&path, b"body").await.status, 200, "{path}");
        let named = format!("/admin/namespaces/default/{kind}/{key}");
        assert_eq!(site.request("DELETE", &format!("{named}?namespace_id=x&tenant_id=x"), "", b"").await.status, 404);
        assert_eq!(site.get(&path).await.status, 200);
        assert_eq!(site.request("DELETE", &named, "", b"").await.status, 204, "{path}");
        assert_eq!(site.get(&path).await.status, 404, "{path}");
        assert_eq!(site.request("DELETE", &named, "", b"").await.status, 404, "{path}");
    }
    // An action result that names nothing.
    assert_eq!(site.put(&format!("/ac/{hash}"), b"").await.status, 200);
    let named = format!("/admin/namespaces/default/action/{hash}");
    assert_eq!(site.request("DELETE", &named, "", b"").await.status, 204);
    assert_eq!(site.get(&format!("/ac/{hash}")).await.status, 404);
    for named in ["gradle", "gradle/", "gradle/..", "toy/key", "upload/key", "cas/0123", "action/xyz"] {
        let answer = site.request("DELETE", &format!("/admin/namespaces/default/{named}"), "", b"").await;
        answer.refused(400);
    }
}

#[tokio::test]
async fn whoever_the_server_runs_as_may_do_everything_through_their_socket_and_only_there() {
    let mut people = People::default();
    let writer = people.token("a", &[], Role::Writer);
    let site = asking(&people).await;
    let path = site.directory.path().join("owner");
    site.handle.listen_for_owner(UnixListener::bind(&path).unwrap());
    assert_eq!(status(&site, &writer, "PUT", "/http/ios/key", b"body").await, 200);
    let clean = "/admin/namespaces/ios?tenant_id=a";
    assert_eq!(site.request("DELETE", clean, "", b"").await.status, 401);
    let ask = async |request: String| {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        stream
            .write_all(format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let mut answer = String::new();
        tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        answer
    };
    assert!(ask("GET /http/ios/key?tenant_id=a".to_owned()).await.ends_with("\r\n\r\nbody"));
    assert!(ask(format!("DELETE {clean}")).await.starts_with("HTTP/1.1 204 "));
    assert_eq!(status(&site, &writer, "GET", "/http/ios/key", b"").await, 404);
    site.handle.drain(PATIENCE).await;
    UnixStream::connect(&path).await.unwrap_err();
}
