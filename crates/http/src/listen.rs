//! Where connections come from: a port, a unix socket if there is one, and the owner's, which comes once there is a cache. They share one bound on
//! connections.
//! Not here: the sockets' files, which are whoever's that made them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SetOnce};
use tokio_util::either::Either;

/// Where the process is out of files, the next connection is tried for after this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that wait to be accepted: as many as Linux lets wait where it is told nothing else. One that finds no place is tried again by its client's
/// system after a second.
const WAITING: u32 = 4096;

/// A connection's bytes as they come in.
pub(crate) type Arrived = Either<TcpStream, UnixStream>;

/// A connection as it comes in.
pub(crate) struct Arrival {
    pub(crate) stream: Arrived,
    /// Whether it is whoever's that the server runs as.
    pub(crate) is_owners: bool,
}

pub(crate) struct Listeners {
    pub(crate) port: TcpListener,
    pub(crate) socket: Option<UnixListener>,
    pub(crate) owner: Arc<SetOnce<UnixListener>>,
}

/// Listens there, also where connections of a server that was there before have not been forgotten.
///
/// # Errors
/// As the system says.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING)
}

impl Listeners {
    /// The next connection, once there may be one more.
    pub(crate) async fn accept(&self, permits: &Arc<Semaphore>) -> (Arrival, OwnedSemaphorePermit) {
        loop {
            let Ok(permit) = Arc::clone(permits).acquire_owned().await else { std::future::pending().await };
            match self.next().await {
                Ok(stream) => return (stream, permit),
                Err(error) if is_the_clients(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "no connection can be accepted now");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn next(&self) -> io::Result<Arrival> {
        let socket = async {
            match &self.socket {
                Some(socket) => socket.accept().await,
                None => std::future::pending().await,
            }
        };
        let owner = async { self.owner.wait().await.accept().await };
        let (stream, is_owners) = tokio::select! {
            accepted = self.port.accept() => (Either::Left(accepted?.0), false),
            accepted = socket => (Either::Right(accepted?.0), false),
            accepted = owner => (Either::Right(accepted?.0), true),
        };
        Ok(Arrival { stream, is_owners })
    }
}

/// The client went away between its connection and our acceptance of it.
fn is_the_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}
