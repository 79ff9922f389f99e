//! GetActionResult: what it returns, and what it inlines.
//! Not here: when a result is complete (`action_complete`).

use bazel_remote_apis::build::bazel::remote::execution::v2::{
    ActionResult, Digest, ExecutedActionMetadata, GetActionResultRequest, OutputFile, OutputSymlink,
};
use prost::Message;
use tonic::Code;

use super::malformed;
use crate::check::{EXECUTION, Suite};
use crate::client::Server;
use crate::digest::Blob;
use crate::expect::{Outcome, differs, ensure, equal, refused, same_bytes};
use crate::offers::Need;

/// The most that a client's gRPC library takes as one message without further settings, in bytes.
const MESSAGE_LIMIT: usize = 4 << 20;

pub(super) fn register(suite: &mut Suite) {
    let mut group = suite.group("GetActionResult", EXECUTION);
    group
        .check("An action that nobody has run is NOT_FOUND", "GetActionResult, errors: NOT_FOUND", absent)
        .check(
            "A blob is no action result",
            "ActionCache: addressed by the digest of the Action, unlike the CAS",
            blob_is_no_result,
        )
        .check(
            "A malformed action digest is INVALID_ARGUMENT",
            "Digest.hash: lowercase hexadecimal of the function's length",
            malformed,
        )
        .check(
            "No action digest is INVALID_ARGUMENT",
            "GetActionResultRequest.action_digest: whose result is requested",
            no_digest,
        )
        .check(
            "A digest function that is not offered is INVALID_ARGUMENT",
            "GetActionResultRequest.digest_function: one that the capabilities announce",
            foreign_function,
        );
    group
        .needing(&[Need::Updates])
        .check("A result comes back as it was stored", "GetActionResult: retrieve a cached execution result", unchanged)
        .check(
            "The hash of an action with another size is another action",
            "Digest: the size is an integral part of it",
            other_size,
        )
        .check(
            "Nothing is inlined that was not asked for",
            "ActionResult.stdout_raw, stderr_raw, OutputFile.contents: not unless requested",
            not_inlined,
        )
        .check(
            "Inlined stdout is the blob, or is left out",
            "GetActionResultRequest.inline_stdout: a hint",
            inline_stdout,
        )
        .check(
            "Inlined stderr is the blob, or is left out",
            "GetActionResultRequest.inline_stderr: a hint",
            inline_stderr,
        )
        .check(
            "An inlined output file is the blob, or is left out",
            "GetActionResultRequest.inline_output_files: a hint for the files listed",
            inline_file,
        )
        .check(
            "Inlining stays within the message limit",
            "OutputFile.contents: omitted if it would exceed message size limits",
            inline_too_much,
        )
        .check(
            "Inlining of several blobs together stays within the message limit",
            "OutputFile.contents: omitted if it would exceed message size limits",
            inline_sum,
        )
        .check(
            "An unknown path to inline is passed over",
            "GetActionResultRequest.inline_output_files: a hint",
            inline_unknown,
        );
}

/// A new action, and what its results consist of.
struct Run {
    action: Digest,
    stdout: Blob,
    stderr: Blob,
    file: Blob,
    other: Blob,
}

impl Run {
    async fn store(server: &Server, length: usize) -> Outcome<Run> {
        let run = Run {
            action: server.random(10).digest,
            stdout: server.random(100),
            stderr: server.random(100),
            file: server.random(length),
            other: server.random(100),
        };
        for blob in [&run.stdout, &run.stderr, &run.file, &run.other] {
            server.put(blob).await?;
        }
        server.update_action_result(&run.action, run.result()).await?;
        Ok(run)
    }

    fn result(&self) -> ActionResult {
        ActionResult {
            output_files: vec![output("out/file", &self.file), output("out/other", &self.other)],
            output_symlinks: vec![OutputSymlink {
                path: "out/link".to_owned(),
                target: "file".to_owned(),
                node_properties: None,
            }],
            exit_code: 3,
            stdout_digest: Some(self.stdout.digest.clone()),
            stderr_digest: Some(self.stderr.digest.clone()),
            execution_metadata: Some(ExecutedActionMetadata {
                worker: "worker".to_owned(),
                ..ExecutedActionMetadata::default()
            }),
            ..ActionResult::default()
        }
    }

    async fn ask(&self, server: &Server, request: GetActionResultRequest) -> Outcome<ActionResult> {
        Ok(server
            .action_result_for(GetActionResultRequest { action_digest: Some(self.action.clone()), ..request })
            .await?)
    }
}

/// An output file that is `blob`.
pub(super) fn output(path: &str, blob: &Blob) -> OutputFile {
    OutputFile { path: path.to_owned(), digest: Some(blob.digest.clone()), ..OutputFile::default() }
}

async fn absent(server: Server) -> Outcome {
    refused(server.action_result(&server.random(10).digest).await, &[Code::NotFound])
}

async fn blob_is_no_result(server: Server) -> Outcome {
    let result = ActionResult { exit_code: 1, ..ActionResult::default() };
    let blob = Blob::message(server.function(), &result);
    let other = server.random(20);
    for blob in [&blob, &other] {
        server.put(blob).await?;
        refused(server.action_result(&blob.digest).await, &[Code::NotFound])?;
    }
    Ok(())
}

