//! GetTree.

use std::collections::HashSet;

use bazel_remote_apis::build::bazel::remote::execution::v2::{
    Digest, Directory, GetTreeRequest, GetTreeResponse, SymlinkNode,
};
use futures_util::future::try_join_all;
use prost::Message;
use tonic::{Code, Status};

use super::action_complete::{directory_node, file_node};
use super::malformed;
use crate::check::{EXECUTION, Suite};
use crate::client::Server;
use crate::digest::Blob;
use crate::expect::{Outcome, differs, ensure, equal, refused};

/// Directories of a wide tree, and bytes in the name of the one file of each: more than a message of 4 MiB together.
const WIDE: usize = 1_000;
const LONG_NAME: usize = 5_000;

/// Levels of a tree in which every directory has its only child twice.
const LEVELS: usize = 8;

pub(super) fn register(suite: &mut Suite) {
    let every = "GetTree: returns every node descended from the root";
    suite
        .group("GetTree", EXECUTION)
        .check("A root without children is the tree", every, root)
        .check("All directories below the root are returned", every, nested)
        .check("A directory that is there twice does no harm", every, shared)
        .check("The empty directory is a tree", "ContentAddressableStorage: empty blobs are always available", empty)
        .check("A large tree comes in messages of less than 4 MiB", "GetTree: a stream; gRPC's usual limit", wide)
        .check("A root that is absent is NOT_FOUND", "GetTree, errors: NOT_FOUND", absent)
        .check(
            "What is there of a tree is returned",
            "GetTree: if part of the tree is missing, the portion present",
            part,
        )
        .check(
            "A page has at most as many directories as asked for",
            "GetTreeRequest.page_size: no more than this many items",
            page_size,
        )
        .check(
            "A page token goes on where it was given",
            "GetTreeRequest.page_token: that page and the ones that succeed it",
            page_token,
        )
        .check("The last page has no token", "GetTreeResponse.next_page_token: empty on the last page", last_page)
        .check(
            "A page token that nobody gave is INVALID_ARGUMENT",
            "GetTreeRequest.page_token: a value received in a previous response",
            foreign_token,
        )
        .check(
            "A root that is no directory is an error",
            "GetTreeRequest.root_digest: must be an encoded Directory",
            no_directory,
        )
        .check(
            "A malformed digest is INVALID_ARGUMENT",
            "Digest.hash: lowercase hexadecimal of the function's length",
            malformed,
        )
        .check("No digest is INVALID_ARGUMENT", "GetTreeRequest.root_digest", no_digest);
}

fn request(server: &Server, root: &Digest) -> GetTreeRequest {
    GetTreeRequest {
        instance_name: server.instance_name(),
        root_digest: Some(root.clone()),
        digest_function: server.function().field(),
        ..GetTreeRequest::default()
    }
}

async fn pages(server: &Server, request: GetTreeRequest) -> Result<Vec<GetTreeResponse>, Status> {
    let mut stream = server.cas().get_tree(request).await?.into_inner();
    let mut pages = Vec::new();
    while let Some(page) = stream.message().await? {
        pages.push(page);
    }
    Ok(pages)
}

/// Follows page tokens to the end.
async fn all_pages(server: &Server, mut request: GetTreeRequest) -> Result<Vec<GetTreeResponse>, Status> {
    let mut all = Vec::new();
    loop {
        all.extend(pages(server, request.clone()).await?);
        match all.last() {
            Some(last) if !last.next_page_token.is_empty() => request.page_token.clone_from(&last.next_page_token),
            _ => return Ok(all),
        }
    }
}

/// The distinct directories, encoded.
fn distinct<'a>(directories: impl IntoIterator<Item = &'a Directory>) -> HashSet<Vec<u8>> {
    directories.into_iter().map(Message::encode_to_vec).collect()
}

fn listed(pages: &[GetTreeResponse]) -> HashSet<Vec<u8>> {
    distinct(pages.iter().flat_map(|page| &page.directories))
}

/// A directory that no other equals.
fn directory(server: &Server, children: &[&Blob]) -> Directory {
    let nodes = children.iter().enumerate().map(|(number, child)| directory_node(&format!("child{number:04}"), child));
    Directory {
        files: vec![file_node("file", &server.random(10))],
        directories: nodes.collect(),
        symlinks: vec![SymlinkNode { name: "link".to_owned(), target: "file".to_owned(), node_properties: None }],
        node_properties: None,
    }
}

async fn stored(server: &Server, directory: &Directory) -> Outcome<Blob> {
    let blob = Blob::message(server.function(), directory);
    server.put(&blob).await?;
    Ok(blob)
}

/// Three levels of five directories. Returns the root, and all of them.
async fn tree(server: &Server) -> Outcome<(Blob, Vec<Directory>)> {
    let leaf = directory(server, &[]);
    let other = directory(server, &[]);
    let middle = directory(server, &[&stored(server, &leaf).await?]);
    let side = directory(server, &[]);
    let children = [&middle, &other, &side];
    let mut blobs = Vec::new();
    for child in children {
        blobs.push(stored(server, child).await?);
    }
    let root = directory(server, &blobs.iter().collect::<Vec<_>>());
    Ok((stored(server, &root).await?, vec![root, middle, other, side, leaf]))
}

