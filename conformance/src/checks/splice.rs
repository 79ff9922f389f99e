//! RegisterChunkMapping, and SpliceBlob, its deprecated unary form.

use bazel_remote_apis::build::bazel::remote::execution::v2::chunking_function::Value as Chunking;
use bazel_remote_apis::build::bazel::remote::execution::v2::compressor::Value as Compressor;
use bazel_remote_apis::build::bazel::remote::execution::v2::{Digest, RegisterChunkMappingRequest, SpliceBlobRequest};
use tonic::{Code, Status};

use super::{malformed, split};
use crate::calls::upload;
use crate::check::{EXECUTION, Group, Suite};
use crate::client::Server;
use crate::digest::Blob;
use crate::expect::{Outcome, ensure, equal, refused, same_bytes};
use crate::offers::Need;

/// Which of the two forms is called.
#[derive(Clone, Copy)]
enum Form {
    Streamed,
    Unary,
}

/// Chunks of a mapping whose digests take more than a message of 4 MiB, and those in one message of it.
const MANY: usize = 70_000;
const IN_MESSAGE: usize = 20_000;

pub(super) fn register(suite: &mut Suite) {
    let forms =
        [("RegisterChunkMapping", Need::ChunkRegistration, Form::Streamed), ("SpliceBlob", Need::Splice, Form::Unary)];
    for (method, need, form) in forms {
        let mut group = suite.group(method, EXECUTION);
        both(group.needing(&[need]), form);
    }
    let sequence = "RegisterChunkMapping, errors: INVALID_ARGUMENT for an invalid sequence of requests";
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
        )
        .check("No message at all is INVALID_ARGUMENT", sequence, no_message)
        .check("A first message without a blob digest is INVALID_ARGUMENT", sequence, no_digest);
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
    let exists = "RegisterChunkMapping: a no-op if the blob is in the CAS, or ALREADY_EXISTS";
    let mismatch = "RegisterChunkMapping, errors: INVALID_ARGUMENT if the digest of the spliced blob differs";
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
        .check("A blob that exists is OK or ALREADY_EXISTS", exists, move |server| again(server, form))
        .check(
            "A chunk that is absent is NOT_FOUND, and the blob is not there",
            "RegisterChunkMapping, errors: NOT_FOUND",
            move |server| absent_chunk(server, form),
        )
        .check("Chunks of another blob are INVALID_ARGUMENT, and the blob is not there", mismatch, move |server| {
            other_chunks(server, form)
        })
        .check("Chunks in another order are INVALID_ARGUMENT", mismatch, move |server| other_order(server, form))
        .check("Chunks of another length are INVALID_ARGUMENT", mismatch, move |server| other_length(server, form))
        .check("No chunks for a blob that has bytes are INVALID_ARGUMENT", mismatch, move |server| {
            no_chunks(server, form)
        })
        .check(
            "A malformed digest is INVALID_ARGUMENT",
            "Digest.hash: lowercase hexadecimal of the function's length",
            move |server| malformed_digest(server, form),
        );
}

/// Blobs that were uploaded, and what they are together.
async fn chunks(server: &Server, lengths: &[usize]) -> Outcome<(Blob, Vec<Digest>)> {
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

fn first(server: &Server, blob: &Digest, chunks: &[Digest]) -> RegisterChunkMappingRequest {
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

async fn register_all(server: &Server, messages: Vec<RegisterChunkMappingRequest>) -> Result<Option<Digest>, Status> {
    let answer = server.cas().register_chunk_mapping(futures_util::stream::iter(messages)).await?;
    Ok(answer.into_inner().blob_digest)
}

async fn splice(server: &Server, form: Form, blob: &Digest, chunks: &[Digest]) -> Result<Option<Digest>, Status> {
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

/// Refused with one of `codes`, and the blob is not there.
async fn not_spliced(server: &Server, form: Form, blob: &Blob, chunks: &[Digest], codes: &[Code]) -> Outcome {
    refused(splice(server, form, &blob.digest, chunks).await, codes)?;
    ensure(server.is_missing(blob).await?, || "the blob is there".to_owned())
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

async fn again(server: Server, form: Form) -> Outcome {
    let (blob, digests) = chunks(&server, &[1000, 2000]).await?;
    server.put(&blob).await?;
    match splice(&server, form, &blob.digest, &digests).await {
        Err(status) if status.code() == Code::AlreadyExists => Ok(()),
        answer => answer.map(drop).map_err(Into::into),
    }
}

async fn absent_chunk(server: Server, form: Form) -> Outcome {
    let (here, mut digests) = chunks(&server, &[1000]).await?;
    let absent = server.random(1000);
    digests.push(absent.digest);
    let blob = Blob::new(server.function(), [here.data, absent.data].concat());
    not_spliced(&server, form, &blob, &digests, &[Code::NotFound]).await
}

async fn other_chunks(server: Server, form: Form) -> Outcome {
    let (_, digests) = chunks(&server, &[1000, 2000]).await?;
    not_spliced(&server, form, &server.random(3000), &digests, &[Code::InvalidArgument]).await
}

async fn other_order(server: Server, form: Form) -> Outcome {
    let (blob, mut digests) = chunks(&server, &[1000, 1000]).await?;
    digests.reverse();
    not_spliced(&server, form, &blob, &digests, &[Code::InvalidArgument]).await
}

async fn other_length(server: Server, form: Form) -> Outcome {
    let (blob, digests) = chunks(&server, &[1000, 1000, 1000]).await?;
    not_spliced(&server, form, &blob, &digests[..2], &[Code::InvalidArgument]).await
}

async fn no_chunks(server: Server, form: Form) -> Outcome {
    not_spliced(&server, form, &server.random(1000), &[], &[Code::InvalidArgument]).await
}

async fn malformed_digest(server: Server, form: Form) -> Outcome {
    let (blob, digests) = chunks(&server, &[1000, 1000]).await?;
    malformed::refused_by(&server, async |digest| splice(&server, form, &digest, &digests).await).await?;
    malformed::refused_by(&server, async |digest| splice(&server, form, &blob.digest, &[digest]).await).await
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

async fn no_message(server: Server) -> Outcome {
    refused(register_all(&server, Vec::new()).await, &[Code::InvalidArgument])
}

async fn no_digest(server: Server) -> Outcome {
    let (blob, digests) = chunks(&server, &[1000, 2000]).await?;
    let message = RegisterChunkMappingRequest { blob_digest: None, ..first(&server, &blob.digest, &digests) };
    refused(register_all(&server, vec![message]).await, &[Code::InvalidArgument])
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
