//! GetChunkMapping, and SplitBlob, its deprecated unary form.

use bazel_remote_apis::build::bazel::remote::execution::v2::chunking_function::Value as Chunking;
use bazel_remote_apis::build::bazel::remote::execution::v2::{Digest, GetChunkMappingRequest, SplitBlobRequest};
use fastcdc::v2020::{FastCDC, Normalization};
use tonic::{Code, Status};

use super::malformed;
use crate::check::{EXECUTION, Suite};
use crate::client::Server;
use crate::digest::{Blob, Function};
use crate::expect::{Outcome, ensure, equal, refused, same_bytes};
use crate::offers::Need;

/// A blob that any chunker cuts.
const LENGTH: usize = 6 << 20;

/// Which of the two forms is called.
#[derive(Clone, Copy)]
enum Form {
    Streamed,
    Unary,
}

pub(super) fn register(suite: &mut Suite) {
    let forms = [("GetChunkMapping", Need::ChunkMapping, Form::Streamed), ("SplitBlob", Need::Split, Form::Unary)];
    for (method, need, form) in forms {
        let guarantees = "GetChunkMapping, guarantees: the chunks are in the CAS and concatenate to the blob";
        let mut group = suite.group(method, EXECUTION);
        group
            .needing(&[need])
            .check("The chunks of a blob are there, and are the blob", guarantees, move |server| large(server, form))
            .check("A small blob has chunks too, or no mapping", guarantees, move |server| small(server, form))
            .check(
                "The chunking function UNKNOWN is accepted",
                "ChunkingFunction.Value.UNKNOWN: servers must always accept it",
                move |server| unknown(server, form),
            )
            .check(
                "A chunking function that is not offered is replaced by another",
                "GetChunkMappingRequest.chunking_function: the server may use a different one",
                move |server| foreign(server, form),
            )
            .check("A blob that is absent is NOT_FOUND", "GetChunkMapping, errors: NOT_FOUND", move |server| {
                absent(server, form)
            })
            .check(
                "A malformed digest is INVALID_ARGUMENT",
                "Digest.hash: lowercase hexadecimal of the function's length",
                move |server| malformed(server, form),
            );
        group.needing(&[need, Need::FastCdc]).check(
            "Chunks of FAST_CDC_2020 are cut as its parameters say",
            "FastCdc2020Params: normalization 2, from a quarter to four times the average",
            move |server| fast_cdc(server, form),
        );
    }
    suite.group("GetChunkMapping", EXECUTION).needing(&[Need::ChunkMapping, Need::Digest(Function::Blake3)]).check(
        "Chunks are named by the digest function of the request",
        "GetChunkMappingResponse.chunk_digests: the same digest function as in the request",
        other_function,
    );
}

/// Chunks of a blob with another digest function than the usual one.
async fn other_function(server: Server) -> Outcome {
    let blob = Blob::random(Function::Blake3, LENGTH);
    server.put(&blob).await?;
    let request = GetChunkMappingRequest {
        instance_name: server.instance_name(),
        blob_digest: Some(blob.digest.clone()),
        digest_function: blob.function.value() as i32,
        chunking_function: Chunking::Unknown as i32,
    };
    let mut stream = server.cas().get_chunk_mapping(request).await?.into_inner();
    let mut whole = Vec::new();
    while let Some(part) = stream.message().await? {
        for digest in part.chunk_digests {
            let chunk = Blob { data: Vec::new(), digest, function: blob.function };
            whole.extend(server.get(&chunk).await?);
        }
    }
    same_bytes("the chunks together", &whole, &blob.data)
}

/// Chunks, and the function that the server says that it has cut them with.
pub(super) struct Mapping {
    pub(super) chunks: Vec<Digest>,
    function: i32,
}

async fn mapping(server: &Server, form: Form, digest: &Digest, chunking: Chunking) -> Result<Mapping, Status> {
    match form {
        Form::Streamed => streamed(server, digest, chunking).await,
        Form::Unary => {
            let request = SplitBlobRequest {
                instance_name: server.instance_name(),
                blob_digest: Some(digest.clone()),
                digest_function: server.function().field(),
                chunking_function: chunking as i32,
            };
            let answer = server.cas().split_blob(request).await?.into_inner();
            Ok(Mapping { chunks: answer.chunk_digests, function: answer.chunking_function })
        }
    }
}

