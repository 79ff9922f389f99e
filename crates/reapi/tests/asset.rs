//! Remote Asset: what was pushed is fetched, and nothing else.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use asset::fetch_client::FetchClient;
use asset::push_client::PushClient;
use asset::{FetchBlobRequest, FetchDirectoryRequest, PushBlobRequest, PushDirectoryRequest, Qualifier};
use bazel_remote_apis::build::bazel::remote::asset::v1 as asset;
use bazel_remote_apis::build::bazel::remote::execution::v2 as proto;
use bazel_remote_apis::google::protobuf::Timestamp;
use kura_store::Store;
use prost::Message;
use support::{Site, digest, refused};
use tonic::transport::Channel;
use tonic::{Code, Status};

struct Assets {
    site: Site,
    fetch: FetchClient<Channel>,
    push: PushClient<Channel>,
    _store: Store,
}

impl Assets {
    async fn new() -> Assets {
        let (site, store) = Site::serving().await;
        let channel = site.channel().await;
        Assets { site, fetch: FetchClient::new(channel.clone()), push: PushClient::new(channel), _store: store }
    }

    async fn push(&mut self, request: PushBlobRequest) -> Result<(), Status> {
        self.push.push_blob(request).await.map(drop)
    }

    async fn fetch(&mut self, request: FetchBlobRequest) -> Result<asset::FetchBlobResponse, Status> {
        Ok(self.fetch.fetch_blob(request).await?.into_inner())
    }
}

fn qualifier(name: &str, value: &str) -> Qualifier {
    Qualifier { name: name.to_owned(), value: value.to_owned() }
}

fn uris(uris: &[&str]) -> Vec<String> {
    uris.iter().map(|uri| (*uri).to_owned()).collect()
}

fn pushed(uri: &str, blob: &proto::Digest) -> PushBlobRequest {
    PushBlobRequest { uris: uris(&[uri]), blob_digest: Some(blob.clone()), ..Default::default() }
}

fn wanted(of: &[&str]) -> FetchBlobRequest {
    FetchBlobRequest { uris: uris(of), ..Default::default() }
}

fn now() -> i64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64
}

#[tokio::test]
async fn a_blob_is_fetched_by_any_of_its_uris() {
    let mut assets = Assets::new().await;
    let blob = assets.site.put(b"a release").await;
    let urn = "urn:fdc:buildstream.build:2020:artifact:x/y/z";
    let request = PushBlobRequest { uris: uris(&[urn, "https://example.com/a"]), ..pushed("", &blob) };
    assets.push(request).await.unwrap();
    for asked in [vec![urn], vec!["https://example.com/a"], vec!["https://example.com/b", urn]] {
        let found = assets.fetch(wanted(&asked)).await.unwrap();
        assert_eq!(found.blob_digest, Some(blob.clone()));
        assert_eq!((found.status.unwrap().code, found.uri.as_str()), (0, *asked.last().unwrap()));
        assert_eq!(found.digest_function, proto::digest_function::Value::Sha256 as i32);
    }
    refused(assets.fetch(wanted(&["https://example.com/b"])).await, Code::NotFound);
    let elsewhere = FetchBlobRequest { instance_name: "other".to_owned(), ..wanted(&[urn]) };
    refused(assets.fetch(elsewhere).await, Code::NotFound);
    let directory = FetchDirectoryRequest { uris: uris(&[urn]), ..Default::default() };
    refused(assets.fetch.fetch_directory(directory).await, Code::NotFound);
}

#[tokio::test]
async fn the_last_push_counts() {
    let mut assets = Assets::new().await;
    for content in [&b"one"[..], b"two"] {
        let blob = assets.site.put(content).await;
        assets.push(pushed("u", &blob)).await.unwrap();
        assert_eq!(assets.fetch(wanted(&["u"])).await.unwrap().blob_digest, Some(blob));
    }
}

#[tokio::test]
async fn qualifiers_tell_assets_apart_in_any_order() {
    let mut assets = Assets::new().await;
    let (one, two) = (assets.site.put(b"one").await, assets.site.put(b"two").await);
    let main = [qualifier("vcs.branch", "main"), qualifier("resource_type", "git")];
    let swapped = [main[1].clone(), main[0].clone()];
    let next = [qualifier("vcs.branch", "next"), main[1].clone()];
    assets.push(PushBlobRequest { qualifiers: main.to_vec(), ..pushed("u", &one) }).await.unwrap();
    assets.push(PushBlobRequest { qualifiers: next.to_vec(), ..pushed("u", &two) }).await.unwrap();
    for (qualifiers, blob) in [(&main, &one), (&swapped, &one), (&next, &two)] {
        let found = assets.fetch(FetchBlobRequest { qualifiers: qualifiers.to_vec(), ..wanted(&["u"]) }).await.unwrap();
        assert_eq!(found.blob_digest.as_ref(), Some(blob));
        assert_eq!(found.qualifiers.len(), 2);
    }
    refused(assets.fetch(wanted(&["u"])).await, Code::NotFound);
    // Where one ends and another begins is part of them.
    let glued = [qualifier("vcs.branchm", "ain"), main[1].clone()];
    refused(assets.fetch(FetchBlobRequest { qualifiers: glued.to_vec(), ..wanted(&["u"]) }).await, Code::NotFound);
}

