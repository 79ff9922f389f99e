//! The companion: what anyone would write with tonic, the generated types and a hash map. It verifies what it takes; it keeps all in memory, or,
//! where storing is what is measured, nothing.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};

use bazel_remote_apis::build::bazel::remote::execution::v2::action_cache_server::{ActionCache, ActionCacheServer};
use bazel_remote_apis::build::bazel::remote::execution::v2::content_addressable_storage_server::{
    ContentAddressableStorage, ContentAddressableStorageServer,
};
use bazel_remote_apis::build::bazel::remote::execution::v2::{
    ActionResult, BatchReadBlobsRequest, BatchReadBlobsResponse, BatchUpdateBlobsRequest, BatchUpdateBlobsResponse,
    FindMissingBlobsRequest, FindMissingBlobsResponse, GetActionResultRequest, GetChunkMappingRequest,
    GetChunkMappingResponse, GetTreeRequest, GetTreeResponse, RegisterChunkMappingRequest,
    RegisterChunkMappingResponse, SpliceBlobRequest, SpliceBlobResponse, SplitBlobRequest, SplitBlobResponse,
    UpdateActionResultRequest, batch_read_blobs_response, batch_update_blobs_response,
};
use bazel_remote_apis::google::bytestream::byte_stream_server::{ByteStream, ByteStreamServer};
use bazel_remote_apis::google::bytestream::{
    QueryWriteStatusRequest, QueryWriteStatusResponse, ReadRequest, ReadResponse, WriteRequest, WriteResponse,
};
use bazel_remote_apis::google::rpc;
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::reapi::content::hex;

/// Bytes of a message of a download.
const PART: usize = 64 << 10;

/// The largest message taken, in bytes: a batch of 100 × 4 KiB fits, as does a message of an upload of 2 MiB.
const MESSAGE: usize = 4 << 20;

/// Serves on a free port, which it prints.
pub(crate) fn serve(discard: bool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("plain server on http://{}", listener.local_addr()?);
        serve_on(listener, discard).await
    })
}

pub(crate) async fn serve_on(listener: TcpListener, discard: bool) -> anyhow::Result<()> {
    let plain = Plain { discard, ..Plain::default() };
    let server = tonic::transport::Server::builder()
        .add_service(ActionCacheServer::new(plain.clone()))
        .add_service(ContentAddressableStorageServer::new(plain.clone()).max_decoding_message_size(MESSAGE))
        .add_service(ByteStreamServer::new(plain).max_decoding_message_size(MESSAGE));
    server.serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))).await?;
    Ok(())
}

/// Everything, by hash.
#[derive(Clone, Default)]
struct Plain {
    blobs: Arc<RwLock<HashMap<String, Bytes>>>,
    results: Arc<RwLock<HashMap<String, ActionResult>>>,
    discard: bool,
}

impl Plain {
    fn blob(&self, hash: &str) -> Option<Bytes> {
        self.blobs.read().unwrap_or_else(PoisonError::into_inner).get(hash).cloned()
    }

    fn keep(&self, hash: String, data: Bytes) {
        if !self.discard {
            self.blobs.write().unwrap_or_else(PoisonError::into_inner).insert(hash, data);
        }
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn status(code: Code) -> Option<rpc::Status> {
    Some(rpc::Status { code: code as i32, ..Default::default() })
}

/// Hash and size: the last but one and the last segment of a name.
fn hash_of(name: &str) -> Result<&str, Status> {
    let malformed = || Status::invalid_argument("a malformed name");
    let (front, _) = name.rsplit_once('/').ok_or_else(malformed)?;
    Ok(front.rsplit_once('/').ok_or_else(malformed)?.1)
}

#[tonic::async_trait]
impl ByteStream for Plain {
    type ReadStream = Answers<ReadResponse>;

    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<Self::ReadStream>, Status> {
        let blob = self.blob(hash_of(&request.get_ref().resource_name)?).ok_or_else(|| Status::not_found("no blob"))?;
        let parts = (0..blob.len()).step_by(PART);
        let part = move |from: usize| Ok(ReadResponse { data: blob[from..blob.len().min(from + PART)].to_vec() });
        Ok(Response::new(Box::pin(stream::iter(parts.map(part)))))
    }

    async fn write(&self, request: Request<Streaming<WriteRequest>>) -> Result<Response<WriteResponse>, Status> {
        let mut messages = request.into_inner();
        let (mut name, mut hasher, mut length, mut data) = (String::new(), Sha256::new(), 0, Vec::new());
        while let Some(message) = messages.message().await? {
            if name.is_empty() {
                name = message.resource_name;
            }
            hasher.update(&message.data);
            length += message.data.len();
            if !self.discard {
                data.extend_from_slice(&message.data);
            }
        }
        let hash = hex(&hasher.finalize());
        if hash != hash_of(&name)? {
            return Err(Status::invalid_argument("other bytes than the name says"));
        }
        self.keep(hash, data.into());
        Ok(Response::new(WriteResponse { committed_size: i64::try_from(length).unwrap_or(i64::MAX) }))
    }

    async fn query_write_status(
        &self,
        _: Request<QueryWriteStatusRequest>,
    ) -> Result<Response<QueryWriteStatusResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }
}

#[tonic::async_trait]
impl ActionCache for Plain {
    async fn get_action_result(
        &self,
        request: Request<GetActionResultRequest>,
    ) -> Result<Response<ActionResult>, Status> {
        let hash = request.into_inner().action_digest.unwrap_or_default().hash;
        let results = self.results.read().unwrap_or_else(PoisonError::into_inner);
        let result = results.get(&hash).cloned().ok_or_else(|| Status::not_found("no result"))?;
        Ok(Response::new(result))
    }

