//! A real server over a real store in a temporary directory, and a client that says exactly what a test wants said.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    dead_code,
    unreachable_pub,
    reason = "a test may fail, and each uses a part"
)]

pub mod people;
pub mod s3;
pub mod sigv4;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kura_auth::Authenticator;
use kura_cache::Cache;
use kura_disk::real::RealDisk;
use kura_disk::{Runtime, TokioRuntime};
use kura_http::{Handle, Server, ServerSettings, Tenants};
use kura_store::geometry::Geometry;
use kura_store::{Durability, Progress, Settings, Store};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener};
use tokio::task::JoinHandle;

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
    pub async fn unopened(settings: ServerSettings) -> Site {
        Site::made(settings, None, None).await
    }

    /// The same, which asks who its clients are.
    pub async fn asking(settings: ServerSettings, who: Option<Arc<Authenticator>>) -> Site {
        Site::made(settings, None, who).await
    }

    /// The same, which may also listen on a unix socket.
    pub async fn listening(settings: ServerSettings, socket: Option<UnixListener>) -> Site {
        Site::made(settings, socket, None).await
    }

    async fn made(settings: ServerSettings, socket: Option<UnixListener>, who: Option<Arc<Authenticator>>) -> Site {
        let directory = tempfile::tempdir().unwrap();
        let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::current());
        let progress = Arc::new(Progress::default());
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Server::bind(any, settings, Arc::clone(&runtime), Arc::clone(&progress)).unwrap();
        socket.into_iter().for_each(|socket| server.listen_on(socket));
        who.into_iter().for_each(|who| server.authenticate(who));
        let (address, handle, tenants) = (server.local_addr().unwrap(), server.handle(), server.tenants());
        Site { directory, address, handle, tenants, server: tokio::spawn(server.run()), runtime, progress }
    }

    /// A server that serves.
    pub async fn serving(settings: ServerSettings) -> (Site, Store) {
        Site::with_capacity(settings, CAPACITY).await
    }

    pub async fn with_capacity(settings: ServerSettings, capacity: u64) -> (Site, Store) {
        let site = Site::unopened(settings).await;
        let store = site.open(capacity).await;
        (site, store)
    }

    pub async fn open(&self, capacity: u64) -> Store {
        let disk = Arc::new(RealDisk::new(self.directory.path()));
        let mut settings = Settings::new(Geometry::standard(capacity));
        settings.durability = Durability::None;
        let store = Store::open(disk, Arc::clone(&self.runtime), settings, Arc::clone(&self.progress)).await.unwrap();
        self.handle.open(Cache::new(store.clone(), Arc::clone(&self.runtime)));
        store
    }

    pub async fn connect(&self) -> Client {
        Client { stream: TcpStream::connect(self.address).await.unwrap(), unread: Vec::new() }
    }

    /// One request on a connection of its own.
    pub async fn request(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Response {
        self.connect().await.request(method, path, headers, body).await
    }

    pub async fn get(&self, path: &str) -> Response {
        self.request("GET", path, "", b"").await
    }

    pub async fn put(&self, path: &str, body: &[u8]) -> Response {
        self.request("PUT", path, "", body).await
    }

    /// The value of one line of `/metrics`; zero where it is not there.
    pub async fn metric(&self, name: &str) -> u64 {
        let text = self.get("/metrics").await.text();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().unwrap())
    }
}

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    head: String,
    pub body: Vec<u8>,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// Asserts that this is a refusal with a JSON message.
    #[track_caller]
    pub fn refused(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert!(self.text().starts_with("{\"message\":\""), "{}", self.text());
    }
}

pub struct Client {
    pub stream: TcpStream,
    unread: Vec<u8>,
}

impl Client {
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    pub async fn request(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Response {
        let length = if body.is_empty() && method != "PUT" {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        self.send(format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{length}{headers}\r\n")).await;
        self.send(body).await;
        self.response_to(method).await
    }

    /// Sends nothing more.
    pub async fn end(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    pub async fn response(&mut self) -> Response {
        self.response_to("GET").await
    }

    /// The next response; of a body that is broken off, what came of it.
    pub async fn response_to(&mut self, method: &str) -> Response {
        tokio::time::timeout(PATIENCE, self.read_response(method)).await.expect("no response came")
    }

    async fn read_response(&mut self, method: &str) -> Response {
        let end = loop {
            if let Some(at) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.read_more().await, "closed before a response: {:?}", String::from_utf8_lossy(&self.unread));
        };
        let head = String::from_utf8(self.unread.drain(..end).collect()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut response = Response { status, head, body: Vec::new() };
        if method == "HEAD" || status == 304 || status == 204 || status == 100 {
            return response;
        }
        let length: usize = response.header("content-length").expect("a length").parse().unwrap();
        while self.unread.len() < length && self.read_more().await {}
        response.body = self.unread.drain(..length.min(self.unread.len())).collect();
        response
    }

    async fn read_more(&mut self) -> bool {
        let mut buffer = vec![0; 64 * 1024];
        let read = self.stream.read(&mut buffer).await.unwrap_or(0);
        self.unread.extend_from_slice(&buffer[..read]);
        read > 0
    }

    /// Waits until the server has closed the connection; what else it said.
    pub async fn closed(&mut self) -> Vec<u8> {
        let all = async { while self.read_more().await {} };
        tokio::time::timeout(PATIENCE, all).await.expect("the connection was not closed");
        std::mem::take(&mut self.unread)
    }
}

pub fn sha256(body: &[u8]) -> String {
    Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes that look like no others.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}
