//! Nothing crosses from one place to another, whatever the surface: what somebody stored changes not one byte of what others are answered, who are of
//! another tenant, namespace or overlay, or of what an overlay lies over. Made from the table of surfaces: one that is new has to say how it is used.

#[path = "../tests/support/mod.rs"]
mod support;

use kura_auth::Role;

use crate::ServerSettings;
use crate::surface::Surface;
use support::people::People;
use support::s3::of_token;
use support::sigv4::Signed;
use support::{CAPACITY, Response, Site, sha256};

/// How a surface is used; `{ns}` is the namespace, where it is in the path.
struct Use {
    store: (&'static str, String),
    fetch: String,
    body: Vec<u8>,
}

/// Nothing, for what has no artifacts.
fn used(surface: Surface) -> Option<Use> {
    let put =
        |path: &str| Some(Use { store: ("PUT", path.to_owned()), fetch: path.to_owned(), body: b"body".to_vec() });
    match surface {
        Surface::Bazel => put(&format!("/bazel/cas/{}", sha256(b"body"))),
        Surface::Gradle => put("/cache/0123456789abcdef"),
        Surface::Ccache => put("/ccache/ab/cdef"),
        Surface::Generic => put("/http/{ns}/a/key"),
        Surface::Metro => put("/metro/0123456789abcdef"),
        Surface::Nx => put("/v1/cache/12345"),
        Surface::Turborepo => put("/v8/artifacts/0123456789abcdef"),
        Surface::Webdav => put("/webdav/a/b/key"),
        Surface::Xcode => {
            let path = "/api/cache/cas/0~abc".to_owned();
            Some(Use { store: ("POST", path.clone()), fetch: path, body: b"body".to_vec() })
        }
        Surface::KeyValue => Some(Use {
            store: ("PUT", "/api/cache/keyvalue".to_owned()),
            fetch: "/api/cache/keyvalue/0~abc".to_owned(),
            body: br#"{"cas_id":"0~abc","entries":[{"value":"v"}]}"#.to_vec(),
        }),
        // Not the key of `Gradle`, whose artifacts these are too.
        Surface::TuistGradle => put("/api/cache/gradle/fedcba9876543210"),
        Surface::Module => Some(Use {
            store: ("POST", "/api/cache/module/start?hash=h&name=n".to_owned()),
            fetch: "/api/cache/module/id?hash=h&name=n".to_owned(),
            body: b"body".to_vec(),
        }),
        Surface::S3 => put("/s3/{ns}/a/key"),
        Surface::Clean | Surface::Admin | Surface::Page => None,
    }
}

/// Somebody, and the namespace that their paths name.
struct Place {
    token: String,
    namespace: &'static str,
}

impl Place {
    async fn ask(&self, site: &Site, method: &str, path: &str, headers: &str, body: &[u8]) -> Response {
        let path = path.replace("{ns}", self.namespace);
        let credential = match path.split_once('?').unwrap_or((&path, "")) {
            (path, query) if Surface::of(path) == Surface::S3 => {
                let of = Signed { method, path, query, headers: Vec::new(), payload: sha256(body) };
                of_token(&self.token).headers(&of)
            }
            _ => format!("Authorization: Bearer {}\r\n", self.token),
        };
        site.request(method, &path, &format!("{credential}{headers}"), body).await
    }

