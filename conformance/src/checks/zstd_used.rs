//! Blobs that came as zstd, where a method has to read them itself.

use bazel_remote_apis::build::bazel::remote::execution::v2::{
    ActionResult, Directory, GetActionResultRequest, GetTreeRequest, OutputDirectory, Tree,
};
use tonic::Code;

use super::action_complete::{directory_node, file_node};
use super::zstd_write::compressed;
use crate::calls::messages;
use crate::check::{EXECUTION, Suite};
use crate::client::Server;
use crate::digest::Blob;
use crate::expect::{Outcome, differs, equal, refused, same_bytes};
use crate::offers::Need;

pub(super) fn register(suite: &mut Suite) {
    let every = "ContentAddressableStorage: every blob in each of the formats, and uncompressed";
    suite
        .group("GetActionResult", EXECUTION)
        .needing(&[Need::Updates, Need::Zstd])
        .check("stdout that came as zstd is inlined as it is, or left out", every, inlined)
        .check("A Tree that came as zstd is looked into", every, tree);
    suite.group("GetTree", EXECUTION).needing(&[Need::Zstd]).check(
        "Directories that came as zstd are returned",
        every,
        directories,
    );
}

async fn put(server: &Server, blob: &Blob) -> Outcome {
    let name = server.zstd_upload_name_of(&blob.digest);
    server.write(messages(&name, &compressed(&blob.data), 10_000)).await?;
    Ok(())
}

async fn inlined(server: Server) -> Outcome {
    let (action, stdout) = (server.random(10).digest, server.text(10_000));
    put(&server, &stdout).await?;
    let result = ActionResult { stdout_digest: Some(stdout.digest.clone()), ..ActionResult::default() };
    server.update_action_result(&action, result).await?;
    let request = GetActionResultRequest {
        action_digest: Some(action),
        inline_stdout: true,
        ..GetActionResultRequest::default()
    };
    let result = server.action_result_for(request).await?;
    match result.stdout_digest {
        _ if !result.stdout_raw.is_empty() => same_bytes("what is inlined", &result.stdout_raw, &stdout.data),
        Some(digest) => equal("the digest", &digest, &stdout.digest),
        None => differs("neither the bytes nor the digest"),
    }
}

async fn tree(server: Server) -> Outcome {
    let (action, file) = (server.random(10).digest, server.random(100));
    let root = Directory { files: vec![file_node("file", &file)], ..Directory::default() };
    let tree = Blob::message(server.function(), &Tree { root: Some(root), children: Vec::new() });
    put(&server, &tree).await?;
    let directory =
        OutputDirectory { path: "out".to_owned(), tree_digest: Some(tree.digest), ..OutputDirectory::default() };
    let result = ActionResult { output_directories: vec![directory], ..ActionResult::default() };
    server.update_action_result(&action, result.clone()).await?;
    refused(server.action_result(&action).await, &[Code::NotFound])?;
    server.put(&file).await?;
    equal("the result", &server.action_result(&action).await?, &result)
}

async fn directories(server: Server) -> Outcome {
    let child = Directory { files: vec![file_node("file", &server.random(100))], ..Directory::default() };
    let blob = Blob::message(server.function(), &child);
    let root = Directory { directories: vec![directory_node("child", &blob)], ..Directory::default() };
    let root_blob = Blob::message(server.function(), &root);
    put(&server, &blob).await?;
    put(&server, &root_blob).await?;
    let request = GetTreeRequest {
        instance_name: server.instance_name(),
        root_digest: Some(root_blob.digest),
        digest_function: server.function().field(),
        ..GetTreeRequest::default()
    };
    let mut stream = server.cas().get_tree(request).await?.into_inner();
    let mut directories = Vec::new();
    while let Some(page) = stream.message().await? {
        directories.extend(page.directories);
    }
    directories.sort_by_key(|directory| directory.files.len());
    equal("the directories", &directories, &vec![root, child])
}
