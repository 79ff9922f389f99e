//! The server under test, as a client sees it: its generated stubs, and what requests have in common.
//! Not here: calls that a stub cannot make (`raw`), and what is made of answers (`calls`).

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use bazel_remote_apis::build::bazel::remote::asset::v1::fetch_client::FetchClient;
use bazel_remote_apis::build::bazel::remote::asset::v1::push_client::PushClient;
use bazel_remote_apis::build::bazel::remote::execution::v2::action_cache_client::ActionCacheClient;
use bazel_remote_apis::build::bazel::remote::execution::v2::capabilities_client::CapabilitiesClient;
use bazel_remote_apis::build::bazel::remote::execution::v2::content_addressable_storage_client::ContentAddressableStorageClient;
use bazel_remote_apis::google::bytestream::byte_stream_client::ByteStreamClient;
use tonic::transport::{Channel, Endpoint};

use crate::digest::{Blob, Function};
use crate::offers::Offers;

/// How long the server may take to accept a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// The server under test. Messages of more than 4 MiB are refused by the stubs, as most clients do.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) channel: Channel,
    /// Host and port.
    pub(crate) authority: Arc<str>,
    /// The instance that requests are for.
    pub(crate) instance: Arc<str>,
    pub(crate) offers: Arc<Offers>,
}

impl Server {
    /// Connects to `target`, such as `grpc://127.0.0.1:8380`, and asks what it offers.
    pub(crate) async fn connect(target: &str, instance: &str) -> anyhow::Result<Server> {
        let authority = target.strip_prefix("grpc://").or(target.strip_prefix("http://")).unwrap_or(target);
        let authority = authority.trim_end_matches('/');
        ensure!(!authority.contains('/'), "{target} is not of the form grpc://HOST:PORT");
        let endpoint = Endpoint::from_shared(format!("http://{authority}"))?.connect_timeout(CONNECT_WITHIN);
        let channel = endpoint.connect().await.with_context(|| format!("cannot connect to {authority}"))?;
        let offers = Arc::default();
        let server = Server { channel, authority: authority.into(), instance: instance.into(), offers };
        let offers = Arc::new(Offers::ask(&server).await);
        Ok(Server { offers, ..server })
    }

    /// The same server, for another instance.
    pub(crate) fn instance(&self, instance: &str) -> Server {
        Server { instance: instance.into(), ..self.clone() }
    }

    pub(crate) fn instance_name(&self) -> String {
        self.instance.to_string()
    }

    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    pub(crate) fn capabilities(&self) -> CapabilitiesClient<Channel> {
        CapabilitiesClient::new(self.channel())
    }

    pub(crate) fn action_cache(&self) -> ActionCacheClient<Channel> {
        ActionCacheClient::new(self.channel())
    }

    pub(crate) fn cas(&self) -> ContentAddressableStorageClient<Channel> {
        ContentAddressableStorageClient::new(self.channel())
    }

    pub(crate) fn byte_stream(&self) -> ByteStreamClient<Channel> {
        ByteStreamClient::new(self.channel())
    }

    pub(crate) fn fetch(&self) -> FetchClient<Channel> {
        FetchClient::new(self.channel())
    }

    pub(crate) fn push(&self) -> PushClient<Channel> {
        PushClient::new(self.channel())
    }

    /// The digest function of all checks that are not about digest functions.
    pub(crate) fn function(&self) -> Function {
        let offered = |function: &Function| self.offers.functions.contains(function);
        Function::ALL.into_iter().find(offered).unwrap_or(Function::Sha256)
    }

    /// A new blob that does not compress.
    pub(crate) fn random(&self, length: usize) -> Blob {
        Blob::random(self.function(), length)
    }

    /// A new blob that compresses well.
    pub(crate) fn text(&self, length: usize) -> Blob {
        Blob::text(self.function(), length)
    }
}
