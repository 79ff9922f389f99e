//! RegisterChunkMapping, and SpliceBlob, its deprecated unary form.
//! Not here: what they refuse (`splice_errors`).

use bazel_remote_apis::build::bazel::remote::execution::v2::chunking_function::Value as Chunking;
use bazel_remote_apis::build::bazel::remote::execution::v2::compressor::Value as Compressor;
use bazel_remote_apis::build::bazel::remote::execution::v2::{
    ActionResult, Digest, RegisterChunkMappingRequest, SpliceBlobRequest,
};
use tonic::{Code, Status};

use super::split;
use super::zstd_write::{compressed, decompressed};
use crate::calls::{messages, upload};
use crate::check::{EXECUTION, Group, Suite};
use crate::client::Server;
use crate::digest::{Blob, length};
use crate::expect::{Outcome, ensure, equal, same_bytes};
use crate::offers::Need;

/// Which of the two forms is called.
#[derive(Clone, Copy)]
pub(super) enum Form {
    Streamed,
    Unary,
}

/// Both, with what a server that has them offers.
pub(super) const FORMS: [(&str, Need, Form); 2] =
    [("RegisterChunkMapping", Need::ChunkRegistration, Form::Streamed), ("SpliceBlob", Need::Splice, Form::Unary)];

/// Chunks of a mapping whose digests take more than a message of 4 MiB, and those in one message of it.
const MANY: usize = 62_000;
const IN_MESSAGE: usize = 20_000;

pub(super) fn register(suite: &mut Suite) {
    for (method, need, form) in FORMS {
        let mut group = suite.group(method, EXECUTION);
        both(group.needing(&[need]), form);
        compressed_chunks(&mut group, need, form);
    }
    let mut group = suite.group("RegisterChunkMapping", EXECUTION);
    group
        .needing(&[Need::ChunkRegistration])
        .check(
            "Chunks may come in several messages, some of them empty",
            "RegisterChunkMappingRequest.chunk_digests: may be split; an empty list is allowed",
            several,
        )
        .check(
            "What later messages say of the blob is ignored",
            "RegisterChunkMapping: values from the first request, ignored on subsequent ones",
            later_ignored,
        );
    group
        .needing(&[Need::ChunkRegistration, Need::ChunkMapping])
        .check("What was registered has a mapping", "RegisterChunkMapping: complementary to GetChunkMapping", mapped)
        .check(
            "A mapping longer than a message is taken and given",
            "GetChunkMapping: streamed to avoid exceeding message size limits",
            long,
        );
}

/// The checks of both forms.
fn both(group: &mut Group<'_>, form: Form) {
    let register = "RegisterChunkMapping: how chunks compose the blob";
    group
        .check("A blob that was spliced is read whole", register, move |server| whole(server, form))
        .check("A blob that was spliced is read from an offset to a limit", register, move |server| {
            ranges(server, form)
        })
        .check("A blob that was spliced is read in a batch", register, move |server| batch(server, form))
        .check("A blob that was spliced is not missing", register, move |server| present(server, form))
        .check(
            "The answer is the digest of the blob",
            "RegisterChunkMappingResponse.blob_digest: the computed digest",
            move |server| answer(server, form),
        )
        .check("A chunk may be there twice", register, move |server| twice(server, form))
        .check("A blob of one chunk is spliced", register, move |server| one(server, form))
        .check("The empty blob may be a chunk", register, move |server| empty_chunk(server, form))
        .check("A blob that was spliced may be a chunk", register, move |server| nested(server, form))
        .check("An action result may name a blob that was spliced", register, move |server| named(server, form));
}

/// The checks of both forms that need zstd.
fn compressed_chunks(group: &mut Group<'_>, need: Need, form: Form) {
    let every = "ContentAddressableStorage: every blob in each of the formats, and uncompressed";
    group
        .needing(&[need, Need::Zstd])
        .check("A blob that was spliced is read as zstd", every, move |server| as_zstd(server, form))
        .check("Chunks that came as zstd are spliced", every, move |server| of_zstd(server, form));
}

/// Blobs that were uploaded, and what they are together.
pub(super) async fn chunks(server: &Server, lengths: &[usize]) -> Outcome<(Blob, Vec<Digest>)> {
    let mut whole = Vec::new();
    let mut digests = Vec::new();
    for length in lengths {
        let chunk = server.random(*length);
        server.put(&chunk).await?;
        whole.extend_from_slice(&chunk.data);
        digests.push(chunk.digest);
    }
    Ok((Blob::new(server.function(), whole), digests))
}

