//! A real server over a real store in a temporary directory, and real clients on a real connection.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub, reason = "a test may fail, and each uses a part")]

pub mod llvm;
pub mod origin;
#[path = "../../../http/tests/support/people.rs"]
pub mod people;
pub mod raw;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bazel_remote_apis::build::bazel::remote::execution::v2 as proto;
use bazel_remote_apis::google::bytestream::byte_stream_client::ByteStreamClient;
use bazel_remote_apis::google::bytestream::{ReadRequest, WriteRequest};
use kura_auth::Authenticator;
use kura_cache::Cache;
use kura_disk::real::RealDisk;
use kura_disk::{Runtime, TokioRuntime};
use kura_http::{Handle, Server, ServerSettings, Tenants};
use kura_reapi::{Reapi, ReapiSettings};
use kura_store::geometry::Geometry;
use kura_store::{Durability, Progress, Settings, Store};
use proto::action_cache_client::ActionCacheClient;
use proto::content_addressable_storage_client::ContentAddressableStorageClient;
use sha2::{Digest, Sha256};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Code, Status};

/// The least that a store works with.
pub const CAPACITY: u64 = 136 << 20;

/// No test waits longer than this for anything.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Site {
    pub directory: tempfile::TempDir,
    pub address: SocketAddr,
    pub handle: Handle,
    pub tenants: Arc<Tenants>,
    pub server: JoinHandle<()>,
    pub runtime: Arc<dyn Runtime>,
    pub progress: Arc<Progress>,
}

impl Site {
    /// A server whose recovery has not begun.
    pub async fn unopened(http: ServerSettings, grpc: ReapiSettings) -> Site {
        Site::made(http, grpc, None, None).await
    }

    /// The same, which asks who its clients are.
    pub async fn asking(http: ServerSettings, grpc: ReapiSettings, who: Option<Arc<Authenticator>>) -> Site {
        Site::made(http, grpc, None, who).await
    }

    /// The same, which may also listen on a unix socket.
    pub async fn listening(http: ServerSettings, grpc: ReapiSettings, socket: Option<UnixListener>) -> Site {
        Site::made(http, grpc, socket, None).await
    }

    async fn made(
        http: ServerSettings,
        grpc: ReapiSettings,
        socket: Option<UnixListener>,
        who: Option<Arc<Authenticator>>,
    ) -> Site {
        let directory = tempfile::tempdir().unwrap();
        let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::current());
        let progress = Arc::new(Progress::default());
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Server::bind(any, http, Arc::clone(&runtime), Arc::clone(&progress)).unwrap();
        socket.into_iter().for_each(|socket| server.listen_on(socket));
        server.welcome(Reapi::new(grpc, server.memory(), server.tenants(), Arc::clone(&runtime)));
        who.into_iter().for_each(|who| server.authenticate(who));
        let (address, handle, tenants) = (server.local_addr().unwrap(), server.handle(), server.tenants());
        Site { directory, address, handle, tenants, server: tokio::spawn(server.run()), runtime, progress }
    }

    /// A server that serves.
    pub async fn serving() -> (Site, Store) {
        Site::with(ServerSettings::default(), ReapiSettings::default()).await
    }

    pub async fn with(http: ServerSettings, grpc: ReapiSettings) -> (Site, Store) {
        let site = Site::unopened(http, grpc).await;
        let store = site.open().await;
        (site, store)
    }

    pub async fn open(&self) -> Store {
        let disk = Arc::new(RealDisk::new(self.directory.path()));
        let mut settings = Settings::new(Geometry::standard(CAPACITY));
        settings.durability = Durability::None;
        let store = Store::open(disk, Arc::clone(&self.runtime), settings, Arc::clone(&self.progress)).await.unwrap();
        self.handle.open(Cache::new(store.clone(), Arc::clone(&self.runtime)));
        store
    }

    /// A connection of its own.
    pub async fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    pub async fn cas(&self) -> ContentAddressableStorageClient<Channel> {
        ContentAddressableStorageClient::new(self.channel().await)
    }

    pub async fn action_cache(&self) -> ActionCacheClient<Channel> {
        ActionCacheClient::new(self.channel().await)
    }

    pub async fn byte_stream(&self) -> ByteStreamClient<Channel> {
        ByteStreamClient::new(self.channel().await)
    }

    /// Stores a blob.
    pub async fn put(&self, data: &[u8]) -> proto::Digest {
        let digest = digest(data);
        let size = written(&mut self.byte_stream().await, &upload(&digest), data, 1 << 20).await.unwrap();
        assert_eq!(size, digest.size_bytes);
        digest
    }

    /// Which of these are missing, by size.
    pub async fn missing(&self, digests: &[proto::Digest]) -> Vec<i64> {
        let request = proto::FindMissingBlobsRequest { blob_digests: digests.to_vec(), ..Default::default() };
        let response = self.cas().await.find_missing_blobs(request).await.unwrap().into_inner();
        response.missing_blob_digests.iter().map(|digest| digest.size_bytes).collect()
    }

    /// The text of `/metrics`.
    pub async fn metrics(&self) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(self.address).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    /// The value of one line of `/metrics`; zero where it is not there.
    pub async fn metric(&self, name: &str) -> u64 {
        let text = self.metrics().await;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().unwrap())
    }
}

