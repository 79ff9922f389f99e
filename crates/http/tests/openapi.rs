//! The description of the API, against a server that serves: each operation is asked for, and answers what is described.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use kura_auth::Role;
use kura_http::ServerSettings;
use serde_json::Value;
use support::people::People;
use support::{CAPACITY, Response, Site, sha256};

const BODY: &[u8] = b"a body";

/// `path` with everything that it names. Its blob is [`BODY`].
fn filled(path: &str) -> String {
    let named = path.replace("{sha256}", &sha256(BODY)).replace("{pair}", "ab");
    let filled = named.split('/').map(|segment| if segment.starts_with('{') { "some-key" } else { segment });
    filled.collect::<Vec<_>>().join("/")
}

/// The query that an operation has to have.
fn query(item: &Value) -> String {
    let parameters = item["parameters"].as_array().into_iter().flatten();
    let required = parameters.filter(|it| it["in"] == "query" && it["required"] == true);
    let pairs = required.map(|it| match it["name"].as_str().unwrap() {
        "part_number" => "part_number=1".to_owned(),
        name => format!("{name}=some"),
    });
    pairs.collect::<Vec<_>>().join("&")
}

#[track_caller]
fn as_described(document: &Value, path: &str, method: &str, response: &Response) {
    let what = format!("{method} {path}: {response:?}");
    let described = &document["paths"][path][method]["responses"][response.status.to_string()];
    assert!(described.is_object(), "the status is not described: {what}");
    let described = match described["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => described,
    };
    if method == "head" {
        return;
    }
    let media = response.header("content-type").map(|media| media.split(';').next().unwrap());
    match described["content"].as_object() {
        None => assert_eq!(response.body, b"", "{what}"),
        Some(contents) => assert!(contents.contains_key("*/*") || contents.contains_key(media.unwrap()), "{what}"),
    }
}

/// Asks for each operation once, in an order in which most find what they want.
async fn ask_for_all(site: &Site, document: &Value, headers: &str) {
    for method in ["put", "post", "get", "head", "options", "delete"] {
        for (path, item) in document["paths"].as_object().unwrap() {
            let operation = &item[method];
            if operation.is_null() {
                continue;
            }
            let address = format!("{}?{}", filled(path), query(item));
            let body: &[u8] = if operation["requestBody"].is_object() { BODY } else { b"" };
            let response = site.request(&method.to_uppercase(), &address, headers, body).await;
            as_described(document, path, method, &response);
        }
    }
}

#[tokio::test]
async fn every_operation_answers_what_is_described() {
    let (site, _store) = Site::serving(ServerSettings::default()).await;
    let described = site.get("/openapi.json").await;
    assert_eq!((described.status, described.header("content-type")), (200, Some("application/json")));
    let document: Value = serde_json::from_slice(&described.body).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    ask_for_all(&site, &document, "").await;
}

#[tokio::test]
async fn so_does_a_server_that_does_not_serve_yet() {
    let site = Site::unopened(ServerSettings::default()).await;
    let document: Value = serde_json::from_slice(&site.get("/openapi.json").await.body).unwrap();
    ask_for_all(&site, &document, "").await;
}

#[tokio::test]
async fn so_does_a_server_that_asks_for_a_token_to_those_who_have_none_or_may_only_read() {
    let mut people = People::default();
    let reader = format!("Authorization: Bearer {}\r\n", people.token("default", &[], Role::Reader));
    let of_others = format!("Authorization: Bearer {}\r\n", people.token("other", &["some"], Role::Reader));
    let site = Site::asking(ServerSettings::default(), Some(people.authenticator())).await;
    site.open(CAPACITY).await;
    let described = site.request("GET", "/openapi.json", &reader, b"").await;
    let document: Value = serde_json::from_slice(&described.body).unwrap();
    for headers in ["", "Authorization: Bearer wrong\r\n", &reader, &of_others] {
        ask_for_all(&site, &document, headers).await;
    }
}
