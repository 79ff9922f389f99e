//! GetActionResult: a result is served only while all that it names is there.

use bazel_remote_apis::build::bazel::remote::execution::v2::{
    ActionResult, Digest, Directory, DirectoryNode, FileNode, OutputDirectory, Tree,
};
use tonic::Code;

use super::action_get::output;
use crate::check::{EXECUTION, Suite};
use crate::client::Server;
use crate::digest::Blob;
use crate::expect::{Outcome, equal, refused};
use crate::offers::Need;

pub(super) fn register(suite: &mut Suite) {
    let available = "GetActionResult: blobs that are referenced are available when the result is returned";
    let directories = "OutputDirectory.root_directory_digest: of a Directory, whose children are in the CAS too";
    suite
        .group("GetActionResult", EXECUTION)
        .needing(&[Need::Updates])
        .check("A result whose output file is absent is NOT_FOUND", available, file)
        .check("A result whose output file has another size is NOT_FOUND", available, file_of_other_size)
        .check("A result whose stdout is absent is NOT_FOUND", available, stdout)
        .check("A result whose stderr is absent is NOT_FOUND", available, stderr)
        .check("A result whose Tree is absent is NOT_FOUND", available, tree)
        .check("A result with an absent file in a Tree's root is NOT_FOUND", available, file_in_root)
        .check("A result with an absent file in a Tree's child is NOT_FOUND", available, file_in_child)
        .check(
            "A result whose Tree lacks a directory is NOT_FOUND",
            "Tree.children: all directories that are referred to",
            child_absent,
        )
        .check(
            "A result whose Tree is none is NOT_FOUND",
            "OutputDirectory.tree_digest: the digest of an encoded Tree",
            no_tree,
        )
        .check("A result with a complete Tree is served", available, complete)
        .check("A result with a complete root directory is served", directories, complete_root)
        .check("A result whose root directory is absent is NOT_FOUND", directories, root_absent)
        .check("A result with an absent file below its root directory is NOT_FOUND", directories, file_below_root)
        .check("A result is served from when its last blob has come", available, later)
        .check(
            "An output file that is empty need not have been uploaded",
            "ContentAddressableStorage: empty blobs are always available",
            empty_file,
        );
}

/// A directory within a directory, with a file in each.
struct Nested {
    outer: Blob,
    inner: Blob,
    child: Directory,
    root: Directory,
}

impl Nested {
    fn new(server: &Server) -> Nested {
        let (outer, inner) = (server.random(100), server.random(100));
        let child = Directory { files: vec![file_node("inner", &inner)], ..Directory::default() };
        let root = Directory {
            files: vec![file_node("outer", &outer)],
            directories: vec![directory_node("child", &Blob::message(server.function(), &child))],
            ..Directory::default()
        };
        Nested { outer, inner, child, root }
    }

    /// The child and the root, as blobs of their own.
    fn directories(&self, server: &Server) -> [Blob; 2] {
        [&self.child, &self.root].map(|directory| Blob::message(server.function(), directory))
    }

    fn tree(&self, server: &Server) -> Blob {
        let tree = Tree { root: Some(self.root.clone()), children: vec![self.child.clone()] };
        Blob::message(server.function(), &tree)
    }
}

/// A file of a directory.
pub(super) fn file_node(name: &str, blob: &Blob) -> FileNode {
    FileNode { name: name.to_owned(), digest: Some(blob.digest.clone()), ..FileNode::default() }
}

/// A directory in a directory.
pub(super) fn directory_node(name: &str, blob: &Blob) -> DirectoryNode {
    DirectoryNode { name: name.to_owned(), digest: Some(blob.digest.clone()) }
}

/// Stores `result` for a new action, after `blobs`. To refuse it already then keeps the promise too.
async fn store(server: &Server, blobs: &[&Blob], result: ActionResult) -> Outcome<Option<Digest>> {
    for blob in blobs {
        server.put(blob).await?;
    }
    let action = server.random(10).digest;
    match server.update_action_result(&action, result).await {
        Err(status) if matches!(status.code(), Code::FailedPrecondition | Code::NotFound) => Ok(None),
        stored => stored.map(|_| Some(action)).map_err(Into::into),
    }
}

/// A result that names something besides `blobs` is not served.
async fn not_served(server: &Server, blobs: &[&Blob], result: ActionResult) -> Outcome {
    match store(server, blobs, result).await? {
        Some(action) => refused(server.action_result(&action).await, &[Code::NotFound]),
        None => Ok(()),
    }
}

