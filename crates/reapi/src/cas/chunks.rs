//! Which chunks a blob is made of: asked for with `GetChunkMapping` and told with `RegisterChunkMapping`, in the forms of version 2.13, which stream, and
//! in the older ones, `SplitBlob` and `SpliceBlob`.

use bazel_remote_apis::build::bazel::remote::execution::v2 as proto;
use futures_util::stream;
use kura_cache::limits::MAX_PARTS;
use kura_cache::{AVERAGE_CHUNK_SIZE, CHUNKING_SEED, Cache, Chunking, Digest, DigestFunction, Scope};
use kura_http::{Class, Held};
use tonic::Status;

use crate::call::Call;
use crate::grpc::{Reply, pieces};
use crate::limits::{MAPPING, MAPPING_MEMORY};
use crate::{digest, status};

/// How blobs are cut here.
pub(crate) const FAST_CDC: proto::FastCdc2020Params =
    proto::FastCdc2020Params { avg_chunk_size_bytes: AVERAGE_CHUNK_SIZE, seed: CHUNKING_SEED };

pub(crate) async fn split_blob(mut call: Call) -> Result<Reply, Status> {
    let request: proto::SplitBlobRequest = call.message().await?;
    let scope = call.scope(&request.instance_name)?;
    let function = digest::function(request.digest_function)?;
    let blob = digest::required(function, request.blob_digest.as_ref(), "the blob's digest")?;
    let held = hold(&call, &scope)?;
    let (chunk_digests, chunking) = chunks(&call.cache, &scope, &blob).await?;
    Ok(Reply::message(&proto::SplitBlobResponse { chunk_digests, chunking_function: chunking as i32 }).holding(held))
}

pub(crate) async fn get_chunk_mapping(mut call: Call) -> Result<Reply, Status> {
    let request: proto::GetChunkMappingRequest = call.message().await?;
    let scope = call.scope(&request.instance_name)?;
    let function = said(request.digest_function)?;
    let blob = digest::required(Some(function), request.blob_digest.as_ref(), "the blob's digest")?;
    let held = hold(&call, &scope)?;
    let (chunks, chunking) = chunks(&call.cache, &scope, &blob).await?;
    let mut chunking_function = chunking as i32;
    let responses = chunks.chunks(MAPPING).map(|chunks| {
        let chunk_digests = chunks.to_vec();
        // Only the first one says it.
        let chunking_function = std::mem::take(&mut chunking_function);
        Ok(pieces(&proto::GetChunkMappingResponse { chunk_digests, chunking_function }))
    });
    let responses: Vec<_> = responses.collect();
    Ok(Reply::stream(stream::iter(responses)).holding(held))
}

/// Memory for the longest mapping.
fn hold(call: &Call, scope: &Scope) -> Result<Held, Status> {
    call.memory
        .hold_for(&scope.tenant, Class::Request, MAPPING_MEMORY)
        .ok_or_else(|| status::overload("too many chunk mappings are read"))
}

/// The chunks of a blob that is there, and how it was cut into them.
async fn chunks(cache: &Cache, scope: &Scope, blob: &Digest) -> Result<(Vec<proto::Digest>, Chunking), Status> {
    let chunks = cache.chunk(scope, blob).await.map_err(|error| status::of(&error))?.ok_or_else(status::miss)?;
    Ok((chunks.digests.iter().map(digest::to_message).collect(), chunks.chunking))
}

/// How a client says that it cut a blob. A way that is not known here is kept as some way: it is not looked at.
fn chunking(said: i32) -> Chunking {
    Chunking::ALL.into_iter().find(|known| *known as i32 == said).unwrap_or(Chunking::Unknown)
}

pub(crate) async fn splice_blob(mut call: Call) -> Result<Reply, Status> {
    let request: proto::SpliceBlobRequest = call.message().await?;
    let scope = call.scope(&request.instance_name)?;
    let function = digest::function(request.digest_function)?;
    let blob = digest::required(function, request.blob_digest.as_ref(), "the blob's digest")?;
    let _held = hold(&call, &scope)?;
    let mut mapping = Mapping { blob, chunks: Vec::new(), chunking: chunking(request.chunking_function) };
    mapping.extend(&request.chunk_digests)?;
    let blob_digest = Some(mapping.register(&call.cache, &scope).await?);
    Ok(Reply::message(&proto::SpliceBlobResponse { blob_digest }))
}

pub(crate) async fn register_chunk_mapping(mut call: Call) -> Result<Reply, Status> {
    let first: Option<proto::RegisterChunkMappingRequest> = call.incoming.next_message().await?;
    let first = first.ok_or_else(|| Status::invalid_argument("nothing was said of the blob"))?;
    let scope = call.scope(&first.instance_name)?;
    let _held = hold(&call, &scope)?;
    let function = said(first.digest_function)?;
    let blob = digest::required(Some(function), first.blob_digest.as_ref(), "the blob's digest")?;
    let mut mapping = Mapping { blob, chunks: Vec::new(), chunking: chunking(first.chunking_function) };
    mapping.extend(&first.chunk_digests)?;
    // What later messages say of anything but chunks is not looked at.
    while let Some(next) = call.incoming.next_message::<proto::RegisterChunkMappingRequest>().await? {
        mapping.extend(&next.chunk_digests)?;
    }
    let blob_digest = Some(mapping.register(&call.cache, &scope).await?);
    Ok(Reply::message(&proto::RegisterChunkMappingResponse { blob_digest }))
}

/// The digest function, where it has to be said.
fn said(function: i32) -> Result<DigestFunction, Status> {
    digest::function(function)?.ok_or_else(|| Status::invalid_argument("the digest function has to be said"))
}

/// What a client says that a blob is made of.
struct Mapping {
    blob: Digest,
    chunks: Vec<Digest>,
    chunking: Chunking,
}

impl Mapping {
    fn extend(&mut self, chunks: &[proto::Digest]) -> Result<(), Status> {
        if self.chunks.len() + chunks.len() > MAX_PARTS {
            return Err(Status::invalid_argument(format!("a blob has at most {MAX_PARTS} chunks")));
        }
        for chunk in chunks {
            self.chunks.push(digest::required(Some(self.blob.function()), Some(chunk), "a chunk's digest")?);
        }
        Ok(())
    }

    async fn register(&self, cache: &Cache, scope: &Scope) -> Result<proto::Digest, Status> {
        let stored = cache.splice(scope, &self.blob, &self.chunks, self.chunking).await;
        stored.map_err(|error| status::of(&error))?;
        Ok(digest::to_message(&self.blob))
    }
}
