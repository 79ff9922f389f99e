//! Whom a client trusts to vouch for a server, and in a sentence why TLS did not come about.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, Error};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::Failure;

/// A file with the authorities that are trusted, in place of those that this machine trusts.
#[derive(Debug, Clone)]
pub(crate) struct Ca {
    pub(crate) file: PathBuf,
    pub(crate) pem: Vec<u8>,
}

impl Ca {
    /// Reads it.
    ///
    /// # Errors
    /// If it cannot be read, or has no certificate.
    pub(crate) fn read(file: &str) -> Result<Ca, Failure> {
        let failed = |source| Failure::File { path: file.to_owned(), source };
        let ca = Ca { file: std::path::absolute(file).map_err(failed)?, pem: std::fs::read(file).map_err(failed)? };
        match ca.certificates().as_slice() {
            [] => Err(Failure::Usage(format!("{file} has no certificate: expected those of authorities, in PEM"))),
            _ => Ok(ca),
        }
    }

    fn certificates(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(&self.pem).filter_map(Result::ok).collect()
    }
}

/// Trusts those only, or whom this machine does.
pub(super) fn trusting(ca: Option<&Ca>) -> TlsConfig {
    let roots = ca.map_or_else(kura_origin::system_roots, Ca::certificates);
    let roots: Vec<_> = roots.iter().map(|root| Certificate::from_der(root.as_ref()).to_owned()).collect();
    TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build()
}

/// What TLS made of a server, if it was TLS that failed.
pub(super) fn error_in(error: &ureq::Error) -> Option<&Error> {
    match error {
        ureq::Error::Rustls(error) => Some(error),
        ureq::Error::Io(error) => error.get_ref()?.downcast_ref(),
        _ => None,
    }
}

/// That in a sentence.
pub(super) fn failure(at: &str, ca: Option<&Ca>, error: &Error) -> Failure {
    use CertificateError as Certificate;
    Failure::Refused(match error {
        Error::InvalidMessage(_) => format!("{at} does not speak TLS: the server's address begins with http://"),
        // An authority that was made anew has its name from before, and another key.
        Error::InvalidCertificate(Certificate::UnknownIssuer | Certificate::BadSignature) => match ca {
            None => {
                format!("nobody that this machine trusts vouches for {at}: name the file of its authority with --ca")
            }
            Some(ca) => {
                format!("nobody in {} vouches for {at}: the certificate is of another authority", ca.file.display())
            }
        },
        Error::InvalidCertificate(Certificate::NotValidForName) => {
            format!("the certificate of {at} is for another host")
        }
        Error::InvalidCertificate(Certificate::NotValidForNameContext { presented, .. }) => {
            format!("the certificate of {at} is for another host: {}", presented.join(", "))
        }
        Error::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            format!("the certificate of {at} has expired")
        }
        Error::InvalidCertificate(Certificate::NotValidYet | Certificate::NotValidYetContext { .. }) => {
            format!("the certificate of {at} is not good yet: is the clock of this machine right?")
        }
        other => format!("TLS with {at} did not come about: {other}"),
    })
}
