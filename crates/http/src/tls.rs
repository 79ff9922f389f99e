//! TLS on the port: what the server shows, whom it lets connect, and the handshake. What it shows may be replaced while it serves: connections
//! that are open keep what they agreed on.
//! Bounds: a handshake takes as long as a request's head may.
//! Not here: where certificates come from, and when they are read again.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use kura_auth::Certificate;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use webpki::EndEntityCert;

use crate::listen::Arrived;

/// A connection's bytes, under TLS or as they are.
pub(crate) type Stream = Either<Arrived, Box<TlsStream<TcpStream>>>;

/// What can be agreed on above TLS (ALPN). Whoever agrees on nothing is told by the first bytes, as without TLS.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The first byte of a TLS handshake: its record's type (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// What is said to somebody who does not speak TLS.
const SPEAK_TLS: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 82\r\nConnection: close\r\n\r\n\
    {\"message\":\"this port speaks TLS: use https:// or, for gRPC, grpcs://\",\"tls\":true}";

/// Certificates or a key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Bytes that are no such thing.
    #[error("{what} cannot be read: {source}; it has to be PEM")]
    NotPem {
        /// Which of them.
        what: &'static str,
        /// What is wrong.
        source: rustls::pki_types::pem::Error,
    },
    /// There is none in it.
    #[error("there is no certificate in {0}")]
    NoCertificate(&'static str),
    /// They do not belong together, or are of a kind that is not supported.
    #[error("the certificate and its key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// Of the authorities of clients.
    #[error("the authorities of clients cannot be used: {0}")]
    Authorities(String),
}

/// What the server shows, and whom it lets connect.
#[derive(Clone)]
pub struct Tls(Arc<ServerConfig>);

impl Tls {
    /// Shows the first certificate of a chain in PEM, whose key is in `key`. With `authorities`, only clients may connect whose certificate one of these
    /// certificates vouches for.
    ///
    /// # Errors
    /// Says what is wrong with which of them.
    pub fn from_pem(chain: &[u8], key: &[u8], authorities: Option<&[u8]>) -> Result<Tls, TlsError> {
        let chain = certificates("the certificate", chain)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|source| TlsError::NotPem { what: "the key", source })?;
        let cryptography = Arc::new(rustls::crypto::ring::default_provider());
        let versions =
            ServerConfig::builder_with_provider(Arc::clone(&cryptography)).with_safe_default_protocol_versions()?;
        let clients = match authorities {
            None => versions.with_no_client_auth(),
            Some(authorities) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates("the authorities of clients", authorities)? {
                    roots.add(authority)?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), cryptography).build();
                versions.with_client_cert_verifier(verifier.map_err(|error| TlsError::Authorities(error.to_string()))?)
            }
        };
        let mut config = clients.with_single_cert(chain, key)?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        // Builds connect often, and need not agree on everything anew each time.
        config.ticketer = rustls::crypto::ring::Ticketer::new()?;
        Ok(Tls(Arc::new(config)))
    }

    /// Agrees with a client.
    ///
    /// # Errors
    /// As the system or the client says; `TimedOut` for one that takes too long.
    pub(crate) async fn accept(&self, mut stream: TcpStream, within: Duration) -> io::Result<Stream> {
        let agreed = pin!(async {
            let mut first = [0];
            if stream.peek(&mut first).await? == 1 && first[0] != HANDSHAKE {
                // What was sent is taken first: closed with bytes that nobody read, the connection is reset, and the answer lost.
                let _ = stream.read(&mut [0; 4096]).await?;
                stream.write_all(SPEAK_TLS).await?;
                return Err(io::Error::new(io::ErrorKind::InvalidData, "it does not speak TLS"));
            }
            TlsAcceptor::from(Arc::clone(&self.0)).accept(stream).await
        });
        let agreed = timeout(within, agreed).await.map_err(|_| io::ErrorKind::TimedOut)?;
        agreed.map(|stream| Either::Right(Box::new(stream)))
    }
}

/// The certificate that a client was let in with, if it was asked for one.
pub(crate) fn shown(stream: &Stream) -> Option<Certificate> {
    let Either::Right(stream) = stream else { return None };
    let shown = EndEntityCert::try_from(stream.get_ref().1.peer_certificates()?.first()?).ok()?;
    Some(Certificate::new(shown.valid_dns_names(), shown.valid_uri_names()))
}

fn certificates(what: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|source| TlsError::NotPem { what, source })?;
    if all.is_empty() { Err(TlsError::NoCertificate(what)) } else { Ok(all) }
}