#[tokio::test]
async fn what_has_expired_or_is_too_old_is_not_found() {
    let mut assets = Assets::new().await;
    let blob = assets.site.put(b"x").await;
    let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
    assets.push(PushBlobRequest { expire_at: at(now() - 1), ..pushed("past", &blob) }).await.unwrap();
    refused(assets.fetch(wanted(&["past"])).await, Code::NotFound);
    assets.push(PushBlobRequest { expire_at: at(now() + 1000), ..pushed("future", &blob) }).await.unwrap();
    let found = assets.fetch(wanted(&["future"])).await.unwrap();
    assert!(found.expires_at.unwrap().seconds > now());
    let oldest = |seconds| FetchBlobRequest { oldest_content_accepted: at(seconds), ..wanted(&["future"]) };
    assets.fetch(oldest(now() - 1000)).await.unwrap();
    refused(assets.fetch(oldest(now() + 1000)).await, Code::NotFound);
}

#[tokio::test]
async fn an_asset_is_served_only_while_all_that_it_refers_to_is_there() {
    let mut assets = Assets::new().await;
    let leaf = proto::Directory {
        files: vec![proto::FileNode { digest: Some(digest(b"file")), ..Default::default() }],
        ..Default::default()
    };
    let leaf_bytes = leaf.encode_to_vec();
    let node = proto::DirectoryNode { name: "leaf".to_owned(), digest: Some(digest(&leaf_bytes)) };
    let root = proto::Directory { directories: vec![node], ..Default::default() }.encode_to_vec();
    let push = PushDirectoryRequest {
        uris: uris(&["u"]),
        root_directory_digest: Some(digest(&root)),
        references_blobs: vec![digest(b"reference")],
        ..Default::default()
    };
    assets.push.push_directory(push).await.unwrap();
    let ask = FetchDirectoryRequest { uris: uris(&["u"]), ..Default::default() };
    for blob in [&root[..], &leaf_bytes, b"file", b"reference"] {
        refused(assets.fetch.fetch_directory(ask.clone()).await, Code::NotFound);
        assets.site.put(blob).await;
    }
    let found = assets.fetch.fetch_directory(ask).await.unwrap().into_inner();
    assert_eq!((found.uri.as_str(), found.root_directory_digest), ("u", Some(digest(&root))));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let mut assets = Assets::new().await;
    let blob = assets.site.put(b"x").await;
    // What BuildStream asks to see whether anybody is there.
    refused(assets.fetch(FetchBlobRequest::default()).await, Code::InvalidArgument);
    refused(assets.push(PushBlobRequest::default()).await, Code::InvalidArgument);
    refused(assets.fetch.fetch_directory(FetchDirectoryRequest::default()).await, Code::InvalidArgument);
    refused(assets.push.push_directory(PushDirectoryRequest::default()).await, Code::InvalidArgument);
    refused(assets.push(PushBlobRequest { blob_digest: None, ..pushed("u", &blob) }).await, Code::InvalidArgument);
    let twice = vec![qualifier("a", "1"), qualifier("a", "2")];
    refused(
        assets.push(PushBlobRequest { qualifiers: twice.clone(), ..pushed("u", &blob) }).await,
        Code::InvalidArgument,
    );
    refused(assets.fetch(FetchBlobRequest { qualifiers: twice, ..wanted(&["u"]) }).await, Code::InvalidArgument);
    let bad = vec![proto::Digest { hash: "x".to_owned(), size_bytes: 1 }];
    refused(assets.push(PushBlobRequest { references_blobs: bad, ..pushed("u", &blob) }).await, Code::InvalidArgument);
    let many: Vec<String> = (0..101).map(|number| format!("u{number}")).collect();
    refused(assets.push(PushBlobRequest { uris: many, ..pushed("u", &blob) }).await, Code::InvalidArgument);
    let function = FetchBlobRequest { digest_function: 99, ..wanted(&["u"]) };
    refused(assets.fetch(function).await, Code::InvalidArgument);
}
