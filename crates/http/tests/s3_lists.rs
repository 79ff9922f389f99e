//! S3's lists, deletes of many and uploads in parts, as clients call them.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use support::s3::{S3, refused, serving};
use support::{Response, noise};

/// The text of each such element, in order.
fn all(response: &Response, element: &str) -> Vec<String> {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    let text = response.text();
    text.split(&open).skip(1).map(|rest| rest.split(&close).next().unwrap().to_owned()).collect()
}

fn one(response: &Response, element: &str) -> String {
    all(response, element).first().cloned().unwrap_or_else(|| panic!("no {element} in {}", response.text()))
}

impl S3 {
    /// Each page of a list, in version 2 of the call.
    async fn pages(&self, query: &str) -> Vec<Response> {
        let (mut pages, mut token) = (Vec::new(), String::new());
        loop {
            // Parameters are signed in their order.
            let mut parameters: Vec<_> = query.split('&').chain(["list-type=2"]).map(str::to_owned).collect();
            if !token.is_empty() {
                parameters.push(format!("continuation-token={token}"));
            }
            parameters.retain(|parameter| !parameter.is_empty());
            parameters.sort();
            let page = self.ask("GET", &format!("/bucket?{}", parameters.join("&")), &[], b"").await;
            assert_eq!(page.status, 200, "{page:?}");
            let truncated = one(&page, "IsTruncated") == "true";
            token = all(&page, "NextContinuationToken").pop().unwrap_or_default();
            assert_eq!(truncated, !token.is_empty());
            pages.push(page);
            if !truncated {
                return pages;
            }
        }
    }

    async fn keys(&self, query: &str) -> Vec<Vec<String>> {
        self.pages(query).await.iter().map(|page| all(page, "Key")).collect()
    }

    async fn start(&self, key: &str) -> String {
        let started = self.ask("POST", &format!("{key}?uploads="), &[("x-amz-meta-color", "blue")], b"").await;
        assert_eq!(started.status, 200, "{started:?}");
        one(&started, "UploadId")
    }

    async fn part(&self, key: &str, id: &str, number: u32, body: &[u8]) -> Response {
        self.ask("PUT", &format!("{key}?partNumber={number}&uploadId={id}"), &[], body).await
    }

    async fn complete(&self, key: &str, id: &str, parts: &[(u32, &str)]) -> Response {
        let part = |(number, etag): &(u32, &str)| {
            let etag = etag.replace('"', "&quot;");
            format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
        };
        let parts: String = parts.iter().map(part).collect();
        let body = format!(
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{parts}</CompleteMultipartUpload>"
        );
        self.ask("POST", &format!("{key}?uploadId={id}"), &[], body.as_bytes()).await
    }
}

#[tokio::test]
async fn a_list_is_in_order_and_comes_in_pages() {
    let s3 = serving().await;
    for key in ["b/2", "a", "b/1", "c", "b/3/x", "%C3%A4"] {
        assert_eq!(s3.put(&format!("/bucket/{key}"), key.as_bytes()).await.status, 200);
    }
    s3.put("/other/z", b"body").await;
    assert_eq!(s3.keys("").await, [["a", "b/1", "b/2", "b/3/x", "c", "ä"]]);
    assert_eq!(s3.keys("max-keys=4").await, [vec!["a", "b/1", "b/2", "b/3/x"], vec!["c", "ä"]]);
    assert_eq!(s3.keys("max-keys=2&prefix=b%2F").await, [vec!["b/1", "b/2"], vec!["b/3/x"]]);
    assert_eq!(s3.keys("start-after=b%2F2").await, [["b/3/x", "c", "ä"]]);
    assert_eq!(s3.keys("encoding-type=url&start-after=c").await, [["%C3%A4"]]);
    let below = &s3.pages("delimiter=%2F").await[0];
    assert_eq!(
        (all(below, "Key"), one(below, "KeyCount").as_str()),
        (["a", "c", "ä"].map(str::to_owned).to_vec(), "4")
    );
    assert!(below.text().contains("<CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes>"));
    let page = &s3.pages("prefix=a").await[0];
    let etag = s3.get("/bucket/a").await.header("etag").unwrap().to_owned();
    assert_eq!((one(page, "Size").as_str(), one(page, "ETag")), ("1", etag));
    assert!(one(page, "LastModified").ends_with('Z'));
    let old = s3.ask("GET", "/bucket?marker=b%2F1&max-keys=2", &[], b"").await;
    assert_eq!((all(&old, "Key"), one(&old, "NextMarker").as_str()), (vec!["b/2".into(), "b/3/x".into()], "b/3/x"));
    assert_eq!(s3.keys("prefix=nothing").await, [Vec::<String>::new()]);
    refused(&s3.ask("GET", "/bucket?continuation-token=x&list-type=2", &[], b"").await, 400, "InvalidArgument");
    refused(&s3.ask("GET", "/bucket?list-type=2&max-keys=-1", &[], b"").await, 400, "InvalidArgument");
}