/// The tree below `root` is `expected`, in whatever order.
async fn is(server: &Server, root: &Blob, expected: &[Directory]) -> Outcome {
    let got = listed(&all_pages(server, request(server, &root.digest)).await?);
    let expected = distinct(expected);
    ensure(got == expected, || {
        format!("expected {} directories, got {} distinct ones or others", expected.len(), got.len())
    })
}

async fn root(server: Server) -> Outcome {
    let root = directory(&server, &[]);
    is(&server, &stored(&server, &root).await?, &[root]).await
}

async fn nested(server: Server) -> Outcome {
    let (root, all) = tree(&server).await?;
    is(&server, &root, &all).await
}

async fn shared(server: Server) -> Outcome {
    let mut all = vec![directory(&server, &[])];
    let mut root = stored(&server, &all[0]).await?;
    for _ in 0..LEVELS {
        let next = directory(&server, &[&root, &root]);
        root = stored(&server, &next).await?;
        all.push(next);
    }
    is(&server, &root, &all).await
}

async fn empty(server: Server) -> Outcome {
    is(&server, &Blob::new(server.function(), Vec::new()), &[Directory::default()]).await
}

async fn wide(server: Server) -> Outcome {
    let mut all: Vec<Directory> = (0..WIDE).map(|_| directory(&server, &[])).collect();
    all.iter_mut().for_each(|child| child.files[0].name = "n".repeat(LONG_NAME));
    let blobs = try_join_all(all.iter().map(|child| stored(&server, child))).await?;
    let root = directory(&server, &blobs.iter().collect::<Vec<_>>());
    all.push(root.clone());
    is(&server, &stored(&server, &root).await?, &all).await
}

async fn absent(server: Server) -> Outcome {
    refused(pages(&server, request(&server, &server.random(100).digest)).await, &[Code::NotFound])
}

async fn part(server: Server) -> Outcome {
    let here = directory(&server, &[]);
    let absent = Blob::message(server.function(), &directory(&server, &[]));
    let root = directory(&server, &[&absent, &stored(&server, &here).await?]);
    is(&server, &stored(&server, &root).await?, &[root, here]).await
}

async fn page_size(server: Server) -> Outcome {
    let (root, _) = tree(&server).await?;
    let request = GetTreeRequest { page_size: 2, ..request(&server, &root.digest) };
    for page in pages(&server, request).await? {
        ensure(page.directories.len() <= 2, || format!("a page has {} directories", page.directories.len()))?;
    }
    Ok(())
}

async fn page_token(server: Server) -> Outcome {
    let (root, all) = tree(&server).await?;
    let request = GetTreeRequest { page_size: 2, ..request(&server, &root.digest) };
    let first = pages(&server, request.clone()).await?;
    let Some(page) = first.first() else { return differs("there is no page") };
    if page.next_page_token.is_empty() {
        return differs("the first page of two directories has no token, and there are five");
    }
    let rest = GetTreeRequest { page_token: page.next_page_token.clone(), ..request };
    let rest = all_pages(&server, rest).await?;
    ensure(listed(&rest).is_disjoint(&distinct(&page.directories)), || "the first page is there again".to_owned())?;
    let whole: HashSet<Vec<u8>> = listed(&rest).union(&distinct(&page.directories)).cloned().collect();
    ensure(whole == distinct(&all), || format!("{} directories in all, not five", whole.len()))
}

async fn last_page(server: Server) -> Outcome {
    let (root, _) = tree(&server).await?;
    let pages = all_pages(&server, request(&server, &root.digest)).await?;
    equal("the last token", &pages.last().map(|page| page.next_page_token.as_str()), &Some(""))
}

async fn foreign_token(server: Server) -> Outcome {
    let (root, _) = tree(&server).await?;
    let page_token = "reapi-conformance: no token".to_owned();
    let request = GetTreeRequest { page_token, ..request(&server, &root.digest) };
    refused(pages(&server, request).await, &[Code::InvalidArgument])
}

async fn no_directory(server: Server) -> Outcome {
    let blob = Blob::new(server.function(), vec![0xff; 100]);
    server.put(&blob).await?;
    let codes = [Code::InvalidArgument, Code::FailedPrecondition, Code::NotFound, Code::DataLoss];
    refused(pages(&server, request(&server, &blob.digest)).await, &codes)
}

async fn malformed(server: Server) -> Outcome {
    malformed::refused_by(&server, async |digest| pages(&server, request(&server, &digest)).await).await
}

async fn no_digest(server: Server) -> Outcome {
    let request = GetTreeRequest { root_digest: None, ..request(&server, &server.random(1).digest) };
    refused(pages(&server, request).await, &[Code::InvalidArgument])
}
