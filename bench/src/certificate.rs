//! A certificate for `localhost`, of its own authority, in files, and who trusts it.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::generate_simple_self_signed;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;

pub(crate) struct Certificate {
    directory: TempDir,
    pub(crate) trusted: Arc<ClientConfig>,
}

impl Certificate {
    pub(crate) fn new() -> anyhow::Result<Certificate> {
        let directory = tempfile::tempdir()?;
        let made = generate_simple_self_signed(["localhost".to_owned()])?;
        std::fs::write(directory.path().join("certificate.pem"), made.cert.pem())?;
        std::fs::write(directory.path().join("key.pem"), made.signing_key.serialize_pem())?;
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let trusted = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let trusted = trusted.with_root_certificates(roots).with_no_client_auth();
        Ok(Certificate { directory, trusted: Arc::new(trusted) })
    }

    /// The certificate's and its key's.
    pub(crate) fn files(&self) -> [String; 2] {
        let path = |name: &str| -> PathBuf { self.directory.path().join(name) };
        ["certificate.pem", "key.pem"].map(|name| path(name).display().to_string())
    }
}