    /// Stores; modules come in parts.
    async fn store(&self, site: &Site, surface: Surface, of: &Use) -> Response {
        let (method, path) = &of.store;
        if surface != Surface::Module {
            return self.ask(site, method, path, "", &of.body).await;
        }
        let started = self.ask(site, method, path, "", b"").await.text();
        let Some((_, id)) = started.split_once("\"upload_id\":\"") else { panic!("nothing was started: {started}") };
        let id = id.split('"').next().unwrap();
        let part = format!("/api/cache/module/part?upload_id={id}&part_number=1");
        assert_eq!(self.ask(site, "POST", &part, "", &of.body).await.status, 204);
        let complete = format!("/api/cache/module/complete?upload_id={id}");
        self.ask(site, "POST", &complete, "", br#"{"parts":[1]}"#).await
    }

    /// All that can be asked about what others may have stored, with what it is answered.
    async fn told(&self, site: &Site, of: &Use) -> Vec<String> {
        let mut told = Vec::new();
        for (method, headers, body) in [
            ("GET", "", &b""[..]),
            ("HEAD", "", b""),
            ("GET", "Range: bytes=0-1\r\n", b""),
            ("GET", "If-None-Match: *\r\n", b""),
            ("GET", "Accept: application/json\r\n", b""),
            ("PROPFIND", "Depth: 0\r\n", b""),
            ("PUT", "If-Match: *\r\n", b"body"),
            ("DELETE", "If-Match: *\r\n", b""),
        ] {
            let answer = self.ask(site, method, &of.fetch, headers, body).await;
            let headers = ["etag", "content-length", "content-type", "content-range", "retry-after", "allow"];
            let headers = headers.map(|name| answer.header(name).unwrap_or("-").to_owned());
            told.push(format!("{method} {} {headers:?} {:?}", answer.status, String::from_utf8_lossy(&answer.body)));
        }
        let query = br#"{"hashes":["0123456789abcdef"]}"#;
        told.push(self.ask(site, "POST", "/v8/artifacts", "", query).await.text());
        told.push(self.ask(site, "GET", "/http/{ns}", "", b"").await.text());
        told.push(self.ask(site, "GET", "/s3/{ns}?list-type=2", "", b"").await.text());
        told
    }
}

/// Pairs of places of which the second must not learn of the first.
fn pairs(people: &mut People) -> Vec<(Place, Place)> {
    let place = |token: String, namespace| Place { token, namespace };
    let all = "default";
    vec![
        (place(people.token("a", &[], Role::Admin), all), place(people.token("b", &[], Role::Admin), all)),
        (place(people.token("c", &["x"], Role::Writer), "x"), place(people.token("c", &["y"], Role::Admin), "y")),
        (place(people.in_overlay("d", "1"), all), place(people.token("d", &[], Role::Admin), all)),
        (place(people.in_overlay("e", "1"), all), place(people.in_overlay("e", "2"), all)),
        (place(people.token("f", &["x"], Role::Writer), "x"), place(people.in_overlay("f", "x"), all)),
    ]
}

#[tokio::test]
async fn what_one_stores_changes_nothing_of_what_another_is_told_on_any_surface() {
    let mut people = People::default();
    let pairs = pairs(&mut people);
    let site = Site::asking(ServerSettings::default(), Some(people.authenticator())).await;
    site.open(CAPACITY).await;
    let mut tried = 0;
    for surface in Surface::ALL {
        let Some(of) = used(surface) else { continue };
        assert_eq!(Surface::of(&of.fetch), surface, "it is of this surface");
        for (number, (one, other)) in pairs.iter().enumerate() {
            let before = other.told(&site, &of).await;
            let stored = one.store(&site, surface, &of).await;
            assert!((200..300).contains(&stored.status), "{surface:?} {number}: {stored:?}");
            let there = one.ask(&site, "GET", &of.fetch, "", b"").await;
            assert_eq!(there.status, 200, "{surface:?} {number}");
            assert_eq!(other.told(&site, &of).await, before, "{surface:?} {number}");
            // As if nobody had stored it: created, and no conflict.
            let again = other.store(&site, surface, &of).await;
            assert_eq!(again.status, stored.status, "{surface:?} {number}");
            tried += 1;
        }
    }
    assert_eq!(tried, 13 * pairs.len());
}

#[tokio::test]
async fn what_one_removes_is_its_own_on_any_surface() {
    let mut people = People::default();
    let pairs = pairs(&mut people);
    let site = Site::asking(ServerSettings::default(), Some(people.authenticator())).await;
    site.open(CAPACITY).await;
    for surface in Surface::ALL {
        let Some(of) = used(surface) else { continue };
        for (number, (one, other)) in pairs.iter().enumerate() {
            one.store(&site, surface, &of).await;
            other.store(&site, surface, &of).await;
            let all = format!("/admin/namespaces/{}", other.namespace);
            for path in [&of.fetch, "/api/cache/clean", &all] {
                let answer = other.ask(&site, "DELETE", path, "", b"").await;
                assert!([204, 403, 404, 405].contains(&answer.status), "{surface:?} {number}: {answer:?}");
            }
            let there = one.ask(&site, "GET", &of.fetch, "", b"").await;
            assert_eq!(there.status, 200, "{surface:?} {number}");
        }
    }
}

#[tokio::test]
async fn nobody_reaches_another_place_by_naming_it_on_any_surface() {
    let mut people = People::default();
    let owner = people.token("a", &["x"], Role::Writer);
    let of_another_tenant = people.token("b", &[], Role::Admin);
    let of_another_namespace = people.token("a", &["y"], Role::Admin);
    let of_an_overlay = people.in_overlay("a", "1");
    let site = Site::asking(ServerSettings::default(), Some(people.authenticator())).await;
    site.open(CAPACITY).await;
    let named = |path: &str, what: &str| {
        let path = path.replace("{ns}", "x");
        let separator = if what.is_empty() {
            ""
        } else if path.contains('?') {
            "&"
        } else {
            "?"
        };
        format!("{path}{separator}{what}")
    };
    for surface in Surface::ALL {
        let Some(of) = used(surface) else { continue };
        let mut refused = Vec::new();
        for stored in [false, true] {
            if stored {
                let owner = Place { token: owner.clone(), namespace: "x" };
                owner.store(&site, surface, &of).await;
            }
            for (token, what) in [
                (&of_another_tenant, "tenant_id=a&namespace_id=x"),
                (&of_another_tenant, "account_handle=a"),
                (&of_another_namespace, "namespace_id=x"),
                (&of_another_namespace, "tenant_id=a&project_handle=x"),
                (&of_another_tenant, "overlay=1&tenant_id=a"),
                (&of_an_overlay, "overlay=2"),
                (&owner, "overlay=1"),
            ] {
                if surface == Surface::S3 && *token != of_another_namespace {
                    // It names nothing but namespaces, and these in its path.
                    continue;
                }
                let what = if surface == Surface::S3 { "" } else { what };
                let place = Place { token: token.clone(), namespace: "x" };
                for (method, path, body) in
                    [("GET", &of.fetch, &b""[..]), ("HEAD", &of.fetch, b""), (of.store.0, &of.store.1, &of.body)]
                {
                    let answer = place.ask(&site, method, &named(path, what), "", body).await;
                    let soft = surface.manner().not_for_readers.as_u16();
                    assert!([403, soft].contains(&answer.status), "{surface:?} {method} {what}: {answer:?}");
                    refused.push((stored, method, what, String::from_utf8_lossy(&answer.body).into_owned()));
                }
            }
        }
        let (before, after) = refused.split_at(refused.len() / 2);
        for (before, after) in before.iter().zip(after) {
            assert_eq!(before.3, after.3, "{surface:?}: a refusal says nothing of what is there");
        }
    }
}

#[tokio::test]
async fn an_overlay_reads_what_is_trusted_and_an_admin_drops_it_on_any_surface() {
    let mut people = People::default();
    let writer = Place { token: people.token("default", &[], Role::Writer), namespace: "default" };
    let admin = Place { token: people.token("default", &[], Role::Admin), namespace: "default" };
    let overlay = Place { token: people.in_overlay("default", "pr/1"), namespace: "default" };
    let site = Site::asking(ServerSettings::default(), Some(people.authenticator())).await;
    site.open(CAPACITY).await;
    for surface in Surface::ALL {
        let Some(of) = used(surface) else { continue };
        writer.store(&site, surface, &of).await;
        let trusted = writer.ask(&site, "GET", &of.fetch, "", b"").await;
        let seen = overlay.ask(&site, "GET", &of.fetch, "", b"").await;
        assert_eq!((seen.status, &seen.body), (200, &trusted.body), "{surface:?}");
    }
    let path = "/cache/only-in-the-overlay";
    assert_eq!(overlay.ask(&site, "PUT", path, "", b"mine").await.status, 200);
    assert_eq!(overlay.ask(&site, "GET", path, "", b"").await.status, 200);
    assert_eq!(overlay.ask(&site, "DELETE", "/api/cache/clean", "", b"").await.status, 403);
    assert_eq!(admin.ask(&site, "DELETE", "/api/cache/clean?overlay=pr%2F1", "", b"").await.status, 204);
    assert_eq!(overlay.ask(&site, "GET", path, "", b"").await.status, 404);
    assert_eq!(overlay.ask(&site, "GET", "/cache/0123456789abcdef", "", b"").await.status, 200, "that is trusted");
}
