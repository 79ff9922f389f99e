//! RegisterChunkMapping and SpliceBlob: what is refused, and that nothing is kept of it.

use bazel_remote_apis::build::bazel::remote::execution::v2::{Digest, RegisterChunkMappingRequest};
use tonic::Code;

use super::malformed;
use super::splice::{FORMS, Form, chunks, first, register_all, splice};
use crate::check::{EXECUTION, Group, Suite};
use crate::client::Server;
use crate::digest::Blob;
use crate::expect::{Outcome, ensure, refused};
use crate::offers::Need;

pub(super) fn register(suite: &mut Suite) {
    for (method, need, form) in FORMS {
        let mut group = suite.group(method, EXECUTION);
        both(group.needing(&[need]), form);
    }
    let sequence = "RegisterChunkMapping, errors: INVALID_ARGUMENT for an invalid sequence of requests";
    suite
        .group("RegisterChunkMapping", EXECUTION)
        .needing(&[Need::ChunkRegistration])
        .check("No message at all is INVALID_ARGUMENT", sequence, no_message)
        .check("A first message without a blob digest is INVALID_ARGUMENT", sequence, no_digest);
}

/// The checks of both forms.
fn both(group: &mut Group<'_>, form: Form) {
    let exists = "RegisterChunkMapping: a no-op if the blob is in the CAS, or ALREADY_EXISTS";
    let mismatch = "RegisterChunkMapping, errors: INVALID_ARGUMENT if the digest of the spliced blob differs";
    group
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

/// Refused with one of `codes`, and the blob is not there.
async fn not_spliced(server: &Server, form: Form, blob: &Blob, chunks: &[Digest], codes: &[Code]) -> Outcome {
    refused(splice(server, form, &blob.digest, chunks).await, codes)?;
    ensure(server.is_missing(blob).await?, || "the blob is there".to_owned())
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

async fn no_message(server: Server) -> Outcome {
    refused(register_all(&server, Vec::new()).await, &[Code::InvalidArgument])
}

async fn no_digest(server: Server) -> Outcome {
    let (blob, digests) = chunks(&server, &[1000, 2000]).await?;
    let message = RegisterChunkMappingRequest { blob_digest: None, ..first(&server, &blob.digest, &digests) };
    refused(register_all(&server, vec![message]).await, &[Code::InvalidArgument])
}
