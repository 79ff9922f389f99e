//! What is called, and what has to be there for it.

use std::fmt;

use anyhow::ensure;
use bazel_remote_apis::build::bazel::remote::execution::v2::batch_update_blobs_request::Request;
use bazel_remote_apis::build::bazel::remote::execution::v2::{
    ActionResult, BatchReadBlobsRequest, BatchUpdateBlobsRequest, BatchUpdateBlobsResponse, Digest,
    FindMissingBlobsRequest, GetActionResultRequest, OutputFile, UpdateActionResultRequest,
};
use bazel_remote_apis::google::bytestream::{ReadRequest, WriteRequest};
use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::encode_varint;

use crate::reapi::client::{Call, Client, PREFIX, framed, put_prefix};
use crate::reapi::content::{Content, Contents};
use crate::summary::size;

const FIND_MISSING: &str = "/build.bazel.remote.execution.v2.ContentAddressableStorage/FindMissingBlobs";
const BATCH_UPDATE: &str = "/build.bazel.remote.execution.v2.ContentAddressableStorage/BatchUpdateBlobs";
const BATCH_READ: &str = "/build.bazel.remote.execution.v2.ContentAddressableStorage/BatchReadBlobs";
const GET_ACTION: &str = "/build.bazel.remote.execution.v2.ActionCache/GetActionResult";
const UPDATE_ACTION: &str = "/build.bazel.remote.execution.v2.ActionCache/UpdateActionResult";
const READ: &str = "/google.bytestream.ByteStream/Read";
const WRITE: &str = "/google.bytestream.ByteStream/Write";

/// Digests of a question.
const ASKED: usize = 1_000;

/// Blobs that questions are about: more than the processor's caches hold.
const KNOWN: usize = 100_000;

/// Bytes of each of them.
const TINY: usize = 64;

/// Blobs of a batch, and bytes of each.
const BATCH: usize = 100;
const SMALL: usize = 4 << 10;

/// Output files of an action result.
const OUTPUTS: usize = 4;

/// The key of `WriteRequest.data`: field 10, length-delimited.
const DATA_KEY: u8 = 10 << 3 | 2;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    FindMissing,
    BatchUpdate,
    BatchRead,
    Read(usize),
    Write(usize),
    GetAction,
    UpdateAction,
}

impl Operation {
    pub(crate) const ALL: [Operation; 11] = [
        Operation::FindMissing,
        Operation::BatchUpdate,
        Operation::BatchRead,
        Operation::Read(SMALL),
        Operation::Read(1 << 20),
        Operation::Read(256 << 20),
        Operation::Write(SMALL),
        Operation::Write(1 << 20),
        Operation::Write(256 << 20),
        Operation::GetAction,
        Operation::UpdateAction,
    ];

    /// Whether it stores blobs.
    pub(crate) fn stores(self) -> bool {
        matches!(self, Operation::BatchUpdate | Operation::Write(_))
    }

    /// Uploads what it needs, and makes its requests.
    pub(crate) async fn prepare(self, client: &Client, message: usize) -> anyhow::Result<Prepared> {
        let made = |calls| Ok(Prepared::Made { calls, next: 0 });
        match self {
            Operation::FindMissing => {
                let blobs = stored(client, TINY, KNOWN).await?;
                let request = |blobs| FindMissingBlobsRequest { blob_digests: digests(blobs), ..Default::default() };
                made(blobs.chunks(ASKED).map(|blobs| call(FIND_MISSING, &request(blobs), 0, 0)).collect())
            }
            Operation::BatchRead => {
                let blobs = stored(client, SMALL, ASKED).await?;
                let request = |blobs| BatchReadBlobsRequest { digests: digests(blobs), ..Default::default() };
                let bytes = BATCH * SMALL;
                made(blobs.chunks(BATCH).map(|blobs| call(BATCH_READ, &request(blobs), bytes, bytes)).collect())
            }
            Operation::Read(length) => {
                let blobs = written(client, length, message).await?;
                let request = |blob: &Content| ReadRequest { resource_name: read_name(blob), ..Default::default() };
                made(blobs.iter().map(|blob| call(READ, &request(blob), length, length)).collect())
            }
            Operation::GetAction => made(actions(client).await?),
            Operation::BatchUpdate => {
                // Once with a look at each status.
                stored(client, SMALL, BATCH).await?;
                Ok(Prepared::Batches(Contents::of(SMALL)))
            }
            Operation::Write(length) => Ok(Prepared::Writes { contents: Contents::of(length), length, message }),
            Operation::UpdateAction => {
                let result = Box::new(result(client).await?);
                Ok(Prepared::Updates { contents: Contents::of(SMALL), result })
            }
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operation::FindMissing => write!(f, "FindMissingBlobs × {ASKED}"),
            Operation::BatchUpdate => write!(f, "BatchUpdateBlobs {BATCH} × {}", size(SMALL)),
            Operation::BatchRead => write!(f, "BatchReadBlobs {BATCH} × {}", size(SMALL)),
            Operation::Read(length) => write!(f, "Read {}", size(*length)),
            Operation::Write(length) => write!(f, "Write {}", size(*length)),
            Operation::GetAction => f.write_str("GetActionResult"),
            Operation::UpdateAction => f.write_str("UpdateActionResult"),
        }
    }
}

/// An operation whose calls can be made one after the other.
pub(crate) enum Prepared {
    /// The same ones again and again.
    Made { calls: Vec<Call>, next: usize },
    /// New blobs in batches.
    Batches(Contents),
    /// New blobs, each in messages of so many bytes.
    Writes { contents: Contents, length: usize, message: usize },
    /// The same result for new actions.
    Updates { contents: Contents, result: Box<ActionResult> },
}