#[tokio::test]
async fn a_list_goes_on_over_what_changes_meanwhile() {
    let s3 = serving().await;
    for key in 10..20 {
        s3.put(&format!("/bucket/{key}"), b"body").await;
    }
    let first = s3.ask("GET", "/bucket?list-type=2&max-keys=5", &[], b"").await;
    assert_eq!(all(&first, "Key").len(), 5);
    s3.ask("DELETE", "/bucket/16", &[], b"").await;
    let token = one(&first, "NextContinuationToken");
    let next = s3.ask("GET", &format!("/bucket?continuation-token={token}&list-type=2"), &[], b"").await;
    assert_eq!(all(&next, "Key"), ["15", "17", "18", "19"], "what is gone is not told");
}

#[tokio::test]
async fn many_are_deleted_at_once() {
    let s3 = serving().await;
    for key in ["a", "b", "c"] {
        s3.put(&format!("/bucket/{key}"), b"body").await;
    }
    let body = "<Delete><Object><Key>a</Key></Object><Object><Key>../x</Key></Object><Object><Key>none</Key></Object></Delete>";
    let told = s3.ask("POST", "/bucket?delete=", &[], body.as_bytes()).await;
    assert_eq!(told.status, 200, "{told:?}");
    assert_eq!(told.text().matches("<Deleted>").count(), 2, "{}", told.text());
    assert!(told.text().contains("<Code>InvalidRequest</Code>"));
    assert_eq!(s3.keys("").await, [["b", "c"]]);
    let quiet = b"<Delete><Quiet>true</Quiet><Object><Key>b</Key></Object></Delete>";
    assert!(!s3.ask("POST", "/bucket?delete=", &[], quiet).await.text().contains("Deleted"));
    refused(&s3.ask("POST", "/bucket?delete=", &[], b"<Delete>").await, 400, "MalformedXML");
    let objects = "<Object><Key>k</Key></Object>".repeat(1001);
    let many = format!("<Delete>{objects}</Delete>");
    refused(&s3.ask("POST", "/bucket?delete=", &[], many.as_bytes()).await, 400, "MalformedXML");
    let endless = vec![b' '; (2 << 20) + 1];
    refused(&s3.ask("POST", "/bucket?delete=", &[], &endless).await, 400, "MaxMessageLengthExceeded");
}

