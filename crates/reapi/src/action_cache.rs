//! `ActionCache`. A result goes out as the bytes that it came in as; what is inlined on request is added to them.

use std::collections::HashSet;

use bazel_remote_apis::build::bazel::remote::execution::v2 as proto;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream};
use kura_cache::{ArtifactKey, Attributes, Cache, Compression, Digest, DigestFunction, Form, Scope};
use prost::Message;
use tonic::Status;

use crate::call::Call;
use crate::grpc::{Reply, decoded};
use crate::limits::{BATCH_CONCURRENCY, MAX_SENT_MESSAGE};
use crate::message::{Inlined, Streams, UpdateActionResultRequest};
use crate::{blob, digest, status};

/// Room in a message for what stands around inlined contents, in bytes.
const INLINE_FRAMING: usize = 64;

pub(crate) async fn get(mut call: Call) -> Result<Reply, Status> {
    let request: proto::GetActionResultRequest = call.message().await?;
    let scope = call.scope(&request.instance_name)?;
    let action = digest::required(
        digest::function(request.digest_function)?,
        request.action_digest.as_ref(),
        "the action's digest",
    )?;
    let key = ArtifactKey::action(&scope, &action).map_err(status::of_key)?;
    let found = call.cache.get(&key).await.map_err(|error| status::of_read(&error))?.ok_or_else(status::miss)?;
    let result = found.body.collect().await.map_err(|error| status::of_read(&error))?;
    let wants_some = request.inline_stdout || request.inline_stderr || !request.inline_output_files.is_empty();
    if !wants_some {
        return Ok(Reply::encoded(result));
    }
    call.incoming.hold(MAX_SENT_MESSAGE as u64)?;
    let inlining = Inlining { cache: &call.cache, scope: &scope, function: action.function() };
    Box::pin(inlining.fill(&request, result)).await.map(Reply::encoded)
}

/// Adds contents to a result that is there and complete.
struct Inlining<'a> {
    cache: &'a Cache,
    scope: &'a Scope,
    function: DigestFunction,
}

impl Inlining<'_> {
    /// The result with as much of what was asked for as a message holds.
    async fn fill(&self, request: &proto::GetActionResultRequest, result: Bytes) -> Result<Bytes, Status> {
        let result = if request.inline_output_files.is_empty() {
            result
        } else {
            self.files(&request.inline_output_files, result).await?
        };
        let streams = Streams::decode(result.clone()).map_err(|error| not_a_result(&error))?;
        let mut room = MAX_SENT_MESSAGE.saturating_sub(result.len());
        let mut added = Streams::default();
        if request.inline_stdout && streams.stdout_raw.is_empty() {
            added.stdout_raw = self.content(streams.stdout_digest.as_ref(), &mut room).await?;
        }
        if request.inline_stderr && streams.stderr_raw.is_empty() {
            added.stderr_raw = self.content(streams.stderr_digest.as_ref(), &mut room).await?;
        }
        if added == Streams::default() {
            return Ok(result);
        }
        // What is appended to a message is part of it.
        let mut filled = BytesMut::with_capacity(result.len() + added.encoded_len());
        filled.extend_from_slice(&result);
        let _ = added.encode(&mut filled);
        Ok(filled.freeze())
    }

    async fn files(&self, paths: &[String], result: Bytes) -> Result<Bytes, Status> {
        let paths: HashSet<&str> = paths.iter().map(String::as_str).collect();
        let mut room = MAX_SENT_MESSAGE.saturating_sub(result.len());
        let mut result = proto::ActionResult::decode(result).map_err(|error| not_a_result(&error))?;
        for file in result.output_files.iter_mut().filter(|file| paths.contains(file.path.as_str())) {
            if file.contents.is_empty() {
                file.contents = self.content(file.digest.as_ref(), &mut room).await?.into();
            }
        }
        Ok(result.encode_to_vec().into())
    }

    /// A blob's bytes, if there is room for them; nothing otherwise.
    async fn content(&self, digest: Option<&proto::Digest>, room: &mut usize) -> Result<Bytes, Status> {
        let Some(digest) = digest else { return Ok(Bytes::new()) };
        let digest = digest::parse(Some(self.function), digest.hash.as_bytes(), digest.size_bytes)?;
        let most = room.saturating_sub(INLINE_FRAMING) as u64;
        let found = blob::fetch(self.cache, self.scope, &digest, Form::Identity, most).await;
        let (content, _) =
            found.map_err(|error| status::of_read(&error))?.unwrap_or((Bytes::new(), Compression::Identity));
        *room -= if content.is_empty() { 0 } else { content.len() + INLINE_FRAMING };
        Ok(content)
    }
}

fn not_a_result(error: &prost::DecodeError) -> Status {
    tracing::error!(%error, "a stored action result is none");
    status::miss()
}

pub(crate) async fn update(mut call: Call) -> Result<Reply, Status> {
    let request: UpdateActionResultRequest = call.message().await?;
    let scope = call.scope(&request.instance_name)?;
    let action = digest::required(
        digest::function(request.digest_function)?,
        request.action_digest.as_ref(),
        "the action's digest",
    )?;
    let key = ArtifactKey::action(&scope, &action).map_err(status::of_key)?;
    let result = request.result().ok_or_else(|| Status::invalid_argument("the action result is missing"))?;
    let malformed = |error| Status::invalid_argument(format!("not an action result: {error}"));
    call.incoming.hold(result.len() as u64 + decoded(&result))?;
    let inlined = Inlined::decode(result.clone()).map_err(malformed)?;
    store_inlined(&call.cache, &scope, action.function(), inlined).await?;
    put(&call.cache, &key, result.clone()).await.map_err(|error| status::of(&error))?;
    Ok(Reply::encoded(result))
}

async fn put(cache: &Cache, key: &ArtifactKey, result: Bytes) -> Result<(), kura_cache::Error> {
    let mut upload = cache.put(key, Attributes::default(), Some(result.len() as u64)).await?;
    upload.write(result).await?;
    upload.commit().await.map(drop)
}

/// Stores what a result carries inline under the digests that it names them by.
async fn store_inlined(cache: &Cache, scope: &Scope, function: DigestFunction, inlined: Inlined) -> Result<(), Status> {
    let files = inlined.output_files.into_iter().map(|file| (file.digest, file.contents));
    let streams = [(inlined.stdout_digest, inlined.stdout_raw), (inlined.stderr_digest, inlined.stderr_raw)];
    let mut blobs = Vec::new();
    for (digest, data) in files.chain(streams).filter(|(_, data)| !data.is_empty()) {
        let Some(digest) = digest else { continue };
        blobs.push((digest::parse(Some(function), digest.hash.as_bytes(), digest.size_bytes)?, data));
    }
    let stored = blobs.into_iter().map(async |(digest, data): (Digest, Bytes)| {
        blob::store(cache, scope, &digest, Compression::Identity, data).await
    });
    let mut stored = stream::iter(stored).buffer_unordered(BATCH_CONCURRENCY);
    while stored.try_next().await.map_err(|error| status::of(&error))?.is_some() {}
    Ok(())
}
