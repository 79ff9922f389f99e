//! UpdateActionResult.

use bazel_remote_apis::build::bazel::remote::execution::v2::{
    ActionResult, Digest, OutputFile, UpdateActionResultRequest,
};
use tonic::Code;

use super::action_get::output;
use super::malformed;
use crate::check::{EXECUTION, Suite};
use crate::client::Server;
use crate::digest::Blob;
use crate::expect::{Outcome, differs, equal, refused, same_bytes};
use crate::offers::Need;

pub(super) fn register(suite: &mut Suite) {
    let invalid = "UpdateActionResult, errors: INVALID_ARGUMENT";
    suite
        .group("UpdateActionResult", EXECUTION)
        .needing(&[Need::Updates])
        .check(
            "The answer is the result or an equivalent one",
            "UpdateActionResult: may modify the result and return an equivalent value",
            returned,
        )
        .check("A result without any output is stored", "UpdateActionResult: upload a new execution result", empty)
        .check(
            "A result that replaces another is what is served",
            "UpdateActionResult: upload a new execution result",
            replaced,
        )
        .check(
            "stdout that came inline is there, inline or as a blob",
            "ActionResult.stdout_raw: clients should not populate it, but may",
            inline_stdout,
        )
        .check(
            "A file that came inline is served with its bytes, or not at all",
            "OutputFile.contents: clients should not populate it, but may",
            inline_file,
        )
        .check("A malformed action digest is INVALID_ARGUMENT", invalid, malformed_action)
        .check("A malformed digest of an output is INVALID_ARGUMENT", invalid, malformed_output)
        .check("No action digest is INVALID_ARGUMENT", invalid, no_digest)
        .check("No action result is INVALID_ARGUMENT", invalid, no_result)
        .check(
            "A digest function that is not offered is INVALID_ARGUMENT",
            "UpdateActionResultRequest.digest_function: one that the capabilities announce",
            foreign_function,
        );
}

fn exited(exit_code: i32) -> ActionResult {
    ActionResult { exit_code, ..ActionResult::default() }
}

async fn returned(server: Server) -> Outcome {
    let blob = server.random(100);
    server.put(&blob).await?;
    let result = ActionResult { output_files: vec![output("out", &blob)], ..exited(1) };
    let returned = server.update_action_result(&server.random(10).digest, result.clone()).await?;
    equal("the files", &returned.output_files, &result.output_files)?;
    equal("the exit code", &returned.exit_code, &1)
}

async fn empty(server: Server) -> Outcome {
    let action = server.random(10).digest;
    server.update_action_result(&action, exited(7)).await?;
    equal("the exit code", &server.action_result(&action).await?.exit_code, &7)
}

async fn replaced(server: Server) -> Outcome {
    let action = server.random(10).digest;
    for exit_code in [1, 2] {
        server.update_action_result(&action, exited(exit_code)).await?;
        equal("the exit code", &server.action_result(&action).await?.exit_code, &exit_code)?;
    }
    Ok(())
}

async fn inline_stdout(server: Server) -> Outcome {
    let (action, blob) = (server.random(10).digest, server.random(100));
    server.update_action_result(&action, ActionResult { stdout_raw: blob.data.clone(), ..exited(0) }).await?;
    let result = server.action_result(&action).await?;
    inline_or_stored(&server, &result.stdout_raw, result.stdout_digest, &blob).await
}

async fn inline_file(server: Server) -> Outcome {
    let (action, blob) = (server.random(10).digest, server.random(100));
    let file = OutputFile { contents: blob.data.clone(), ..output("out", &blob) };
    server.update_action_result(&action, ActionResult { output_files: vec![file], ..exited(0) }).await?;
    let result = match server.action_result(&action).await {
        Err(status) if status.code() == Code::NotFound => return Ok(()),
        result => result?,
    };
    let Some(file) = result.output_files.into_iter().next() else { return differs("the file is not in the result") };
    inline_or_stored(&server, &file.contents, file.digest, &blob).await
}

async fn inline_or_stored(server: &Server, raw: &[u8], digest: Option<Digest>, blob: &Blob) -> Outcome {
    match digest {
        _ if !raw.is_empty() => same_bytes("what is inlined", raw, &blob.data),
        Some(digest) => same_bytes("the blob", &server.read(&server.name_of(&digest), 0, 0).await?, &blob.data),
        None => differs("neither the bytes nor a digest"),
    }
}

async fn malformed_action(server: Server) -> Outcome {
    malformed::refused_by(&server, async |digest| server.update_action_result(&digest, exited(0)).await).await
}

async fn malformed_output(server: Server) -> Outcome {
    malformed::refused_by(&server, async |digest| {
        let file = OutputFile { path: "out".to_owned(), digest: Some(digest), ..OutputFile::default() };
        let result = ActionResult { output_files: vec![file], ..exited(0) };
        server.update_action_result(&server.random(10).digest, result).await
    })
    .await
}

fn request(server: &Server) -> UpdateActionResultRequest {
    UpdateActionResultRequest {
        instance_name: server.instance_name(),
        action_digest: Some(server.random(10).digest),
        action_result: Some(exited(1)),
        results_cache_policy: None,
        digest_function: server.function().field(),
    }
}

async fn no_digest(server: Server) -> Outcome {
    let request = UpdateActionResultRequest { action_digest: None, ..request(&server) };
    refused(server.action_cache().update_action_result(request).await, &[Code::InvalidArgument])
}

async fn no_result(server: Server) -> Outcome {
    let request = UpdateActionResultRequest { action_result: None, ..request(&server) };
    refused(server.action_cache().update_action_result(request).await, &[Code::InvalidArgument])
}

async fn foreign_function(server: Server) -> Outcome {
    let digest_function = server.offers.foreign_function();
    let request = UpdateActionResultRequest { digest_function, ..request(&server) };
    refused(server.action_cache().update_action_result(request).await, &[Code::InvalidArgument])
}
