//! What each client of the Remote Execution API calls, in its order: stored one way or the other, found by an action or a name, and fetched. What other
//! clients of gRPC call is beside it (`llvm`).

use std::time::Duration;

use bazel_remote_apis::build::bazel::remote::asset::v1::fetch_client::FetchClient;
use bazel_remote_apis::build::bazel::remote::asset::v1::push_client::PushClient;
use bazel_remote_apis::build::bazel::remote::asset::v1::{FetchBlobRequest, PushBlobRequest};
use bazel_remote_apis::build::bazel::remote::execution::v2::action_cache_client::ActionCacheClient;
use bazel_remote_apis::build::bazel::remote::execution::v2::batch_update_blobs_request::Request as Update;
use bazel_remote_apis::build::bazel::remote::execution::v2::capabilities_client::CapabilitiesClient;
use bazel_remote_apis::build::bazel::remote::execution::v2::content_addressable_storage_client::ContentAddressableStorageClient;
use bazel_remote_apis::build::bazel::remote::execution::v2::{
    ActionResult, BatchUpdateBlobsRequest, Digest, FindMissingBlobsRequest, GetActionResultRequest,
    GetCapabilitiesRequest, OutputFile, UpdateActionResultRequest,
};
use bazel_remote_apis::google::bytestream::byte_stream_client::ByteStreamClient;
use bazel_remote_apis::google::bytestream::{ReadRequest, WriteRequest};
use sha2::Digest as _;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

use super::{explain, llvm};
use crate::client::{Failure, PATIENCE, Target};

/// Longest wait for a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// How a client goes about it.
pub(super) struct Manner {
    instance: &'static str,
    stores: Stores,
    finds: Finds,
}

enum Stores {
    Stream,
    Batch,
}

enum Finds {
    /// By an action, after asking what the server can do.
    Action,
    /// By an action, and only then asks.
    ActionFirst,
    /// By a name.
    Asset,
    /// By the value of a key: no client of this API.
    Value,
}

/// That of the client of that name; nothing, where it does not speak gRPC.
pub(super) fn manner(name: &str) -> Option<Manner> {
    let (instance, stores, finds) = match name {
        "bazel" => ("", Stores::Stream, Finds::Action),
        "buck2" => ("", Stores::Batch, Finds::Action),
        "pants" => ("", Stores::Batch, Finds::ActionFirst),
        "moon" => ("moon-outputs", Stores::Batch, Finds::Action),
        "buildstream" => ("", Stores::Stream, Finds::Asset),
        "xcode" => ("", Stores::Batch, Finds::Value),
        _ => return None,
    };
    Some(Manner { instance, stores, finds })
}

/// Does what such a client does.
pub(super) fn check(target: &Target, manner: &Manner) -> Result<(), Failure> {
    if !target.path.is_empty() {
        return Err(explain::path(target));
    }
    let failed = |error: std::io::Error| Failure::Refused(format!("the system refused a runtime: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(async {
        let session = Session::connect(target, manner).await?;
        session.check().await.map_err(|Wrong { call, status }| match status {
            Some(status) => explain::status(target, call, &status),
            None => explain::other_bytes(target, call),
        })
    })
}

/// A call whose answer is not what the client takes; without a status, what came back is not what was stored.
pub(super) struct Wrong {
    pub(super) call: &'static str,
    pub(super) status: Option<Status>,
}

pub(super) fn of(call: &'static str) -> impl Fn(Status) -> Wrong {
    move |status| Wrong { call, status: Some(status) }
}

/// The answer to something that has to be refused with `code`.
fn refused_with<T>(call: &'static str, code: Code, answer: Result<T, Status>) -> Result<(), Wrong> {
    match answer {
        Err(status) if status.code() == code => Ok(()),
        Err(status) => Err(of(call)(status)),
        Ok(_) => Err(of(call)(Status::ok("it was answered"))),
    }
}

