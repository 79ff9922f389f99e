//! `Write`: a blob goes from the frames that it comes in to its place in the store, and is there once the call is answered with its size.
//! An upload of several messages that breaks off is kept for a while (`unfinished`), unless it is compressed: it would have to go on at an offset of
//! its content, which no frame in the middle of which it stopped has.

use std::future::Future;

use bazel_remote_apis::google::bytestream as proto;
use bytes::Bytes;
use kura_cache::{ArtifactKey, Attributes, Cache, Compression, Error, Upload};
use kura_http::{Class, Held};
use tonic::Status;

use super::unfinished::{Carrying, Name};
use super::write_request::{Data, WriteRequest};
use crate::call::Call;
use crate::grpc::{Incoming, Reply};
use crate::limits::UPLOAD_MEMORY;
use crate::resource::Resource;
use crate::status;

pub(crate) async fn write(mut call: Call) -> Result<Reply, Status> {
    let first = WriteRequest::next(&mut call.incoming).await?;
    let first = first.ok_or_else(|| Status::invalid_argument("the call came without a message"))?;
    let resource = parse(&call, &first.name)?;
    let name = Name { scope: resource.scope.clone(), resource: first.name.clone() };
    let resumes = first.offset != 0 && resource.compression == Compression::Identity;
    let sink = match if resumes { call.unfinished.resume(&name).await? } else { None } {
        Some(carrying) => Sink::Carried(Box::new(carrying)),
        None => {
            let (upload, held) = begin(&call, &resource).await?;
            if upload.known().is_some() {
                return Ok(committed(complete(&resource)));
            }
            if first.finish || resource.compression == Compression::Zstd {
                Sink::Plain { upload, received: 0, _held: held }
            } else {
                Sink::Carried(Box::new(call.unfinished.begin(name.clone(), upload, held)))
            }
        }
    };
    let size = resource.digest.size().unwrap_or_default();
    let _announced = call.head.window.announce(size).ok_or_else(too_many)?;
    let wanted = sink.wanted();
    tokio::select! {
        biased;
        written = receive(&mut call.incoming, &name.resource, first, sink) => written.map(committed),
        () = wanted => Err(Status::aborted("another call goes on with this upload")),
    }
}

fn too_many() -> Status {
    status::overload("too many uploads are under way")
}

async fn begin(call: &Call, resource: &Resource) -> Result<(Box<Upload>, Held), Status> {
    let size = resource.digest.size().unwrap_or_default();
    let held = call.memory.hold_for(&resource.scope.tenant, Class::Upload, size.min(UPLOAD_MEMORY));
    let held = held.ok_or_else(too_many)?;
    let upload = put(&call.cache, resource, size).await.map_err(|error| status::of(&error))?;
    Ok((Box::new(upload), held))
}

async fn put(cache: &Cache, resource: &Resource, size: u64) -> Result<Upload, Error> {
    let key = ArtifactKey::blob(&resource.scope, &resource.digest)?;
    match resource.compression {
        Compression::Identity => cache.put(&key, Attributes::default(), Some(size)).await,
        Compression::Zstd => cache.put_zstd(&key, Attributes::default(), None).await,
    }
}

fn parse(call: &Call, name: &[u8]) -> Result<Resource, Status> {
    let name = std::str::from_utf8(name).map_err(|_| Status::invalid_argument("the resource name is no UTF-8"))?;
    Resource::to_write(&call.head.access, name)
}

/// Where an upload's bytes go.
enum Sink {
    /// Lost if it breaks off.
    Plain {
        upload: Box<Upload>,
        received: u64,
        _held: Held,
    },
    Carried(Box<Carrying>),
}

impl Sink {
    fn received(&self) -> u64 {
        match self {
            Sink::Plain { received, .. } => *received,
            Sink::Carried(carrying) => carrying.received(),
        }
    }

    async fn write(&mut self, piece: Bytes) -> Result<(), Status> {
        let written = match self {
            Sink::Plain { upload, received, .. } => {
                *received += piece.len() as u64;
                upload.write(piece).await
            }
            Sink::Carried(carrying) => carrying.write(piece).await,
        };
        written.map_err(|error| status::of(&error))
    }

    async fn commit(self) -> Result<(), Status> {
        let stored = match self {
            Sink::Plain { upload, .. } => upload.commit().await,
            Sink::Carried(carrying) => carrying.commit().await,
        };
        stored.map(drop).map_err(|error| status::of(&error))
    }

    /// Completes when another call wants the upload.
    fn wanted(&self) -> impl Future<Output = ()> + use<> {
        let wanted = match self {
            Sink::Plain { .. } => None,
            Sink::Carried(carrying) => Some(carrying.wanted()),
        };
        async move {
            match wanted {
                Some(wanted) => wanted.await,
                None => std::future::pending().await,
            }
        }
    }
}

/// Stores what comes in; the size that is there then.
async fn receive(incoming: &mut Incoming, name: &Bytes, first: WriteRequest, mut sink: Sink) -> Result<i64, Status> {
    let mut at = first.offset.cast_unsigned();
    // What a client was told had come may have grown since, while its broken call was read to the end.
    let mut known = sink.received().checked_sub(at).ok_or_else(|| wrong_offset(sink.received(), first.offset))?;
    let mut next = Some(first);
    while let Some(request) = next {
        if request.offset.cast_unsigned() != at {
            return Err(wrong_offset(at, request.offset));
        }
        if !request.name.is_empty() && request.name != *name {
            return Err(Status::invalid_argument("an upload has one resource name"));
        }
        at += store(incoming, &mut sink, request.data, &mut known).await?;
        if request.finish {
            incoming.ended()?;
            let received = sink.received().cast_signed();
            sink.commit().await?;
            return Ok(received);
        }
        next = WriteRequest::next(incoming).await?;
    }
    Ok(sink.received().cast_signed())
}

fn wrong_offset(right: u64, given: i64) -> Status {
    Status::invalid_argument(format!("the offset has to be {right}, and is {given}"))
}

/// Stores the data of one message as it comes, without its first `known` bytes, which are there. Returns how long it was.
async fn store(incoming: &mut Incoming, sink: &mut Sink, data: Data, known: &mut u64) -> Result<u64, Status> {
    let mut left = match data {
        Data::Here(data) => {
            let length = data.len() as u64;
            sink.write(behind(data, known)).await?;
            return Ok(length);
        }
        Data::Coming(length) => length,
    };
    let length = left as u64;
    while left > 0 {
        let piece = incoming.some(left).await?;
        left -= piece.len();
        sink.write(behind(piece, known)).await?;
    }
    Ok(length)
}

/// What is left of `data` without its first `known` bytes; what is passed over is known no more.
fn behind(mut data: Bytes, known: &mut u64) -> Bytes {
    let over = usize::try_from(*known).unwrap_or(usize::MAX).min(data.len());
    *known -= over as u64;
    data.split_off(over)
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
    let resource = Resource::to_write(&call.head.access, &request.resource_name)?;
    let key = ArtifactKey::blob(&resource.scope, &resource.digest).map_err(status::of_key)?;
    let present = call.cache.present(&key).await.map_err(|error| status::of_read(&error))?;
    let (committed_size, complete) = match present {
        Some(_) => (complete(&resource), true),
        // Of an upload that is not known, nothing has come: clients begin anew then, and would give up on an error.
        None => {
            let name = Name { scope: resource.scope, resource: request.resource_name.into() };
            (call.unfinished.received(&name).unwrap_or(0).cast_signed(), false)
        }
    };
    Ok(Reply::message(&proto::QueryWriteStatusResponse { committed_size, complete }))
}
