//! `CASDBService`: objects in, ids out, and back. `Put` and `Get` are of objects, `Save` and `Load` of their blobs alone.
//! What goes out is read while it is sent, whatever its length; what comes in is one message, which is gathered.

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use kura_cache::{ArtifactKey, Attributes, Digest, DigestFunction, Pieces, Scope, Verifier};
use kura_http::Class;
use prost::Message;
use tonic::Status;

use super::NO_INSTANCE;
use super::message::{GetRequest, GetResponse, Id, NOT_FOUND, PutRequest, PutResponse, SUCCESS};
use super::object::{self, Encoded, ID};
use crate::call::Call;
use crate::grpc::{PREFIX, Reply, prefix};
use crate::limits::{DOWNLOAD_MEMORY, HASHED_AT_ONCE, MAX_OBJECT_MESSAGE};
use crate::status;

/// Field 3 of a response, the object, of a length that follows.
const DATA: u8 = 3 << 3 | 2;

pub(crate) async fn put(call: Call) -> Result<Reply, Status> {
    store(call, true).await
}

pub(crate) async fn save(call: Call) -> Result<Reply, Status> {
    store(call, false).await
}

async fn store(mut call: Call, with_references: bool) -> Result<Reply, Status> {
    call.incoming.take_up_to(MAX_OBJECT_MESSAGE);
    let request: PutRequest = call.message().await?;
    let scope = call.scope(NO_INSTANCE)?;
    let mut object = request.data.ok_or_else(|| Status::invalid_argument("the object is missing"))?;
    if !with_references {
        // A blob has none: what stands there means nothing.
        object.references.clear();
    }
    let encoded = Encoded::new(object)?;
    let mut verifier = Verifier::new(DigestFunction::Sha256);
    for piece in pieces(&encoded) {
        verifier.update(&piece);
        call.runtime.yield_now().await;
    }
    let digest = verifier.finish();
    write(&call, &scope, &digest, &encoded).await.map_err(|error| status::of(&error))?;
    Ok(Reply::message(&PutResponse { cas_id: Some(Id { id: Bytes::copy_from_slice(digest.hash()) }) }))
}

async fn write(call: &Call, scope: &Scope, digest: &Digest, encoded: &Encoded) -> Result<(), kura_cache::Error> {
    let key = ArtifactKey::blob(scope, digest)?;
    let mut upload = call.cache.put(&key, Attributes::default(), Some(encoded.len())).await?;
    if upload.known().is_some() {
        return Ok(());
    }
    for piece in pieces(encoded) {
        upload.write(piece).await?;
        call.runtime.yield_now().await;
    }
    upload.commit().await.map(drop)
}

/// No longer than may be hashed before other tasks run.
fn pieces(encoded: &Encoded) -> impl Iterator<Item = Bytes> + Send + '_ {
    encoded.0.iter().flat_map(|whole| {
        (0..whole.len()).step_by(HASHED_AT_ONCE).map(|at| whole.slice(at..whole.len().min(at + HASHED_AT_ONCE)))
    })
}

pub(crate) async fn get(call: Call) -> Result<Reply, Status> {
    read(call, true).await
}

pub(crate) async fn load(call: Call) -> Result<Reply, Status> {
    read(call, false).await
}

async fn read(mut call: Call, with_references: bool) -> Result<Reply, Status> {
    let request: GetRequest = call.message().await?;
    let id = request.cas_id.map(|id| id.id).filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| Status::invalid_argument("the id is missing"))?;
    let scope = call.scope(NO_INSTANCE)?;
    match find(&call, &scope, &id).await.map_err(|error| status::of_read(&error)) {
        Ok(Some(found)) => {
            let length = if with_references { found.length } else { found.blob_end };
            let held = call.memory.hold(Class::Answer, length.min(DOWNLOAD_MEMORY));
            let held = held.ok_or_else(|| status::overload("too many answers are under way"))?;
            Ok(send(found, length)?.holding(held))
        }
        Err(status) if status.code() != tonic::Code::NotFound => Err(status),
        _ => Ok(Reply::message(&GetResponse { outcome: NOT_FOUND })),
    }
}

/// An object that is there.
struct Found {
    length: u64,
    blob_end: u64,
    first: Bytes,
    rest: Pieces,
}

/// Ids of another length were given by another server: there is no such object here.
async fn find(call: &Call, scope: &Scope, id: &[u8]) -> Result<Option<Found>, kura_cache::Error> {
    if id.len() != ID {
        return Ok(None);
    }
    let digest = Digest::of_hash(DigestFunction::Sha256, id).map_err(kura_cache::InvalidKey::Digest)?;
    let Some(found) = call.cache.get(&ArtifactKey::blob(scope, &digest)?).await? else { return Ok(None) };
    let (length, mut rest) = (found.length, found.body.into_pieces());
    let first = rest.next().await?.unwrap_or_default();
    Ok(object::blob_end(&first, length).map(|blob_end| Found { length, blob_end, first, rest }))
}

/// The first `length` bytes of an object as a response.
fn send(found: Found, length: u64) -> Result<Reply, Status> {
    let too_long = || Status::out_of_range("the object is longer than a message may be");
    let framing = u32::try_from(length).map_err(|_| too_long())?;
    let success = GetResponse { outcome: SUCCESS };
    let before = success.encoded_len() + 1 + prost::length_delimiter_len(framing as usize);
    let whole = u32::try_from(before as u64 + length).map_err(|_| too_long())?;
    let mut head = BytesMut::with_capacity(PREFIX + before);
    head.put_slice(&prefix(whole as usize));
    // Growing is all that could fail, and it cannot.
    let _ = success.encode(&mut head);
    head.put_u8(DATA);
    let _ = prost::encode_length_delimiter(framing as usize, &mut head);
    let head = head.freeze();
    let mut first = found.first;
    first.truncate(usize::try_from(length).unwrap_or(usize::MAX));
    let left = length - first.len() as u64;
    if left == 0 {
        return Ok(Reply::pieces([head, first]));
    }
    let rest = stream::try_unfold((Some([head, first]), found.rest, left), |(ready, mut rest, left)| async move {
        if let Some(ready) = ready {
            return Ok(Some((ready, (None, rest, left))));
        }
        if left == 0 {
            return Ok(None);
        }
        let piece = rest.next().await.map_err(|error| status::broken_off(&error))?;
        let mut piece = piece.ok_or_else(|| Status::data_loss("the object is shorter than it was"))?;
        piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        let left = left - piece.len() as u64;
        Ok(Some(([piece, Bytes::new()], (None, rest, left))))
    });
    Ok(Reply::stream(rest))
}