/// Adds the token.
#[derive(Clone)]
pub(super) struct Identified(Option<MetadataValue<Ascii>>);

impl Interceptor for Identified {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

/// What calls go over.
pub(super) type Connection = InterceptedService<Channel, Identified>;

struct Session<'a> {
    channel: Connection,
    manner: &'a Manner,
    artifact: Vec<u8>,
    digest: Digest,
}

impl<'a> Session<'a> {
    async fn connect(target: &Target, manner: &'a Manner) -> Result<Session<'a>, Failure> {
        // Whether somebody listens there is found out by asking over HTTP.
        let unreachable = |error: tonic::transport::Error| {
            explain::status(target, "connect", &Status::unavailable(error.to_string()))
        };
        let endpoint = Endpoint::from_shared(target.origin.clone()).map_err(unreachable)?;
        let mut endpoint = endpoint.connect_timeout(CONNECT_WITHIN).timeout(PATIENCE);
        if target.origin.starts_with("https://") {
            let trusted = match &target.ca {
                None => ClientTlsConfig::new().with_native_roots(),
                Some(ca) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&ca.pem)),
            };
            endpoint = endpoint.tls_config(trusted).map_err(unreachable)?;
        }
        let channel = endpoint.connect().await.map_err(unreachable)?;
        let token = target.token.as_ref().and_then(|token| format!("Bearer {token}").parse().ok());
        let artifact = super::artifact();
        let hash = sha2::Sha256::digest(&artifact).iter().map(|byte| format!("{byte:02x}")).collect();
        let digest = Digest { hash, size_bytes: artifact.len() as i64 };
        Ok(Session { channel: InterceptedService::new(channel, Identified(token)), manner, artifact, digest })
    }

    async fn check(&self) -> Result<(), Wrong> {
        match self.manner.finds {
            Finds::Value => return llvm::check(self.channel.clone(), &self.artifact).await,
            Finds::Action => {
                self.capabilities().await?;
                refused_with("GetActionResult", Code::NotFound, self.action_result().await)?;
            }
            Finds::ActionFirst => {
                refused_with("GetActionResult", Code::NotFound, self.action_result().await)?;
                self.capabilities().await?;
            }
            Finds::Asset => {
                refused_with("FetchBlob", Code::InvalidArgument, self.fetch(Vec::new()).await)?;
                refused_with("PushBlob", Code::InvalidArgument, self.push(Vec::new()).await)?;
            }
        }
        self.store().await?;
        match self.manner.finds {
            Finds::Action | Finds::ActionFirst => {
                self.update().await.map_err(of("UpdateActionResult"))?;
                self.action_result().await.map_err(of("GetActionResult"))?;
            }
            Finds::Asset => {
                let names = || vec![format!("urn:fdc:buildstream.build:2020:artifact:kura-setup/{}", self.digest.hash)];
                self.push(names()).await.map_err(of("PushBlob"))?;
                self.fetch(names()).await.map_err(of("FetchBlob"))?;
            }
            Finds::Value => {}
        }
        let read = self.read().await.map_err(of("Read"))?;
        if read == self.artifact { Ok(()) } else { Err(Wrong { call: "Read", status: None }) }
    }

    /// A name of ByteStream's.
    fn resource(&self, within: &str) -> String {
        let instance = self.manner.instance;
        let slash = if instance.is_empty() { "" } else { "/" };
        format!("{instance}{slash}{within}blobs/{}/{}", self.digest.hash, self.digest.size_bytes)
    }

    async fn capabilities(&self) -> Result<(), Wrong> {
        let request = GetCapabilitiesRequest { instance_name: self.manner.instance.to_owned() };
        let asked = CapabilitiesClient::new(self.channel.clone()).get_capabilities(request).await;
        asked.map(drop).map_err(of("GetCapabilities"))
    }

    async fn store(&self) -> Result<(), Wrong> {
        let mut cas = ContentAddressableStorageClient::new(self.channel.clone());
        let instance_name = self.manner.instance.to_owned();
        let blob_digests = vec![self.digest.clone()];
        let request = FindMissingBlobsRequest { instance_name, blob_digests, ..FindMissingBlobsRequest::default() };
        cas.find_missing_blobs(request).await.map_err(of("FindMissingBlobs"))?;
        match self.manner.stores {
            Stores::Stream => self.write().await.map_err(of("Write")),
            Stores::Batch => {
                let digest = Some(self.digest.clone());
                let update = Update { digest, data: self.artifact.clone(), ..Update::default() };
                let instance_name = self.manner.instance.to_owned();
                let requests = vec![update];
                let request = BatchUpdateBlobsRequest { instance_name, requests, ..BatchUpdateBlobsRequest::default() };
                let answer = cas.batch_update_blobs(request).await.map_err(of("BatchUpdateBlobs"))?.into_inner();
                let refused = answer.responses.into_iter().filter_map(|blob| blob.status).find(|told| told.code != 0);
                refused.map_or(Ok(()), |told| Err(of("BatchUpdateBlobs")(single(told))))
            }
        }
    }

    async fn write(&self) -> Result<(), Status> {
        let write = WriteRequest {
            resource_name: self.resource(&format!("uploads/{}/", uuid())),
            write_offset: 0,
            finish_write: true,
            data: self.artifact.clone(),
        };
        ByteStreamClient::new(self.channel.clone()).write(futures_util::stream::iter([write])).await.map(drop)
    }

    async fn read(&self) -> Result<Vec<u8>, Status> {
        let request = ReadRequest { resource_name: self.resource(""), ..ReadRequest::default() };
        let mut stream = ByteStreamClient::new(self.channel.clone()).read(request).await?.into_inner();
        let mut read = Vec::new();
        while let Some(message) = stream.message().await? {
            read.extend_from_slice(&message.data);
            if read.len() > self.artifact.len() {
                break;
            }
        }
        Ok(read)
    }

    async fn update(&self) -> Result<(), Status> {
        let output = OutputFile { path: "out".to_owned(), digest: Some(self.digest.clone()), ..OutputFile::default() };
        let request = UpdateActionResultRequest {
            instance_name: self.manner.instance.to_owned(),
            action_digest: Some(self.digest.clone()),
            action_result: Some(ActionResult { output_files: vec![output], ..ActionResult::default() }),
            ..UpdateActionResultRequest::default()
        };
        ActionCacheClient::new(self.channel.clone()).update_action_result(request).await.map(drop)
    }

    async fn action_result(&self) -> Result<(), Status> {
        let request = GetActionResultRequest {
            instance_name: self.manner.instance.to_owned(),
            action_digest: Some(self.digest.clone()),
            ..GetActionResultRequest::default()
        };
        ActionCacheClient::new(self.channel.clone()).get_action_result(request).await.map(drop)
    }

    async fn push(&self, uris: Vec<String>) -> Result<(), Status> {
        let blob_digest = Some(self.digest.clone());
        let request = PushBlobRequest { uris, blob_digest, ..PushBlobRequest::default() };
        PushClient::new(self.channel.clone()).push_blob(request).await.map(drop)
    }

    async fn fetch(&self, uris: Vec<String>) -> Result<(), Status> {
        let request = FetchBlobRequest { uris, ..FetchBlobRequest::default() };
        FetchClient::new(self.channel.clone()).fetch_blob(request).await.map(drop)
    }
}

/// The status of one blob of many.
fn single(told: bazel_remote_apis::google::rpc::Status) -> Status {
    Status::new(Code::from_i32(told.code), told.message)
}

/// As ByteStream's uploads are named.
fn uuid() -> String {
    let random = format!("{:032x}", fastrand::u128(..));
    format!("{}-{}-4{}-8{}-{}", &random[..8], &random[8..12], &random[13..16], &random[17..20], &random[20..])
}