fn with_file(blob: &Blob) -> ActionResult {
    ActionResult { output_files: vec![output("out", blob)], ..ActionResult::default() }
}

fn with_tree(tree: &Blob) -> ActionResult {
    let directory = OutputDirectory {
        path: "out".to_owned(),
        tree_digest: Some(tree.digest.clone()),
        ..OutputDirectory::default()
    };
    ActionResult { output_directories: vec![directory], ..ActionResult::default() }
}

async fn file(server: Server) -> Outcome {
    not_served(&server, &[], with_file(&server.random(100))).await
}

async fn file_of_other_size(server: Server) -> Outcome {
    let blob = server.random(100);
    let wrong = Blob { digest: blob.with_size(101), ..blob.clone() };
    not_served(&server, &[&blob], with_file(&wrong)).await
}

async fn stdout(server: Server) -> Outcome {
    let result = ActionResult { stdout_digest: Some(server.random(100).digest), ..ActionResult::default() };
    not_served(&server, &[], result).await
}

async fn stderr(server: Server) -> Outcome {
    let result = ActionResult { stderr_digest: Some(server.random(100).digest), ..ActionResult::default() };
    not_served(&server, &[], result).await
}

async fn tree(server: Server) -> Outcome {
    let nested = Nested::new(&server);
    let tree = nested.tree(&server);
    not_served(&server, &[&nested.outer, &nested.inner], with_tree(&tree)).await
}

async fn file_in_root(server: Server) -> Outcome {
    let nested = Nested::new(&server);
    let tree = nested.tree(&server);
    not_served(&server, &[&nested.inner, &tree], with_tree(&tree)).await
}

async fn file_in_child(server: Server) -> Outcome {
    let nested = Nested::new(&server);
    let tree = nested.tree(&server);
    not_served(&server, &[&nested.outer, &tree], with_tree(&tree)).await
}

async fn child_absent(server: Server) -> Outcome {
    let nested = Nested::new(&server);
    let tree = Tree { root: Some(nested.root.clone()), children: Vec::new() };
    let tree = Blob::message(server.function(), &tree);
    not_served(&server, &[&nested.outer, &nested.inner, &tree], with_tree(&tree)).await
}

async fn no_tree(server: Server) -> Outcome {
    let tree = Blob::new(server.function(), vec![0xff; 64]);
    not_served(&server, &[&tree], with_tree(&tree)).await
}

async fn complete(server: Server) -> Outcome {
    let nested = Nested::new(&server);
    let tree = nested.tree(&server);
    let result = with_tree(&tree);
    served(&server, &[&nested.outer, &nested.inner, &tree], result).await
}

fn with_root(root: &Blob) -> ActionResult {
    let directory = OutputDirectory {
        path: "out".to_owned(),
        root_directory_digest: Some(root.digest.clone()),
        ..OutputDirectory::default()
    };
    ActionResult { output_directories: vec![directory], ..ActionResult::default() }
}

async fn complete_root(server: Server) -> Outcome {
    let nested = Nested::new(&server);
    let [child, root] = nested.directories(&server);
    served(&server, &[&nested.outer, &nested.inner, &child, &root], with_root(&root)).await
}

async fn root_absent(server: Server) -> Outcome {
    let nested = Nested::new(&server);
    let [child, root] = nested.directories(&server);
    not_served(&server, &[&nested.outer, &nested.inner, &child], with_root(&root)).await
}

async fn file_below_root(server: Server) -> Outcome {
    let nested = Nested::new(&server);
    let [child, root] = nested.directories(&server);
    not_served(&server, &[&nested.outer, &child, &root], with_root(&root)).await
}

async fn later(server: Server) -> Outcome {
    let nested = Nested::new(&server);
    let (tree, out) = (nested.tree(&server), server.random(100));
    let result = ActionResult { output_files: vec![output("file", &out)], ..with_tree(&tree) };
    let Some(action) = store(&server, &[], result.clone()).await? else { return Ok(()) };
    for blob in [&tree, &out, &nested.outer, &nested.inner] {
        refused(server.action_result(&action).await, &[Code::NotFound])?;
        server.put(blob).await?;
    }
    equal("the result", &server.action_result(&action).await?, &result)
}

async fn empty_file(server: Server) -> Outcome {
    served(&server, &[], with_file(&server.random(0))).await
}

/// A result that names nothing besides `blobs` is served.
async fn served(server: &Server, blobs: &[&Blob], result: ActionResult) -> Outcome {
    let Some(action) = store(server, blobs, result.clone()).await? else {
        return crate::expect::differs("the update was refused");
    };
    equal("the result", &server.action_result(&action).await?, &result)
}
