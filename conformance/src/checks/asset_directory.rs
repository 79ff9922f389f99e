//! Remote Asset: FetchDirectory and PushDirectory.

use bazel_remote_apis::build::bazel::remote::asset::v1::{
    FetchBlobRequest, FetchDirectoryRequest, FetchDirectoryResponse, PushBlobRequest, PushDirectoryRequest,
};
use bazel_remote_apis::build::bazel::remote::execution::v2::Directory;
use tonic::{Code, Status};

use super::action_complete::{directory_node, file_node};
use super::asset_blob::{from_now, new_uri, not_found, qualifier};
use super::malformed;
use crate::check::{ASSET, Suite};
use crate::client::Server;
use crate::digest::Blob;
use crate::expect::{Outcome, ensure, equal, name, refused};
use crate::offers::Need;

pub(super) fn register(suite: &mut Suite) {
    let present = "FetchDirectory: referenced files are present in the CAS at the time of the response";
    let mut group = suite.group("FetchDirectory", ASSET);
    group
        .needing(&[Need::Fetch])
        .check(
            "No URI is INVALID_ARGUMENT",
            "FetchDirectoryRequest.uris: clients must supply at least one URI",
            fetch_no_uri,
        )
        .check("A URI that nobody has pushed is NOT_FOUND", "FetchDirectoryResponse.status: NOT_FOUND", unknown);
    group
        .needing(&[Need::Fetch, Need::Push])
        .check("What was pushed is fetched", "PushDirectoryRequest.uris: available to fetch by any of them", pushed)
        .check("The order of qualifiers does not matter", "Qualifier: may be supplied in any order", order)
        .check(
            "What is expired is not fetched",
            "PushDirectoryRequest.expire_at: after it, no longer returned",
            expired,
        )
        .check("A directory that lacks a file is not fetched", present, file_absent)
        .check("A directory that lacks a directory is not fetched", present, child_absent)
        .check(
            "A blob that was pushed is no directory",
            "PushBlob and PushDirectory: stop being returned via FetchBlob, FetchDirectory",
            blob,
        )
        .check(
            "A directory that was pushed is no blob",
            "PushBlob and PushDirectory: stop being returned via FetchBlob, FetchDirectory",
            directory,
        );
    suite
        .group("PushDirectory", ASSET)
        .needing(&[Need::Push])
        .check("No URI is INVALID_ARGUMENT", "PushDirectoryRequest.uris: the URIs to associate", push_no_uri)
        .check(
            "No digest is INVALID_ARGUMENT",
            "PushDirectoryRequest.root_directory_digest: the directory to associate",
            push_no_digest,
        )
        .check(
            "A malformed digest is INVALID_ARGUMENT",
            "Digest.hash: lowercase hexadecimal of the function's length",
            push_malformed,
        );
}

/// A root with a directory with a file in it.
struct Nested {
    file: Blob,
    child: Blob,
    root: Blob,
}

impl Nested {
    fn new(server: &Server) -> Nested {
        let file = server.random(100);
        let child = Directory { files: vec![file_node("file", &file)], ..Directory::default() };
        let child = Blob::message(server.function(), &child);
        let root = Directory { directories: vec![directory_node("child", &child)], ..Directory::default() };
        Nested { file, root: Blob::message(server.function(), &root), child }
    }

    async fn put(&self, server: &Server) -> Outcome {
        for blob in [&self.file, &self.child, &self.root] {
            server.put(blob).await?;
        }
        Ok(())
    }
}

fn push(server: &Server, uri: &str, root: &Blob) -> PushDirectoryRequest {
    PushDirectoryRequest {
        instance_name: server.instance_name(),
        uris: vec![uri.to_owned()],
        root_directory_digest: Some(root.digest.clone()),
        digest_function: root.function.value() as i32,
        ..PushDirectoryRequest::default()
    }
}

fn fetch(server: &Server, uri: &str) -> FetchDirectoryRequest {
    FetchDirectoryRequest {
        instance_name: server.instance_name(),
        uris: vec![uri.to_owned()],
        digest_function: server.function().value() as i32,
        ..FetchDirectoryRequest::default()
    }
}

async fn fetched(server: &Server, request: FetchDirectoryRequest) -> Result<FetchDirectoryResponse, Status> {
    server.fetch().fetch_directory(request).await.map(tonic::Response::into_inner)
}

/// The code of the answer, wherever it stands.
async fn code_of(server: &Server, request: FetchDirectoryRequest) -> Result<i32, Status> {
    Ok(fetched(server, request).await?.status.unwrap_or_default().code)
}

