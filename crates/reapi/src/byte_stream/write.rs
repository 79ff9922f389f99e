//! `Write`: a blob goes from the frames that it comes in to its place in the store, and is there once the call is answered with its size.

use bazel_remote_apis::google::bytestream as proto;
use kura_cache::{ArtifactKey, Attributes, Compression, Upload};
use tonic::Status;

use super::write_request::{Data, WriteRequest};
use crate::call::Call;
use crate::grpc::{Incoming, Reply};
use crate::limits::UPLOAD_MEMORY;
use crate::resource::Resource;
use crate::status;

pub(crate) async fn write(mut call: Call) -> Result<Reply, Status> {
    let incoming = &mut call.incoming;
    let first = WriteRequest::next(incoming).await?;
    let first = first.ok_or_else(|| Status::internal("the call came without a message"))?;
    let name = first.name.clone();
    let resource = parse(&name)?;
    let size = resource.digest.size().unwrap_or_default();
    let key = ArtifactKey::blob(&resource.scope, &resource.digest).map_err(status::of_key)?;
    incoming.hold(size.min(UPLOAD_MEMORY))?;
    let upload = match resource.compression {
        Compression::Identity => call.cache.put(&key, Attributes::default(), Some(size)).await,
        Compression::Zstd => call.cache.put_zstd(&key, Attributes::default(), None).await,
    };
    let mut upload = upload.map_err(|error| status::of(&error))?;
    if upload.known().is_some() {
        return Ok(committed(complete(&resource)));
    }
    let mut received = 0;
    let mut next = Some(first);
    while let Some(request) = next {
        if request.offset.cast_unsigned() != received {
            return Err(Status::invalid_argument(format!(
                "the offset has to be {received}, and is {}",
                request.offset
            )));
        }
        if !request.name.is_empty() && request.name != name {
            return Err(Status::invalid_argument("an upload has one resource name"));
        }
        received += store(incoming, &mut upload, request.data).await?;
        if request.finish {
            incoming.ended()?;
            upload.commit().await.map_err(|error| status::of(&error))?;
            return Ok(committed(received.cast_signed()));
        }
        next = WriteRequest::next(incoming).await?;
    }
    Ok(committed(received.cast_signed()))
}

fn parse(name: &[u8]) -> Result<Resource, Status> {
    let name = std::str::from_utf8(name).map_err(|_| Status::invalid_argument("the resource name is no UTF-8"))?;
    Resource::to_write(name)
}

/// Stores the data of one message as it comes; how much it was.
async fn store(incoming: &mut Incoming, upload: &mut Upload, data: Data) -> Result<u64, Status> {
    let (length, mut left) = match data {
        Data::Coming(length) => (length, length),
        Data::Here(data) => {
            let length = data.len();
            upload.write(data).await.map_err(|error| status::of(&error))?;
            (length, 0)
        }
    };
    while left > 0 {
        let piece = incoming.some(left).await?;
        left -= piece.len();
        upload.write(piece).await.map_err(|error| status::of(&error))?;
    }
    Ok(length as u64)
}

/// What stands for all of a resource that is there: nobody knows how long it is compressed.
fn complete(resource: &Resource) -> i64 {
    match resource.compression {
        Compression::Identity => resource.digest.size().unwrap_or_default().cast_signed(),
        Compression::Zstd => -1,
    }
}

fn committed(committed_size: i64) -> Reply {
    Reply::message(&proto::WriteResponse { committed_size })
}

pub(crate) async fn query_write_status(mut call: Call) -> Result<Reply, Status> {
    let request: proto::QueryWriteStatusRequest = call.message().await?;
    let resource = Resource::to_write(&request.resource_name)?;
    let key = ArtifactKey::blob(&resource.scope, &resource.digest).map_err(status::of_key)?;
    let present = call.cache.present(&key).await.map_err(|error| status::of_read(&error))?;
    let answer = match present {
        Some(_) => proto::QueryWriteStatusResponse { committed_size: complete(&resource), complete: true },
        None => proto::QueryWriteStatusResponse::default(),
    };
    Ok(Reply::message(&answer))
}
