//! Calls that many checks make, without anything that is the same in all of them.

use bazel_remote_apis::build::bazel::remote::execution::v2::batch_read_blobs_response::Response as BatchRead;
use bazel_remote_apis::build::bazel::remote::execution::v2::batch_update_blobs_request::Request as BatchUpload;
use bazel_remote_apis::build::bazel::remote::execution::v2::batch_update_blobs_response::Response as BatchUpdated;
use bazel_remote_apis::build::bazel::remote::execution::v2::compressor::Value as Compressor;
use bazel_remote_apis::build::bazel::remote::execution::v2::{
    ActionResult, BatchReadBlobsRequest, BatchUpdateBlobsRequest, Digest, FindMissingBlobsRequest,
    GetActionResultRequest, UpdateActionResultRequest,
};
use bazel_remote_apis::google::bytestream::{
    QueryWriteStatusRequest, QueryWriteStatusResponse, ReadRequest, WriteRequest,
};
use tonic::Status;

use crate::client::Server;
use crate::digest::{Blob, length};

/// Messages of an upload that its client has ready before the server takes the first.
pub(crate) const AHEAD: usize = 16;

/// Bytes of one message of an upload that is not about the size of messages.
const CHUNK: usize = 1 << 20;

impl Server {
    pub(crate) async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, Status> {
        let request = FindMissingBlobsRequest {
            instance_name: self.instance_name(),
            blob_digests: digests.to_vec(),
            digest_function: self.function().field(),
        };
        Ok(self.cas().find_missing_blobs(request).await?.into_inner().missing_blob_digests)
    }

    pub(crate) async fn is_missing(&self, blob: &Blob) -> Result<bool, Status> {
        let request = FindMissingBlobsRequest {
            instance_name: self.instance_name(),
            blob_digests: vec![blob.digest.clone()],
            digest_function: blob.function.field(),
        };
        Ok(!self.cas().find_missing_blobs(request).await?.into_inner().missing_blob_digests.is_empty())
    }

    pub(crate) async fn batch_update(&self, requests: Vec<BatchUpload>) -> Result<Vec<BatchUpdated>, Status> {
        let request = BatchUpdateBlobsRequest {
            instance_name: self.instance_name(),
            requests,
            digest_function: self.function().field(),
        };
        Ok(self.cas().batch_update_blobs(request).await?.into_inner().responses)
    }

    pub(crate) async fn batch_read(
        &self,
        digests: &[Digest],
        compressors: &[Compressor],
    ) -> Result<Vec<BatchRead>, Status> {
        let request = BatchReadBlobsRequest {
            instance_name: self.instance_name(),
            digests: digests.to_vec(),
            acceptable_compressors: compressors.iter().map(|compressor| *compressor as i32).collect(),
            digest_function: self.function().field(),
        };
        Ok(self.cas().batch_read_blobs(request).await?.into_inner().responses)
    }

    /// Uploads a blob.
    pub(crate) async fn put(&self, blob: &Blob) -> Result<i64, Status> {
        self.write(messages(&self.upload_name(blob), &blob.data, CHUNK)).await
    }

    pub(crate) async fn write(&self, messages: Vec<WriteRequest>) -> Result<i64, Status> {
        let answer = self.byte_stream().write(futures_util::stream::iter(messages)).await?;
        Ok(answer.into_inner().committed_size)
    }

    pub(crate) async fn query(&self, name: &str) -> Result<QueryWriteStatusResponse, Status> {
        let request = QueryWriteStatusRequest { resource_name: name.to_owned() };
        Ok(self.byte_stream().query_write_status(request).await?.into_inner())
    }

    /// Downloads a blob.
    pub(crate) async fn get(&self, blob: &Blob) -> Result<Vec<u8>, Status> {
        self.read(&self.name(blob), 0, 0).await
    }

    pub(crate) async fn read(&self, name: &str, read_offset: i64, read_limit: i64) -> Result<Vec<u8>, Status> {
        let request = ReadRequest { resource_name: name.to_owned(), read_offset, read_limit };
        let mut stream = self.byte_stream().read(request).await?.into_inner();
        let mut data = Vec::new();
        while let Some(part) = stream.message().await? {
            data.extend_from_slice(&part.data);
        }
        Ok(data)
    }

    pub(crate) async fn action_result(&self, action: &Digest) -> Result<ActionResult, Status> {
        self.action_result_for(GetActionResultRequest {
            action_digest: Some(action.clone()),
            ..GetActionResultRequest::default()
        })
        .await
    }

    /// The same, with what else the request says.
    pub(crate) async fn action_result_for(&self, request: GetActionResultRequest) -> Result<ActionResult, Status> {
        let instance_name = self.instance_name();
        let digest_function =
            if request.digest_function == 0 { self.function().field() } else { request.digest_function };
        let request = GetActionResultRequest { instance_name, digest_function, ..request };
        Ok(self.action_cache().get_action_result(request).await?.into_inner())
    }

    pub(crate) async fn update_action_result(
        &self,
        action: &Digest,
        result: ActionResult,
    ) -> Result<ActionResult, Status> {
        let request = UpdateActionResultRequest {
            instance_name: self.instance_name(),
            action_digest: Some(action.clone()),
            action_result: Some(result),
            results_cache_policy: None,
            digest_function: self.function().field(),
        };
        Ok(self.action_cache().update_action_result(request).await?.into_inner())
    }
}

/// One blob of a batch, as it is.
pub(crate) fn upload(blob: &Blob) -> BatchUpload {
    upload_as(&blob.digest, blob.data.clone(), Compressor::Identity)
}

/// One blob of a batch, whatever it claims.
pub(crate) fn upload_as(digest: &Digest, data: Vec<u8>, compressor: Compressor) -> BatchUpload {
    BatchUpload { digest: Some(digest.clone()), data, compressor: compressor as i32 }
}

/// An upload in messages of `chunk` bytes, the last of which finishes it.
pub(crate) fn messages(name: &str, data: &[u8], chunk: usize) -> Vec<WriteRequest> {
    let mut messages: Vec<WriteRequest> = Vec::new();
    for part in data.chunks(chunk) {
        let write_offset = messages.last().map_or(0, |last| last.write_offset + length(&last.data));
        messages.push(WriteRequest { write_offset, data: part.to_vec(), ..WriteRequest::default() });
    }
    if messages.is_empty() {
        messages.push(WriteRequest::default());
    }
    if let Some(first) = messages.first_mut() {
        name.clone_into(&mut first.resource_name);
    }
    if let Some(last) = messages.last_mut() {
        last.finish_write = true;
    }
    messages
}