    async fn update_action_result(
        &self,
        request: Request<UpdateActionResultRequest>,
    ) -> Result<Response<ActionResult>, Status> {
        let request = request.into_inner();
        let (action, result) = (request.action_digest.unwrap_or_default(), request.action_result.unwrap_or_default());
        self.results.write().unwrap_or_else(PoisonError::into_inner).insert(action.hash, result.clone());
        Ok(Response::new(result))
    }
}

#[tonic::async_trait]
impl ContentAddressableStorage for Plain {
    type GetTreeStream = Answers<GetTreeResponse>;
    type GetChunkMappingStream = Answers<GetChunkMappingResponse>;

    async fn find_missing_blobs(
        &self,
        request: Request<FindMissingBlobsRequest>,
    ) -> Result<Response<FindMissingBlobsResponse>, Status> {
        let blobs = self.blobs.read().unwrap_or_else(PoisonError::into_inner);
        let asked = request.into_inner().blob_digests.into_iter();
        let missing_blob_digests = asked.filter(|digest| !blobs.contains_key(&digest.hash)).collect();
        Ok(Response::new(FindMissingBlobsResponse { missing_blob_digests }))
    }

    async fn batch_update_blobs(
        &self,
        request: Request<BatchUpdateBlobsRequest>,
    ) -> Result<Response<BatchUpdateBlobsResponse>, Status> {
        let stored = request.into_inner().requests.into_iter().map(|upload| {
            let digest = upload.digest.unwrap_or_default();
            if hex(&Sha256::digest(&upload.data)) != digest.hash {
                let status = status(Code::InvalidArgument);
                return batch_update_blobs_response::Response { digest: Some(digest), status };
            }
            self.keep(digest.hash.clone(), upload.data.into());
            batch_update_blobs_response::Response { digest: Some(digest), status: status(Code::Ok) }
        });
        Ok(Response::new(BatchUpdateBlobsResponse { responses: stored.collect() }))
    }

    async fn batch_read_blobs(
        &self,
        request: Request<BatchReadBlobsRequest>,
    ) -> Result<Response<BatchReadBlobsResponse>, Status> {
        let read = request.into_inner().digests.into_iter().map(|digest| {
            let blob = self.blob(&digest.hash);
            let code = if blob.is_some() { Code::Ok } else { Code::NotFound };
            batch_read_blobs_response::Response {
                digest: Some(digest),
                data: blob.unwrap_or_default().to_vec(),
                status: status(code),
                ..Default::default()
            }
        });
        Ok(Response::new(BatchReadBlobsResponse { responses: read.collect() }))
    }

    async fn get_tree(&self, _: Request<GetTreeRequest>) -> Result<Response<Self::GetTreeStream>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn split_blob(&self, _: Request<SplitBlobRequest>) -> Result<Response<SplitBlobResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn splice_blob(&self, _: Request<SpliceBlobRequest>) -> Result<Response<SpliceBlobResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn get_chunk_mapping(
        &self,
        _: Request<GetChunkMappingRequest>,
    ) -> Result<Response<Self::GetChunkMappingStream>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn register_chunk_mapping(
        &self,
        _: Request<Streaming<RegisterChunkMappingRequest>>,
    ) -> Result<Response<RegisterChunkMappingResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }
}
