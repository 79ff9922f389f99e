//! GetTree: all that a directory leads to, in pages.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use bazel_remote_apis::build::bazel::remote::execution::v2 as proto;
use prost::Message;
use proto::{Directory, DirectoryNode, GetTreeRequest, GetTreeResponse};
use support::{Site, digest, refused};
use tonic::{Code, Status};

fn directory(name: &str, children: &[&Directory]) -> Directory {
    let node =
        |child: &&Directory| DirectoryNode { name: name.to_owned(), digest: Some(digest(&child.encode_to_vec())) };
    let file = proto::FileNode { name: name.to_owned(), digest: Some(digest(b"file")), ..Default::default() };
    Directory { files: vec![file], directories: children.iter().map(node).collect(), ..Default::default() }
}

async fn store(site: &Site, directories: &[&Directory]) {
    for directory in directories {
        site.put(&directory.encode_to_vec()).await;
    }
}

async fn pages(site: &Site, root: &Directory, size: i32, token: &str) -> Result<Vec<GetTreeResponse>, Status> {
    let request = GetTreeRequest {
        root_digest: Some(digest(&root.encode_to_vec())),
        page_size: size,
        page_token: token.to_owned(),
        ..Default::default()
    };
    let mut stream = site.cas().await.get_tree(request).await?.into_inner();
    let mut pages = Vec::new();
    while let Some(page) = stream.message().await? {
        pages.push(page);
    }
    Ok(pages)
}

fn all(pages: &[GetTreeResponse]) -> Vec<Directory> {
    pages.iter().flat_map(|page| page.directories.clone()).collect()
}

#[tokio::test]
async fn every_directory_comes_once_with_the_root_first() {
    let (site, _store) = Site::serving().await;
    let leaf = directory("leaf", &[]);
    let shared = directory("shared", &[&leaf]);
    let (left, right) = (directory("left", &[&shared]), directory("right", &[&shared, &leaf]));
    let root = directory("root", &[&left, &right]);
    store(&site, &[&root, &left, &right, &shared, &leaf]).await;
    let pages = pages(&site, &root, 0, "").await.unwrap();
    assert_eq!(pages.len(), 1);
    assert_eq!(all(&pages), [root, left, right, shared, leaf]);
    assert_eq!(pages[0].next_page_token, "");
}

#[tokio::test]
async fn pages_are_as_short_as_they_are_wanted_and_their_tokens_lead_on() {
    let (site, _store) = Site::serving().await;
    let leaves: Vec<Directory> = (0..50).map(|number| directory(&format!("leaf{number}"), &[])).collect();
    let root = directory("root", &leaves.iter().collect::<Vec<_>>());
    store(&site, &leaves.iter().chain([&root]).collect::<Vec<_>>()).await;
    let whole = all(&pages(&site, &root, 0, "").await.unwrap());
    assert_eq!(whole.len(), 51);
    let parts = pages(&site, &root, 7, "").await.unwrap();
    assert_eq!(parts.iter().map(|page| page.directories.len()).collect::<Vec<_>>(), [7, 7, 7, 7, 7, 7, 7, 2]);
    assert_eq!(all(&parts), whole);
    for (at, page) in parts.iter().enumerate() {
        if page.next_page_token.is_empty() {
            assert_eq!(at, 7, "only the last one has none");
        } else {
            let rest = pages(&site, &root, 7, &page.next_page_token).await.unwrap();
            assert_eq!(all(&rest), whole[7 * (at + 1)..]);
        }
    }
    for token in ["x", "-1", "0", "1e3", "99999999999999999999"] {
        refused(pages(&site, &root, 7, token).await, Code::InvalidArgument);
    }
    refused(pages(&site, &root, -1, "").await, Code::InvalidArgument);
    assert!(pages(&site, &root, 7, "60").await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_not_there_is_left_out_and_a_root_that_is_not_there_is_not_found() {
    let (site, _store) = Site::serving().await;
    let leaf = directory("leaf", &[]);
    let (absent, present) = (directory("absent", &[&leaf]), directory("present", &[]));
    let root = directory("root", &[&absent, &present]);
    refused(pages(&site, &root, 0, "").await, Code::NotFound);
    store(&site, &[&root, &present, &leaf]).await;
    assert_eq!(all(&pages(&site, &root, 0, "").await.unwrap()), [root, present]);
    // The empty directory is the empty blob, which is always there.
    assert_eq!(all(&pages(&site, &Directory::default(), 0, "").await.unwrap()), [Directory::default()]);
}

#[tokio::test]
async fn a_tree_that_shares_everything_is_walked_once() {
    let (site, _store) = Site::serving().await;
    // 2^60 paths lead down.
    let mut top = directory("bottom", &[]);
    store(&site, &[&top]).await;
    for level in 0..60 {
        top = directory(&format!("level{level}"), &[&top, &top]);
        store(&site, &[&top]).await;
    }
    assert_eq!(all(&pages(&site, &top, 0, "").await.unwrap()).len(), 61);
}

#[tokio::test]
async fn what_is_no_directory_is_refused() {
    let (site, _store) = Site::serving().await;
    let blob = site.put(b"\xff no directory").await;
    let request = GetTreeRequest { root_digest: Some(blob.clone()), ..Default::default() };
    refused(site.cas().await.get_tree(request).await, Code::InvalidArgument);
    let nothing = GetTreeRequest::default();
    refused(site.cas().await.get_tree(nothing).await, Code::InvalidArgument);
    // In the middle it ends the stream.
    let node = DirectoryNode { name: "bad".to_owned(), digest: Some(blob) };
    let root = Directory { directories: vec![node], ..Default::default() };
    store(&site, &[&root]).await;
    refused(pages(&site, &root, 1, "").await, Code::InvalidArgument);
}