/// The answer is `root`.
async fn is(server: &Server, request: FetchDirectoryRequest, root: &Blob) -> Outcome {
    let answer = fetched(server, request).await?;
    let code = answer.status.unwrap_or_default().code;
    ensure(code == 0, || format!("expected OK, got {} in the answer", name(Code::from_i32(code))))?;
    equal("the digest", &answer.root_directory_digest.as_ref(), &Some(&root.digest))
}

/// What was pushed of `request` is not fetched. To refuse it already then keeps the promise too.
async fn not_fetched(server: &Server, request: PushDirectoryRequest) -> Outcome {
    let uri = request.uris.first().cloned().unwrap_or_default();
    match server.push().push_directory(request).await {
        Err(status) if matches!(status.code(), Code::FailedPrecondition | Code::NotFound | Code::InvalidArgument) => {
            return Ok(());
        }
        answer => drop(answer?),
    }
    not_found(code_of(server, fetch(server, &uri)).await)
}

async fn fetch_no_uri(server: Server) -> Outcome {
    let request = FetchDirectoryRequest { uris: Vec::new(), ..fetch(&server, "") };
    refused(fetched(&server, request).await, &[Code::InvalidArgument])
}

async fn unknown(server: Server) -> Outcome {
    not_found(code_of(&server, fetch(&server, &new_uri())).await)
}

async fn pushed(server: Server) -> Outcome {
    let (uri, nested) = (new_uri(), Nested::new(&server));
    nested.put(&server).await?;
    server.push().push_directory(push(&server, &uri, &nested.root)).await?;
    is(&server, fetch(&server, &uri), &nested.root).await
}

async fn order(server: Server) -> Outcome {
    let (uri, nested) = (new_uri(), Nested::new(&server));
    nested.put(&server).await?;
    let (one, other) = (qualifier("alpha", "1"), qualifier("beta", "2"));
    let qualifiers = vec![one.clone(), other.clone()];
    let request = PushDirectoryRequest { qualifiers, ..push(&server, &uri, &nested.root) };
    server.push().push_directory(request).await?;
    let request = FetchDirectoryRequest { qualifiers: vec![other, one], ..fetch(&server, &uri) };
    is(&server, request, &nested.root).await
}

async fn expired(server: Server) -> Outcome {
    let nested = Nested::new(&server);
    nested.put(&server).await?;
    let request = push(&server, &new_uri(), &nested.root);
    not_fetched(&server, PushDirectoryRequest { expire_at: from_now(-3600), ..request }).await
}

async fn file_absent(server: Server) -> Outcome {
    let nested = Nested::new(&server);
    server.put(&nested.child).await?;
    server.put(&nested.root).await?;
    not_fetched(&server, push(&server, &new_uri(), &nested.root)).await
}

async fn child_absent(server: Server) -> Outcome {
    let nested = Nested::new(&server);
    server.put(&nested.file).await?;
    server.put(&nested.root).await?;
    not_fetched(&server, push(&server, &new_uri(), &nested.root)).await
}

async fn blob(server: Server) -> Outcome {
    let (uri, nested) = (new_uri(), Nested::new(&server));
    nested.put(&server).await?;
    let request = PushBlobRequest {
        instance_name: server.instance_name(),
        uris: vec![uri.clone()],
        blob_digest: Some(nested.root.digest.clone()),
        digest_function: nested.root.function.value() as i32,
        ..PushBlobRequest::default()
    };
    server.push().push_blob(request).await?;
    not_found(code_of(&server, fetch(&server, &uri)).await)
}

async fn directory(server: Server) -> Outcome {
    let (uri, nested) = (new_uri(), Nested::new(&server));
    nested.put(&server).await?;
    server.push().push_directory(push(&server, &uri, &nested.root)).await?;
    let request = FetchBlobRequest {
        instance_name: server.instance_name(),
        uris: vec![uri],
        digest_function: server.function().value() as i32,
        ..FetchBlobRequest::default()
    };
    let answer = server.fetch().fetch_blob(request).await;
    not_found(answer.map(|answer| answer.into_inner().status.unwrap_or_default().code))
}

async fn push_no_uri(server: Server) -> Outcome {
    let nested = Nested::new(&server);
    nested.put(&server).await?;
    let request = PushDirectoryRequest { uris: Vec::new(), ..push(&server, "", &nested.root) };
    refused(server.push().push_directory(request).await, &[Code::InvalidArgument])
}

async fn push_no_digest(server: Server) -> Outcome {
    let request = push(&server, &new_uri(), &server.random(1));
    let request = PushDirectoryRequest { root_directory_digest: None, ..request };
    refused(server.push().push_directory(request).await, &[Code::InvalidArgument])
}

async fn push_malformed(server: Server) -> Outcome {
    malformed::refused_by(&server, async |digest| {
        let root = Blob { digest, ..server.random(1) };
        server.push().push_directory(push(&server, &new_uri(), &root)).await
    })
    .await
}
