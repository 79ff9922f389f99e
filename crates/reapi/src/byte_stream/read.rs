//! `Read`: a blob or a range of it, in messages of a piece each. A piece goes out as it was read; only a short one is copied, behind its head.

use bazel_remote_apis::google::bytestream::ReadRequest;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{TryStreamExt, stream};
use kura_cache::{ArtifactKey, Body, Compression, Error, Form, Tenant};
use kura_http::Class;
use tonic::Status;

use crate::call::Call;
use crate::grpc::{PREFIX, Pieces, Reply, prefix};
use crate::limits::DOWNLOAD_MEMORY;
use crate::resource::Resource;
use crate::status;

/// `ReadResponse.data` as it stands in front of its bytes: number 10, bytes.
const DATA: u8 = 10 << 3 | 2;

/// Up to this many bytes are copied, so that they leave in one frame with their head.
const COPIED: usize = 16 * 1024;

pub(crate) async fn read(mut call: Call) -> Result<Reply, Status> {
    let request: ReadRequest = call.message().await?;
    let resource = Resource::to_read(&call.head.access, &request.resource_name)?;
    let offset = u64::try_from(request.read_offset).map_err(|_| Status::out_of_range("the offset is negative"))?;
    let limit = u64::try_from(request.read_limit).map_err(|_| Status::invalid_argument("the limit is negative"))?;
    let key = ArtifactKey::blob(&resource.scope, &resource.digest).map_err(status::of_key)?;
    let form = match resource.compression {
        Compression::Identity => Form::Identity,
        Compression::Zstd if limit == 0 => Form::Zstd { from: offset },
        Compression::Zstd => return Err(Status::invalid_argument("what is read compressed is read to its end")),
    };
    let found = call.cache.get_as(&key, form).await;
    let found = found.map_err(|error| status::of_read(&error))?.ok_or_else(status::miss)?;
    if offset > found.length {
        return Err(Status::out_of_range(format!("the blob has {} bytes", found.length)));
    }
    if resource.compression == Compression::Zstd {
        return send(&call, &resource.scope.tenant, found.body);
    }
    let end = if limit == 0 { found.length } else { found.length.min(offset.saturating_add(limit)) };
    send(&call, &resource.scope.tenant, found.body.select(offset..end))
}

/// A body as messages, accounted for in memory.
fn send(call: &Call, tenant: &Tenant, body: Body) -> Result<Reply, Status> {
    let hold = |bytes| {
        call.memory
            .hold_for(tenant, Class::Answer, bytes)
            .ok_or_else(|| status::overload("too many answers are under way"))
    };
    match body {
        Body::Whole(bytes) if bytes.is_empty() => Ok(Reply::empty()),
        Body::Whole(bytes) => {
            let held = hold(bytes.len() as u64)?;
            Ok(Reply::pieces(response(&bytes)).holding(held))
        }
        Body::Pieces(body) => {
            let held = hold(body.remaining().min(DOWNLOAD_MEMORY))?;
            let pieces = stream::try_unfold(body, |mut body| async {
                let piece = body.next().await?;
                Ok(piece.map(|piece| (piece, body)))
            });
            let broken_off = |error: Error| status::broken_off(&error);
            let messages = pieces.map_ok(|piece| response(&piece)).map_err(broken_off);
            Ok(Reply::stream(messages).read_as_sent().holding(held))
        }
    }
}

/// `ReadResponse`.
fn response(data: &Bytes) -> Pieces {
    let length = 1 + prost::length_delimiter_len(data.len()) + data.len();
    let copied = if data.len() <= COPIED { data.len() } else { 0 };
    let mut head = BytesMut::with_capacity(PREFIX + length - data.len() + copied);
    head.put_slice(&prefix(length));
    head.put_u8(DATA);
    // Growing is all that could fail, and it cannot.
    let _ = prost::encode_length_delimiter(data.len(), &mut head);
    head.put_slice(&data[..copied]);
    [head.freeze(), data.slice(copied..)]
}

#[cfg(test)]
mod tests {
    use bazel_remote_apis::google::bytestream::ReadResponse;
    use prost::Message;

    use super::*;

    #[test]
    fn a_response_is_what_the_generated_type_reads() {
        for length in [1, 100, COPIED, COPIED + 1, 300_000] {
            let data: Bytes = (0..length).map(|at| at as u8).collect();
            let [head, rest] = response(&data);
            let framed = [head, rest].concat();
            assert_eq!(framed[..PREFIX], prefix(framed.len() - PREFIX));
            assert_eq!(ReadResponse::decode(&framed[PREFIX..]).unwrap().data, data);
        }
    }
}