#[tokio::test]
async fn an_object_comes_in_parts_in_any_order() {
    let s3 = serving().await;
    let key = "/bucket/large";
    let id = s3.start(key).await;
    let bodies = [noise(5 << 20, 1), noise(5 << 20, 2), noise(1000, 3)];
    let mut etags = vec![String::new(); 3];
    for number in [3, 1, 2] {
        let stored = s3.part(key, &id, number as u32, &bodies[number - 1]).await;
        assert_eq!(stored.status, 200);
        etags[number - 1] = stored.header("etag").unwrap().to_owned();
    }
    let replaced = etags[1].clone();
    etags[1] = s3.part(key, &id, 2, &bodies[1]).await.header("etag").unwrap().to_owned();
    assert_ne!(replaced, etags[1]);
    let there = s3.ask("GET", &format!("{key}?uploadId={id}"), &[], b"").await;
    assert_eq!(
        (all(&there, "PartNumber"), all(&there, "Size")[2].as_str()),
        (["1", "2", "3"].map(str::to_owned).to_vec(), "1000")
    );
    let some = s3.ask("GET", &format!("{key}?max-parts=1&part-number-marker=1&uploadId={id}"), &[], b"").await;
    assert_eq!((all(&some, "PartNumber"), one(&some, "NextPartNumberMarker").as_str()), (vec!["2".to_owned()], "2"));
    assert_eq!(s3.get(key).await.status, 404);
    let parts = [(1, &*etags[0]), (2, &*etags[1]), (3, &*etags[2])];
    refused(&s3.complete(key, &id, &[(1, &*etags[0]), (2, &*replaced)]).await, 400, "InvalidPart");
    refused(&s3.complete(key, &id, &[(1, &*etags[0]), (4, &*etags[1])]).await, 400, "InvalidPart");
    refused(&s3.complete(key, &id, &[parts[1], parts[0]]).await, 400, "InvalidPartOrder");
    refused(&s3.complete(key, &id, &[]).await, 400, "MalformedXML");
    refused(&s3.complete("/bucket/another", &id, &parts).await, 404, "NoSuchUpload");
    refused(&s3.complete("/other/large", &id, &parts).await, 404, "NoSuchUpload");
    let made = s3.complete(key, &id, &parts).await;
    assert_eq!(made.status, 200, "{made:?}");
    assert_eq!(one(&s3.complete(key, &id, &parts).await, "ETag"), one(&made, "ETag"), "again, it is the same");
    refused(&s3.complete(key, &id, &parts[..2]).await, 400, "InvalidPart");
    refused(&s3.complete(key, &id, &[(1, &*etags[0]), (2, &*replaced), parts[2]]).await, 400, "InvalidPart");
    let found = s3.get(key).await;
    assert!(found.body == bodies.concat());
    assert_eq!(found.header("x-amz-meta-color"), Some("blue"));
    let range = s3.ask("GET", key, &[("range", "bytes=5242870-5242889")], b"").await;
    assert!(range.status == 206 && range.body == bodies.concat()[5_242_870..5_242_890]);
    assert_eq!(all(&s3.pages("").await[0], "Size"), [(10_u64 << 20).saturating_add(1000).to_string()]);
    refused(&s3.part(key, &id, 1, b"late").await, 404, "NoSuchUpload");
    assert_eq!(s3.ask("DELETE", key, &[], b"").await.status, 204);
    assert_eq!(s3.get(key).await.status, 404);
    refused(&s3.complete(key, &id, &parts).await, 404, "NoSuchUpload");
}

#[tokio::test]
async fn an_upload_that_is_given_up_is_no_more() {
    let s3 = serving().await;
    let id = s3.start("/bucket/k").await;
    let etag = s3.part("/bucket/k", &id, 1, b"body").await.header("etag").unwrap().to_owned();
    refused(&s3.part("/bucket/k", &id, 0, b"body").await, 400, "InvalidArgument");
    refused(&s3.part("/bucket/k", &id, 10_001, b"body").await, 400, "InvalidArgument");
    refused(&s3.ask("DELETE", &format!("/bucket/other?uploadId={id}"), &[], b"").await, 404, "NoSuchUpload");
    assert_eq!(s3.ask("DELETE", &format!("/bucket/k?uploadId={id}"), &[], b"").await.status, 204);
    refused(&s3.complete("/bucket/k", &id, &[(1, &etag)]).await, 404, "NoSuchUpload");
    refused(&s3.part("/bucket/k", "0123", 1, b"body").await, 404, "NoSuchUpload");
    let id = s3.start("/bucket/k").await;
    let etag = s3.part("/bucket/k", &id, 7, b"body").await.header("etag").unwrap().to_owned();
    s3.put("/bucket/k", b"there").await;
    let target = format!("/bucket/k?uploadId={id}");
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>7</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let refusal = s3.ask("POST", &target, &[("if-none-match", "*")], list.as_bytes()).await;
    refused(&refusal, 412, "PreconditionFailed");
    assert_eq!(s3.complete("/bucket/k", &id, &[(7, &etag)]).await.status, 200);
    assert_eq!(s3.get("/bucket/k").await.text(), "body");
}
