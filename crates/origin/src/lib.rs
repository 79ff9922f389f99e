//! What is fetched from other servers, by http and https: names are resolved, addresses checked, connections made, redirects followed, bodies streamed.
//!
//! - `target`: a URI in its parts, and where a redirect leads.
//! - `guard`, `network`: which addresses may be connected to.
//! - `connect`: a connection to an address that was checked, and to no other: the name is not resolved again.
//! - `exchange`: one request on it; `download`: redirects, and the body.
//!
//! Bounds: a URI, a head, redirects, and how long anything may stand still. How long a whole body may take and get is its reader's to say.
//! Absent on purpose: the cache, proxies, cookies, credentials, connections that are used again, and HTTP/2.

mod connect;
mod download;
mod error;
mod exchange;
mod guard;
mod network;
mod target;

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

pub use download::Download;
pub use error::Error;
pub use network::{Network, NotANetwork};

use guard::Guard;

/// What an operator decides.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Networks that are fetched from although they are not public.
    pub networks: Vec<Network>,
    /// Who may vouch for an origin's name.
    pub roots: Vec<CertificateDer<'static>>,
    /// How long a body may stand still.
    pub stall: Duration,
}

/// The servers that things are fetched from.
pub struct Origins {
    guard: Guard,
    tls: TlsConnector,
    stall: Duration,
}

impl Origins {
    /// Roots that are none are passed over.
    ///
    /// # Panics
    /// Never: the cryptography that is built in speaks TLS 1.2 and 1.3.
    #[must_use]
    pub fn new(settings: Settings) -> Origins {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(settings.roots);
        let cryptography = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ClientConfig::builder_with_provider(cryptography).with_safe_default_protocol_versions();
        let tls = versions.expect("ring speaks TLS 1.2 and 1.3").with_root_certificates(roots).with_no_client_auth();
        Origins {
            guard: Guard { opened: settings.networks },
            tls: TlsConnector::from(Arc::new(tls)),
            stall: settings.stall,
        }
    }
}

/// Whether a URI is of a scheme that is fetched.
#[must_use]
pub fn is_fetchable(uri: &str) -> bool {
    let scheme = uri.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    matches!(scheme.as_deref(), Some("http" | "https"))
}

/// The certificates that this system trusts. Reads files: for the start.
#[must_use]
pub fn system_roots() -> Vec<CertificateDer<'static>> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a certificate of this system cannot be read");
    }
    if found.certs.is_empty() {
        tracing::warn!("this system trusts no certificates: nothing can be fetched by https");
    }
    found.certs
}
