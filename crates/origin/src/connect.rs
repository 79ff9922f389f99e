//! A connection to a target: its name is resolved once, and what is connected to is one of the addresses that were checked. So whoever answers for the
//! name cannot give one address to the check and another to the connection.

use std::net::SocketAddr;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::Origins;
use crate::error::Error;
use crate::target::Target;

/// How long each step may take: the name, one address, the handshake.
const STEP: Duration = Duration::from_secs(10);

/// How many of a name's addresses are tried.
const ADDRESSES: usize = 4;

impl Origins {
    /// # Errors
    /// `Closed` where none of its addresses may be connected to, `Unavailable`, `Slow`.
    pub(crate) async fn connect(&self, target: &Target) -> Result<TcpStream, Error> {
        let mut failed = Error::Unavailable("its name has no address".to_owned());
        for address in self.addresses(target).await? {
            match timeout(STEP, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // A request leaves at once. Without it, it only leaves later.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => failed = unavailable(&error),
                Err(_) => failed = Error::Slow("let us connect"),
            }
        }
        Err(failed)
    }

    /// Those of its addresses that may be connected to.
    async fn addresses(&self, target: &Target) -> Result<Vec<SocketAddr>, Error> {
        let found = timeout(STEP, lookup_host((target.host.as_str(), target.port))).await;
        let found: Vec<_> = found.map_err(|_| Error::Slow("be found by name"))?.map_err(|e| unavailable(&e))?.collect();
        let open: Vec<_> = found.iter().copied().filter(|at| self.guard.lets(at.ip())).take(ADDRESSES).collect();
        if open.is_empty() && !found.is_empty() {
            return Err(Error::Closed("its address is not a public one"));
        }
        Ok(open)
    }

    /// # Errors
    /// `Unavailable` also for who cannot prove to be the target, `Slow`.
    pub(crate) async fn secure(&self, target: &Target, stream: TcpStream) -> Result<TlsStream<TcpStream>, Error> {
        let name = ServerName::try_from(target.host.clone());
        let name = name.map_err(|_| Error::NotFetchable("its host is no name that a certificate can have"))?;
        let secured = timeout(STEP, self.tls.connect(name, stream)).await;
        secured.map_err(|_| Error::Slow("agree on TLS"))?.map_err(|error| unavailable(&error))
    }
}

fn unavailable(error: &std::io::Error) -> Error {
    Error::Unavailable(error.to_string())
}
