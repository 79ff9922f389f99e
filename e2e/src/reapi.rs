//! A client of the Remote Execution API's cache, one call after another.

use bazel_remote_apis::build::bazel::remote::asset::v1::fetch_client::FetchClient;
use bazel_remote_apis::build::bazel::remote::asset::v1::push_client::PushClient;
use bazel_remote_apis::build::bazel::remote::asset::v1::{FetchBlobRequest, PushBlobRequest};
use bazel_remote_apis::build::bazel::remote::execution::v2::action_cache_client::ActionCacheClient;
use bazel_remote_apis::build::bazel::remote::execution::v2::content_addressable_storage_client::ContentAddressableStorageClient;
use bazel_remote_apis::build::bazel::remote::execution::v2::{
    ActionResult, BatchUpdateBlobsResponse, Digest, FindMissingBlobsRequest, GetActionResultRequest,
    UpdateActionResultRequest,
};
use bazel_remote_apis::google::bytestream::byte_stream_client::ByteStreamClient;
use bazel_remote_apis::google::bytestream::{ReadRequest, WriteRequest};
use sha2::Digest as _;
use tokio::runtime::{Builder, Runtime};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

/// Bytes of one message of an upload.
const CHUNK: usize = 1 << 20;

/// A client, whose every call is for one instance.
pub struct Client {
    runtime: Runtime,
    channel: Channel,
    instance: String,
}

/// The SHA-256 digest of some bytes.
#[must_use]
pub fn digest(data: &[u8]) -> Digest {
    let hash = sha2::Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect();
    Digest { hash, size_bytes: length(data) }
}

fn length(data: &[u8]) -> i64 {
    i64::try_from(data.len()).unwrap()
}

fn name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.hash, digest.size_bytes)
}

/// Nothing, where the server has nothing.
fn unless_missing<T>(answer: Result<tonic::Response<T>, Status>) -> Option<T> {
    match answer {
        Ok(answer) => Some(answer.into_inner()),
        Err(status) if status.code() == Code::NotFound => None,
        Err(status) => panic!("{status}"),
    }
}

impl Client {
    /// Connects to `address`.
    #[must_use]
    pub fn connect(address: &str, instance: &str) -> Client {
        Client::try_connect(address, instance).unwrap()
    }

    /// The same, where there may be no server any more.
    #[must_use]
    pub fn try_connect(address: &str, instance: &str) -> Option<Client> {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let channel = runtime.block_on(endpoint.connect()).ok()?;
        Some(Client { runtime, channel, instance: instance.to_owned() })
    }

    /// A name of ByteStream's, within the instance.
    fn resource(&self, name: &str) -> String {
        if self.instance.is_empty() { name.to_owned() } else { format!("{}/{name}", self.instance) }
    }

    /// Stores a blob.
    #[must_use]
    pub fn put(&self, data: &[u8]) -> Digest {
        self.try_put(data).unwrap()
    }

    /// The same, where it may be refused.
    ///
    /// # Errors
    /// As the server says.
    pub fn try_put(&self, data: &[u8]) -> Result<Digest, Status> {
        let digest = digest(data);
        let upload = format!("uploads/f5c1c1d2-5b0a-4a0f-9a56-0d8f1d6f2f10/{}", name(&digest));
        let mut messages: Vec<WriteRequest> = Vec::new();
        for (at, piece) in data.chunks(CHUNK).enumerate() {
            messages.push(WriteRequest {
                resource_name: if at == 0 { self.resource(&upload) } else { String::new() },
                write_offset: i64::try_from(at * CHUNK).unwrap(),
                finish_write: (at + 1) * CHUNK >= data.len(),
                data: piece.to_vec(),
            });
        }
        let mut client = ByteStreamClient::new(self.channel.clone());
        let answer = self.runtime.block_on(client.write(futures_util::stream::iter(messages)));
        assert_eq!(answer?.into_inner().committed_size, digest.size_bytes);
        Ok(digest)
    }