impl Prepared {
    pub(crate) fn call(&mut self) -> Call {
        match self {
            Prepared::Made { calls, next } => {
                *next = (*next + 1) % calls.len();
                calls[*next].clone()
            }
            Prepared::Batches(contents) => batch(&(0..BATCH).map(|_| contents.next()).collect::<Vec<_>>()),
            Prepared::Writes { contents, length, message } => write(&contents.next(), *length, *message),
            Prepared::Updates { contents, result } => update(contents.next().digest, result),
        }
    }
}

fn call(path: &'static str, request: &impl Message, useful: usize, least: usize) -> Call {
    Call { path, body: vec![framed(request)], useful: useful as u64, least }
}

fn digests(blobs: &[Content]) -> Vec<Digest> {
    blobs.iter().map(|blob| blob.digest.clone()).collect()
}

fn batch(blobs: &[Content]) -> Call {
    let request =
        |blob: &Content| Request { digest: Some(blob.digest.clone()), data: blob.to_vec(), ..Default::default() };
    let requests = blobs.iter().map(request).collect();
    let bytes = blobs.len() * SMALL;
    call(BATCH_UPDATE, &BatchUpdateBlobsRequest { requests, ..Default::default() }, bytes, 0)
}

fn read_name(blob: &Content) -> String {
    format!("blobs/{}/{}", blob.digest.hash, blob.digest.size_bytes)
}

fn write(blob: &Content, length: usize, message: usize) -> Call {
    let name = format!("uploads/00000000-0000-4000-8000-000000000000/{}", read_name(blob));
    let (mut body, mut offset) = (Vec::new(), 0);
    for part in blob.parts(message) {
        let bytes: usize = part.iter().map(Bytes::len).sum();
        let request = WriteRequest {
            resource_name: if offset == 0 { name.clone() } else { String::new() },
            write_offset: i64::try_from(offset).unwrap_or(i64::MAX),
            finish_write: offset + bytes == length,
            data: Vec::new(),
        };
        body.push(write_head(&request, bytes));
        body.extend(part);
        offset += bytes;
    }
    Call { path: WRITE, body, useful: length as u64, least: PREFIX }
}

/// A message of an upload up to its data, which follows in frames of its own.
fn write_head(request: &WriteRequest, bytes: usize) -> Bytes {
    let mut head = BytesMut::new();
    let _ = request.encode(&mut head);
    head.put_u8(DATA_KEY);
    encode_varint(bytes as u64, &mut head);
    let mut frame = BytesMut::with_capacity(PREFIX + head.len());
    put_prefix(&mut frame, head.len() + bytes);
    frame.put(head);
    frame.freeze()
}

fn update(action: Digest, result: &ActionResult) -> Call {
    let request = UpdateActionResultRequest {
        action_digest: Some(action),
        action_result: Some(result.clone()),
        ..Default::default()
    };
    call(UPDATE_ACTION, &request, 0, PREFIX)
}

/// Stores `count` blobs of `length` bytes in batches.
async fn stored(client: &Client, length: usize, count: usize) -> anyhow::Result<Vec<Content>> {
    let mut contents = Contents::of(length);
    let blobs: Vec<Content> = (0..count).map(|_| contents.next()).collect();
    for blobs in blobs.chunks(BATCH) {
        let answer = client.call(0, &batch(blobs), true).await?;
        let answer = BatchUpdateBlobsResponse::decode(&answer[PREFIX.min(answer.len())..])?;
        let failed = answer.responses.iter().find(|it| it.status.as_ref().is_some_and(|status| status.code != 0));
        ensure!(failed.is_none() && answer.responses.len() == blobs.len(), "a blob was refused: {failed:?}");
    }
    Ok(blobs)
}

/// Writes blobs of `length` bytes: as many as 256 MiB hold, 1,000 at most.
async fn written(client: &Client, length: usize, message: usize) -> anyhow::Result<Vec<Content>> {
    let mut contents = Contents::of(length);
    let blobs: Vec<Content> = (0..((256 << 20) / length).clamp(1, ASKED)).map(|_| contents.next()).collect();
    for blob in &blobs {
        client.call(0, &write(blob, length, message), false).await?;
    }
    Ok(blobs)
}

/// A result whose outputs are there.
async fn result(client: &Client) -> anyhow::Result<ActionResult> {
    let blobs = stored(client, SMALL, OUTPUTS + 1).await?;
    let file = |(number, blob): (usize, &Content)| OutputFile {
        path: format!("bazel-out/k8-fastbuild/bin/some/package/output{number}.o"),
        digest: Some(blob.digest.clone()),
        is_executable: true,
        ..Default::default()
    };
    Ok(ActionResult {
        output_files: blobs[1..].iter().enumerate().map(file).collect(),
        stderr_digest: Some(blobs[0].digest.clone()),
        ..Default::default()
    })
}

/// Stores results for 1,000 actions, and makes the calls that get them.
async fn actions(client: &Client) -> anyhow::Result<Vec<Call>> {
    let (mut contents, result) = (Contents::of(SMALL), result(client).await?);
    let mut calls = Vec::new();
    for _ in 0..ASKED {
        let action = contents.next().digest;
        client.call(0, &update(action.clone(), &result), false).await?;
        let request = GetActionResultRequest { action_digest: Some(action), ..Default::default() };
        calls.push(call(GET_ACTION, &request, 0, result.encoded_len()));
    }
    Ok(calls)
}