/// The SHA-256 digest of some bytes.
pub fn digest(data: &[u8]) -> proto::Digest {
    let hash = Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect();
    proto::Digest { hash, size_bytes: i64::try_from(data.len()).unwrap() }
}

/// A resource name to read.
pub fn blob(digest: &proto::Digest) -> String {
    format!("blobs/{}/{}", digest.hash, digest.size_bytes)
}

/// A resource name to write.
pub fn upload(digest: &proto::Digest) -> String {
    format!("uploads/0e8f3f2c-6b0c-4f5c-9a7b-6f1d6c7f8a90/{}", blob(digest))
}

/// The messages of a whole upload.
pub fn messages(name: &str, data: &[u8], piece: usize) -> Vec<WriteRequest> {
    let mut messages = Vec::new();
    for (at, piece) in data.chunks(piece).enumerate() {
        messages.push(WriteRequest {
            resource_name: if at == 0 { name.to_owned() } else { String::new() },
            write_offset: i64::try_from(
                messages.iter().map(|message: &WriteRequest| message.data.len()).sum::<usize>(),
            )
            .unwrap(),
            finish_write: false,
            data: piece.to_vec(),
        });
    }
    if messages.is_empty() {
        messages.push(WriteRequest { resource_name: name.to_owned(), ..Default::default() });
    }
    messages.last_mut().unwrap().finish_write = true;
    messages
}

/// Uploads; the committed size.
pub async fn written(
    client: &mut ByteStreamClient<Channel>,
    name: &str,
    data: &[u8],
    piece: usize,
) -> Result<i64, Status> {
    sent(client, messages(name, data, piece)).await
}

/// Sends these messages as one upload.
pub async fn sent(client: &mut ByteStreamClient<Channel>, messages: Vec<WriteRequest>) -> Result<i64, Status> {
    let response = client.write(tokio_stream::iter(messages)).await?;
    Ok(response.into_inner().committed_size)
}

/// Reads a range of a resource, and how many messages that took.
pub async fn ranged(
    client: &mut ByteStreamClient<Channel>,
    name: &str,
    read_offset: i64,
    read_limit: i64,
) -> Result<(Vec<u8>, usize), Status> {
    let request = ReadRequest { resource_name: name.to_owned(), read_offset, read_limit };
    let mut stream = client.read(request).await?.into_inner();
    let (mut data, mut messages) = (Vec::new(), 0);
    while let Some(message) = stream.message().await? {
        data.extend_from_slice(&message.data);
        messages += 1;
    }
    Ok((data, messages))
}

/// Reads all of a resource.
pub async fn read(client: &mut ByteStreamClient<Channel>, name: &str) -> Result<Vec<u8>, Status> {
    ranged(client, name, 0, 0).await.map(|(data, _)| data)
}

/// Asserts that this is a refusal with that code.
#[track_caller]
pub fn refused<T: std::fmt::Debug>(result: Result<T, Status>, code: Code) -> Status {
    let status = result.expect_err("a refusal");
    assert_eq!(status.code(), code, "{status}");
    status
}

/// Bytes that look like no others.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32).to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}
