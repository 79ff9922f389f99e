//! Where connections come from: a port, and a unix socket if there is one. They share one bound on connections.
//! Not here: the socket's file, which is whoever's that made it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::either::Either;

/// Where the process is out of files, the next connection is tried for after this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A connection as it comes in.
pub(crate) type Arrived = Either<TcpStream, UnixStream>;

pub(crate) struct Listeners {
    pub(crate) port: TcpListener,
    pub(crate) socket: Option<UnixListener>,
}

impl Listeners {
    /// The next connection, once there may be one more.
    pub(crate) async fn accept(&self, permits: &Arc<Semaphore>) -> (Arrived, OwnedSemaphorePermit) {
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

    async fn next(&self) -> io::Result<Arrived> {
        let socket = async {
            match &self.socket {
                Some(socket) => socket.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            accepted = self.port.accept() => accepted.map(|(stream, _)| Either::Left(stream)),
            accepted = socket => accepted.map(|(stream, _)| Either::Right(stream)),
        }
    }
}

/// The client went away between its connection and our acceptance of it.
fn is_the_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}
