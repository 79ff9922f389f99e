//! `BatchUpdateBlobs` and `BatchReadBlobs`: many small blobs at once, a status each.

use bazel_remote_apis::build::bazel::remote::execution::v2 as proto;
use bytes::Bytes;
use futures_util::{StreamExt, TryFutureExt, stream};
use kura_cache::{Cache, Compression, Digest, DigestFunction, Form, Scope};
use kura_http::Class;
use prost::Message;
use proto::batch_update_blobs_response;
use proto::compressor::Value as Compressor;
use tonic::Status;

use crate::call::Call;
use crate::grpc::Reply;
use crate::limits::{BATCH_CONCURRENCY, MAX_BATCH, MAX_SENT_MESSAGE};
use crate::message::{BatchReadBlobsResponse, BatchUpdateBlobsRequest, ReadBlob, UpdateBlob};
use crate::{blob, digest, status};

/// Room in a message for what stands around a blob beside its digest, in bytes.
const BLOB_FRAMING: usize = 32;

pub(crate) async fn batch_update(mut call: Call) -> Result<Reply, Status> {
    let request: BatchUpdateBlobsRequest = call.message().await?;
    within_batch(request.requests.iter().map(|blob| blob.data.len() as u64))?;
    let scope = call.scope(&request.instance_name)?;
    let function = digest::function(request.digest_function)?;
    // All at once, so that their commits share a sync.
    let stored = request.requests.into_iter().map(|blob| update(&call.cache, &scope, function, blob));
    let responses = stream::iter(stored).buffered(BATCH_CONCURRENCY).collect().await;
    Ok(Reply::message(&proto::BatchUpdateBlobsResponse { responses }))
}

async fn update(
    cache: &Cache,
    scope: &Scope,
    function: Option<DigestFunction>,
    blob: UpdateBlob,
) -> batch_update_blobs_response::Response {
    let UpdateBlob { digest, data, compressor } = blob;
    let stored = match check(function, digest.as_ref(), compressor) {
        Ok((digest, compression)) => {
            blob::store(cache, scope, &digest, compression, data).map_err(|error| status::of(&error)).await
        }
        Err(status) => Err(status),
    };
    let status = stored.err().unwrap_or_else(|| Status::ok(""));
    batch_update_blobs_response::Response { digest, status: Some(status::of_blob(&status)) }
}

fn check(
    function: Option<DigestFunction>,
    digest: Option<&proto::Digest>,
    compressor: i32,
) -> Result<(Digest, Compression), Status> {
    Ok((digest::required(function, digest, "the blob's digest")?, blob::compression(compressor)?))
}

pub(crate) async fn batch_read(mut call: Call) -> Result<Reply, Status> {
    let request: proto::BatchReadBlobsRequest = call.message().await?;
    let total = within_batch(request.digests.iter().map(|digest| digest.size_bytes.max(0).cast_unsigned()))?;
    let scope = call.scope(&request.instance_name)?;
    let function = digest::function(request.digest_function)?;
    let held = call
        .memory
        .hold_for(&scope.tenant, Class::Answer, 2 * total)
        .ok_or_else(|| status::overload("too many answers are under way"))?;
    // As they are stored, where the client takes that: nothing is computed then.
    let takes_zstd = request.acceptable_compressors.contains(&(Compressor::Zstd as i32));
    let form = if takes_zstd { Form::Stored } else { Form::Identity };
    let read = request.digests.into_iter().map(|digest| read(&call.cache, &scope, function, form, digest));
    let mut responses: Vec<ReadBlob> = stream::iter(read).buffered(BATCH_CONCURRENCY).collect().await;
    fit(&mut responses);
    Ok(Reply::message(&BatchReadBlobsResponse { responses }).holding(held))
}

async fn read(
    cache: &Cache,
    scope: &Scope,
    function: Option<DigestFunction>,
    form: Form,
    digest: proto::Digest,
) -> ReadBlob {
    let found = match digest::parse(function, digest.hash.as_bytes(), digest.size_bytes) {
        Ok(parsed) => blob::fetch(cache, scope, &parsed, form, MAX_BATCH)
            .await
            .map_err(|error| status::of_read(&error))
            .and_then(|found| found.ok_or_else(status::miss)),
        Err(status) => Err(status),
    };
    let ((data, compression), status) = match found {
        Ok(found) => (found, Status::ok("")),
        Err(status) => ((Bytes::new(), Compression::Identity), status),
    };
    let compressor = blob::compressor(compression);
    ReadBlob { digest: Some(digest), data, status: Some(status::of_blob(&status)), compressor }
}

/// Leaves out the data of what a message does not hold: of very many small blobs the framing may be more than the blobs.
fn fit(responses: &mut [ReadBlob]) {
    let mut room = MAX_SENT_MESSAGE;
    for response in responses {
        let length = response.encoded_len() + BLOB_FRAMING;
        if length <= room {
            room -= length;
        } else {
            response.data = Bytes::new();
            let status = Status::resource_exhausted("no room in this answer: ask for it alone");
            response.status = Some(status::of_blob(&status));
        }
    }
}

/// The total of a batch.
///
/// # Errors
/// `INVALID_ARGUMENT` for one above the limit.
fn within_batch(sizes: impl Iterator<Item = u64>) -> Result<u64, Status> {
    let total = sizes.fold(0, u64::saturating_add);
    if total <= MAX_BATCH {
        return Ok(total);
    }
    Err(Status::invalid_argument(format!(
        "the blobs of a batch have at most {MAX_BATCH} bytes together, and these have {total}"
    )))
}