pub(super) fn first(server: &Server, blob: &Digest, chunks: &[Digest]) -> RegisterChunkMappingRequest {
    RegisterChunkMappingRequest {
        instance_name: server.instance_name(),
        blob_digest: Some(blob.clone()),
        chunk_digests: chunks.to_vec(),
        digest_function: server.function().value() as i32,
        chunking_function: Chunking::Unknown as i32,
    }
}

fn next(chunks: &[Digest]) -> RegisterChunkMappingRequest {
    RegisterChunkMappingRequest { chunk_digests: chunks.to_vec(), ..RegisterChunkMappingRequest::default() }
}

pub(super) async fn register_all(
    server: &Server,
    messages: Vec<RegisterChunkMappingRequest>,
) -> Result<Option<Digest>, Status> {
    let answer = server.cas().register_chunk_mapping(futures_util::stream::iter(messages)).await?;
    Ok(answer.into_inner().blob_digest)
}

pub(super) async fn splice(
    server: &Server,
    form: Form,
    blob: &Digest,
    chunks: &[Digest],
) -> Result<Option<Digest>, Status> {
    match form {
        Form::Streamed => register_all(server, vec![first(server, blob, chunks)]).await,
        Form::Unary => {
            let request = SpliceBlobRequest {
                instance_name: server.instance_name(),
                blob_digest: Some(blob.clone()),
                chunk_digests: chunks.to_vec(),
                digest_function: server.function().field(),
                chunking_function: Chunking::Unknown as i32,
            };
            Ok(server.cas().splice_blob(request).await?.into_inner().blob_digest)
        }
    }
}

/// A blob that was spliced from chunks of these lengths.
async fn spliced(server: &Server, form: Form, lengths: &[usize]) -> Outcome<Blob> {
    let (blob, digests) = chunks(server, lengths).await?;
    splice(server, form, &blob.digest, &digests).await?;
    Ok(blob)
}

async fn whole(server: Server, form: Form) -> Outcome {
    let blob = spliced(&server, form, &[1, 1000, 600_000, 70_000]).await?;
    same_bytes("the blob", &server.get(&blob).await?, &blob.data)
}

async fn ranges(server: Server, form: Form) -> Outcome {
    let blob = spliced(&server, form, &[1000, 70_000, 1000]).await?;
    for (offset, limit) in [(0, 999), (999, 2), (1000, 70_000), (500, 71_000), (71_999, 1), (72_000, 0)] {
        let read = server.read(&server.name(&blob), offset, limit).await?;
        let from = usize::try_from(offset).unwrap_or(0);
        let length = usize::try_from(limit).unwrap_or(0);
        same_bytes(&format!("{limit} bytes from {offset} on"), &read, &blob.data[from..from + length])?;
    }
    Ok(())
}

async fn batch(server: Server, form: Form) -> Outcome {
    let blob = spliced(&server, form, &[1000, 2000]).await?;
    let responses = server.batch_read(std::slice::from_ref(&blob.digest), &[Compressor::Identity]).await?;
    same_bytes("the blob", &responses.into_iter().next().unwrap_or_default().data, &blob.data)
}

async fn present(server: Server, form: Form) -> Outcome {
    let blob = spliced(&server, form, &[1000, 2000]).await?;
    ensure(!server.is_missing(&blob).await?, || "it is missing".to_owned())
}

async fn answer(server: Server, form: Form) -> Outcome {
    let (blob, digests) = chunks(&server, &[1000, 2000]).await?;
    equal("the digest", &splice(&server, form, &blob.digest, &digests).await?, &Some(blob.digest))
}

async fn twice(server: Server, form: Form) -> Outcome {
    let chunk = server.random(1000);
    server.put(&chunk).await?;
    let blob = Blob::new(server.function(), [chunk.data.clone(), chunk.data].concat());
    splice(&server, form, &blob.digest, &[chunk.digest.clone(), chunk.digest]).await?;
    same_bytes("the blob", &server.get(&blob).await?, &blob.data)
}

async fn one(server: Server, form: Form) -> Outcome {
    let (blob, digests) = chunks(&server, &[1000]).await?;
    match splice(&server, form, &blob.digest, &digests).await {
        Err(status) if status.code() == Code::AlreadyExists => Ok(()),
        answer => answer.map(drop).map_err(Into::into),
    }
}