async fn malformed(server: Server) -> Outcome {
    malformed::refused_by(&server, async |digest| server.action_result(&digest).await).await
}

async fn no_digest(server: Server) -> Outcome {
    refused(server.action_result_for(GetActionResultRequest::default()).await, &[Code::InvalidArgument])
}

async fn foreign_function(server: Server) -> Outcome {
    let request = GetActionResultRequest {
        action_digest: Some(server.random(10).digest),
        digest_function: server.offers.foreign_function(),
        ..GetActionResultRequest::default()
    };
    refused(server.action_result_for(request).await, &[Code::InvalidArgument])
}

async fn unchanged(server: Server) -> Outcome {
    let run = Run::store(&server, 100).await?;
    equal("the result", &server.action_result(&run.action).await?, &run.result())
}

async fn other_size(server: Server) -> Outcome {
    let run = Run::store(&server, 100).await?;
    let wrong = Digest { size_bytes: run.action.size_bytes + 1, ..run.action };
    refused(server.action_result(&wrong).await, &[Code::NotFound, Code::InvalidArgument])
}

async fn not_inlined(server: Server) -> Outcome {
    let run = Run::store(&server, 100).await?;
    let result = run.ask(&server, GetActionResultRequest::default()).await?;
    ensure(result.stdout_raw.is_empty(), || "stdout is inlined".to_owned())?;
    ensure(result.stderr_raw.is_empty(), || "stderr is inlined".to_owned())?;
    ensure(result.output_files.iter().all(|file| file.contents.is_empty()), || "a file is inlined".to_owned())
}

async fn inline_stdout(server: Server) -> Outcome {
    let run = Run::store(&server, 100).await?;
    let request = GetActionResultRequest { inline_stdout: true, ..GetActionResultRequest::default() };
    let result = run.ask(&server, request).await?;
    inlined(&result.stdout_raw, result.stdout_digest.as_ref(), &run.stdout)?;
    ensure(result.stderr_raw.is_empty(), || "stderr is inlined too".to_owned())
}

async fn inline_stderr(server: Server) -> Outcome {
    let run = Run::store(&server, 100).await?;
    let request = GetActionResultRequest { inline_stderr: true, ..GetActionResultRequest::default() };
    let result = run.ask(&server, request).await?;
    inlined(&result.stderr_raw, result.stderr_digest.as_ref(), &run.stderr)?;
    ensure(result.stdout_raw.is_empty(), || "stdout is inlined too".to_owned())
}

async fn inline_file(server: Server) -> Outcome {
    let run = Run::store(&server, 100).await?;
    let result = run.ask(&server, inlining("out/file")).await?;
    for file in &result.output_files {
        match file.path.as_str() {
            "out/file" => inlined(&file.contents, file.digest.as_ref(), &run.file)?,
            path => ensure(file.contents.is_empty(), || format!("{path} is inlined too"))?,
        }
    }
    equal("the number of files", &result.output_files.len(), &2)
}

async fn inline_too_much(server: Server) -> Outcome {
    let run = Run::store(&server, MESSAGE_LIMIT).await?;
    let result = run.ask(&server, inlining("out/file")).await?;
    ensure(result.encoded_len() <= MESSAGE_LIMIT, || format!("the answer has {} bytes", result.encoded_len()))
}

async fn inline_sum(server: Server) -> Outcome {
    let blobs = [(); 3].map(|()| server.random(MESSAGE_LIMIT / 5 * 2));
    for blob in &blobs {
        server.put(blob).await?;
    }
    let result = ActionResult {
        output_files: vec![output("out/file", &blobs[0])],
        stdout_digest: Some(blobs[1].digest.clone()),
        stderr_digest: Some(blobs[2].digest.clone()),
        ..ActionResult::default()
    };
    let action = server.random(10).digest;
    server.update_action_result(&action, result).await?;
    let request = GetActionResultRequest {
        action_digest: Some(action),
        inline_stdout: true,
        inline_stderr: true,
        ..inlining("out/file")
    };
    let result = server.action_result_for(request).await?;
    ensure(result.encoded_len() <= MESSAGE_LIMIT, || format!("the answer has {} bytes", result.encoded_len()))?;
    inlined(&result.stdout_raw, result.stdout_digest.as_ref(), &blobs[1])?;
    inlined(&result.stderr_raw, result.stderr_digest.as_ref(), &blobs[2])
}

async fn inline_unknown(server: Server) -> Outcome {
    let run = Run::store(&server, 100).await?;
    equal("the result", &run.ask(&server, inlining("out/nowhere")).await?, &run.result())
}

fn inlining(path: &str) -> GetActionResultRequest {
    GetActionResultRequest { inline_output_files: vec![path.to_owned()], ..GetActionResultRequest::default() }
}

/// What is inlined is the blob; nothing is only right where the digest is there instead.
fn inlined(raw: &[u8], digest: Option<&Digest>, blob: &Blob) -> Outcome {
    match digest {
        _ if !raw.is_empty() => same_bytes("what is inlined", raw, &blob.data),
        Some(digest) => equal("the digest", digest, &blob.digest),
        None => differs("neither the bytes nor the digest"),
    }
}