    /// A blob; nothing, if it is not there.
    #[must_use]
    pub fn get(&self, digest: &Digest) -> Option<Vec<u8>> {
        let request = ReadRequest { resource_name: self.resource(&name(digest)), ..ReadRequest::default() };
        let mut client = ByteStreamClient::new(self.channel.clone());
        let read = async {
            let mut stream = client.read(request).await?.into_inner();
            let mut data = Vec::new();
            while let Some(message) = stream.message().await? {
                data.extend_from_slice(&message.data);
            }
            Ok(tonic::Response::new(data))
        };
        unless_missing(self.runtime.block_on(read))
    }

    /// Those of the blobs that are not there.
    #[must_use]
    pub fn missing(&self, digests: &[Digest]) -> Vec<Digest> {
        let request = FindMissingBlobsRequest {
            instance_name: self.instance.clone(),
            blob_digests: digests.to_vec(),
            ..FindMissingBlobsRequest::default()
        };
        let mut client = ContentAddressableStorageClient::new(self.channel.clone());
        self.runtime.block_on(client.find_missing_blobs(request)).unwrap().into_inner().missing_blob_digests
    }

    /// Stores the result of an action.
    pub fn update_action_result(&self, action: &Digest, result: &ActionResult) {
        let request = UpdateActionResultRequest {
            instance_name: self.instance.clone(),
            action_digest: Some(action.clone()),
            action_result: Some(result.clone()),
            ..UpdateActionResultRequest::default()
        };
        let mut client = ActionCacheClient::new(self.channel.clone());
        self.runtime.block_on(client.update_action_result(request)).unwrap();
    }

    /// The result of an action; nothing, if it is not there.
    #[must_use]
    pub fn action_result(&self, action: &Digest) -> Option<ActionResult> {
        let request = GetActionResultRequest {
            instance_name: self.instance.clone(),
            action_digest: Some(action.clone()),
            ..GetActionResultRequest::default()
        };
        let mut client = ActionCacheClient::new(self.channel.clone());
        unless_missing(self.runtime.block_on(client.get_action_result(request)))
    }

    /// Gives a blob a name.
    pub fn push_blob(&self, uri: &str, blob: &Digest) {
        let request = PushBlobRequest {
            instance_name: self.instance.clone(),
            uris: vec![uri.to_owned()],
            blob_digest: Some(blob.clone()),
            ..PushBlobRequest::default()
        };
        let mut client = PushClient::new(self.channel.clone());
        self.runtime.block_on(client.push_blob(request)).unwrap();
    }

    /// The blob of that name; nothing, if there is none.
    #[must_use]
    pub fn fetch_blob(&self, uri: &str) -> Option<Digest> {
        let request = FetchBlobRequest {
            instance_name: self.instance.clone(),
            uris: vec![uri.to_owned()],
            ..FetchBlobRequest::default()
        };
        let mut client = FetchClient::new(self.channel.clone());
        unless_missing(self.runtime.block_on(client.fetch_blob(request)))?.blob_digest
    }

    /// Has a proxy move blobs between its own cache and its remote: `method` is one of BuildGrid's LocalCAS, whose messages look like these of the
    /// CAS.
    pub fn move_blobs(&self, method: &str, digests: &[Digest]) {
        let request = FindMissingBlobsRequest {
            instance_name: self.instance.clone(),
            blob_digests: digests.to_vec(),
            ..FindMissingBlobsRequest::default()
        };
        let path = format!("/build.buildgrid.LocalContentAddressableStorage/{method}");
        let path = PathAndQuery::try_from(path).unwrap();
        let mut client = Grpc::new(self.channel.clone());
        let call = async {
            client.ready().await.unwrap();
            let codec: ProstCodec<_, BatchUpdateBlobsResponse> = ProstCodec::default();
            client.unary(Request::new(request), path, codec).await.unwrap().into_inner()
        };
        let moved = self.runtime.block_on(call).responses;
        let failed = |status: &bazel_remote_apis::google::rpc::Status| status.code != 0;
        assert!(!moved.iter().filter_map(|blob| blob.status.as_ref()).any(failed), "{method}: {moved:?}");
    }
}