async fn empty_chunk(server: Server, form: Form) -> Outcome {
    let (blob, mut digests) = chunks(&server, &[1000, 2000]).await?;
    digests.insert(1, server.random(0).digest);
    splice(&server, form, &blob.digest, &digests).await?;
    same_bytes("the blob", &server.get(&blob).await?, &blob.data)
}

async fn nested(server: Server, form: Form) -> Outcome {
    let (front, back) = (spliced(&server, form, &[1000, 2000]).await?, spliced(&server, form, &[3000, 10]).await?);
    let blob = Blob::new(server.function(), [front.data, back.data].concat());
    splice(&server, form, &blob.digest, &[front.digest, back.digest]).await?;
    same_bytes("the blob", &server.get(&blob).await?, &blob.data)?;
    same_bytes("its middle", &server.read(&server.name(&blob), 2_500, 1_000).await?, &blob.data[2_500..3_500])
}

async fn named(server: Server, form: Form) -> Outcome {
    let (action, blob) = (server.random(10).digest, spliced(&server, form, &[1000, 2000]).await?);
    let result = ActionResult { stdout_digest: Some(blob.digest), ..ActionResult::default() };
    match server.update_action_result(&action, result.clone()).await {
        Err(_) if !server.offers.has(Need::Updates) => return Ok(()),
        updated => drop(updated?),
    }
    equal("the result", &server.action_result(&action).await?, &result)
}

async fn as_zstd(server: Server, form: Form) -> Outcome {
    let blob = spliced(&server, form, &[1000, 70_000, 10]).await?;
    for offset in [0, 999, 71_005] {
        let read = server.read(&server.zstd_name(&blob), length(&blob.data[..offset]), 0).await?;
        same_bytes(&format!("what is from {offset} on"), &decompressed(&read)?, &blob.data[offset..])?;
    }
    Ok(())
}

async fn of_zstd(server: Server, form: Form) -> Outcome {
    let chunks = [server.text(1000), server.text(70_000)];
    for chunk in &chunks {
        let name = server.zstd_upload_name_of(&chunk.digest);
        server.write(messages(&name, &compressed(&chunk.data), 1000)).await?;
    }
    let digests = chunks.each_ref().map(|chunk| chunk.digest.clone());
    let blob = Blob::new(server.function(), chunks.map(|chunk| chunk.data).concat());
    splice(&server, form, &blob.digest, &digests).await?;
    same_bytes("the blob", &server.get(&blob).await?, &blob.data)
}

async fn several(server: Server) -> Outcome {
    let (blob, digests) = chunks(&server, &[1000, 2000, 3000]).await?;
    let messages = vec![first(&server, &blob.digest, &[]), next(&digests[..1]), next(&[]), next(&digests[1..])];
    register_all(&server, messages).await?;
    same_bytes("the blob", &server.get(&blob).await?, &blob.data)
}

async fn later_ignored(server: Server) -> Outcome {
    let (blob, digests) = chunks(&server, &[1000, 2000]).await?;
    let other = first(&server, &server.random(10).digest, &digests[1..]);
    let answer = register_all(&server, vec![first(&server, &blob.digest, &digests[..1]), other]).await?;
    equal("the digest", &answer, &Some(blob.digest.clone()))?;
    same_bytes("the blob", &server.get(&blob).await?, &blob.data)
}

async fn mapped(server: Server) -> Outcome {
    let blob = spliced(&server, Form::Streamed, &[1000, 600_000, 70_000]).await?;
    let mapping = split::streamed(&server, &blob.digest, Chunking::Unknown).await?;
    split::is_whole(&server, &mapping.chunks, &blob).await
}

async fn long(server: Server) -> Outcome {
    let bytes: Vec<Blob> = (0..=255).map(|byte| Blob::new(server.function(), vec![byte])).collect();
    server.batch_update(bytes.iter().map(upload).collect()).await?;
    let blob = server.random(MANY);
    let digests: Vec<Digest> = blob.data.iter().map(|byte| bytes[usize::from(*byte)].digest.clone()).collect();
    let parts = digests.chunks(IN_MESSAGE).map(next);
    register_all(&server, [first(&server, &blob.digest, &[])].into_iter().chain(parts).collect()).await?;
    same_bytes("the blob", &server.get(&blob).await?, &blob.data)?;
    let mapping = split::streamed(&server, &blob.digest, Chunking::Unknown).await?;
    let length: i64 = mapping.chunks.iter().map(|chunk| chunk.size_bytes).sum();
    equal("the length of all chunks", &length, &blob.digest.size_bytes)
}