/// GetChunkMapping, to its end.
pub(super) async fn streamed(server: &Server, digest: &Digest, chunking: Chunking) -> Result<Mapping, Status> {
    let request = GetChunkMappingRequest {
        instance_name: server.instance_name(),
        blob_digest: Some(digest.clone()),
        digest_function: server.function().value() as i32,
        chunking_function: chunking as i32,
    };
    let mut stream = server.cas().get_chunk_mapping(request).await?.into_inner();
    let mut mapping: Option<Mapping> = None;
    while let Some(part) = stream.message().await? {
        let first = Mapping { chunks: Vec::new(), function: part.chunking_function };
        mapping.get_or_insert(first).chunks.extend(part.chunk_digests);
    }
    mapping.ok_or_else(|| Status::internal("the stream has no message"))
}

/// The chunks are in the CAS, and concatenate to `blob`.
pub(super) async fn is_whole(server: &Server, chunks: &[Digest], blob: &Blob) -> Outcome {
    equal("the missing chunks", &server.find_missing(chunks).await?, &vec![])?;
    let mut whole = Vec::new();
    for chunk in chunks {
        whole.extend(server.read(&server.name_of(chunk), 0, 0).await?);
    }
    same_bytes("the chunks together", &whole, &blob.data)
}

async fn uploaded(server: &Server, length: usize) -> Outcome<Blob> {
    let blob = server.random(length);
    server.put(&blob).await?;
    Ok(blob)
}

/// The preferred function: one that the server offers.
fn preferred(server: &Server) -> Chunking {
    if server.offers.fast_cdc().is_some() { Chunking::FastCdc2020 } else { Chunking::Unknown }
}

async fn large(server: Server, form: Form) -> Outcome {
    let blob = uploaded(&server, LENGTH).await?;
    is_whole(&server, &mapping(&server, form, &blob.digest, preferred(&server)).await?.chunks, &blob).await
}

async fn small(server: Server, form: Form) -> Outcome {
    let blob = uploaded(&server, 100).await?;
    match mapping(&server, form, &blob.digest, preferred(&server)).await {
        Err(status) if status.code() == Code::NotFound => Ok(()),
        mapping => is_whole(&server, &mapping?.chunks, &blob).await,
    }
}

async fn unknown(server: Server, form: Form) -> Outcome {
    let blob = uploaded(&server, LENGTH).await?;
    is_whole(&server, &mapping(&server, form, &blob.digest, Chunking::Unknown).await?.chunks, &blob).await
}

async fn foreign(server: Server, form: Form) -> Outcome {
    let cache = &server.offers.cache;
    let foreign = if cache.rep_max_cdc_params.is_none() { Chunking::RepMaxCdc } else { Chunking::FastCdc2020 };
    let blob = uploaded(&server, LENGTH).await?;
    is_whole(&server, &mapping(&server, form, &blob.digest, foreign).await?.chunks, &blob).await
}

async fn absent(server: Server, form: Form) -> Outcome {
    let digest = server.random(LENGTH).digest;
    refused(mapping(&server, form, &digest, preferred(&server)).await, &[Code::NotFound])
}

async fn malformed(server: Server, form: Form) -> Outcome {
    let preferred = preferred(&server);
    malformed::refused_by(&server, async |digest| mapping(&server, form, &digest, preferred).await).await
}

async fn fast_cdc(server: Server, form: Form) -> Outcome {
    let params = server.offers.fast_cdc().unwrap_or_default();
    let average = usize::try_from(params.avg_chunk_size_bytes).unwrap_or(0);
    let blob = uploaded(&server, average * 16).await?;
    let mapping = mapping(&server, form, &blob.digest, Chunking::FastCdc2020).await?;
    if mapping.function != Chunking::FastCdc2020 as i32 {
        return Ok(());
    }
    let (level, seed) = (Normalization::Level2, u64::from(params.seed));
    let cuts = FastCDC::with_level_and_seed(&blob.data, average / 4, average, average * 4, level, seed);
    let sizes: Vec<i64> = cuts.map(|cut| i64::try_from(cut.length).unwrap_or(0)).collect();
    let got: Vec<i64> = mapping.chunks.iter().map(|chunk| chunk.size_bytes).collect();
    ensure(got.len() > 1, || "it was not cut".to_owned())?;
    equal("the sizes of the chunks", &got, &sizes)
}
