//! The files that TLS is made of: read at the start, and again when they change or on SIGHUP. Files that cannot be used change nothing, and are named.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use kura_http::{Handle, Tls, TlsError};

use crate::reload;

/// Files are looked at this often: certificates are renewed days before their end.
const LOOK: Duration = Duration::from_secs(10);

/// The longest file taken, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Where what the server shows is kept, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// The certificate, and those that vouch for it.
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Certificates of those who vouch for clients; without, any client may connect.
    pub(crate) clients: Option<PathBuf>,
}

/// Files that TLS cannot be made of.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsFilesError {
    #[error("cannot read {path}: {source}; see --tls-certificate, --tls-key and --tls-clients")]
    Unreadable { path: String, source: io::Error },
    #[error("{0}; see --tls-certificate, --tls-key and --tls-clients")]
    Unusable(#[from] TlsError),
}

/// What stands in the files.
#[derive(PartialEq, Eq)]
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    clients: Option<Vec<u8>>,
}

/// Keeps what the server shows in step with the files.
pub(crate) struct Watch {
    files: TlsFiles,
    seen: Contents,
}

impl TlsFiles {
    /// # Errors
    /// Names the file that cannot be read, or says why they cannot be used.
    pub(crate) fn load(self) -> Result<(Tls, Watch), TlsFilesError> {
        let contents = self.read()?;
        let tls = contents.parse()?;
        Ok((tls, Watch { files: self, seen: contents }))
    }

    fn read(&self) -> Result<Contents, TlsFilesError> {
        let file = |path: &PathBuf| {
            let unreadable = |source| TlsFilesError::Unreadable { path: path.display().to_string(), source };
            if std::fs::metadata(path).map_err(unreadable)?.len() > MAX_FILE {
                return Err(unreadable(io::ErrorKind::FileTooLarge.into()));
            }
            std::fs::read(path).map_err(unreadable)
        };
        Ok(Contents {
            certificate: file(&self.certificate)?,
            key: file(&self.key)?,
            clients: self.clients.as_ref().map(file).transpose()?,
        })
    }
}

impl Contents {
    fn parse(&self) -> Result<Tls, TlsFilesError> {
        Ok(Tls::from_pem(&self.certificate, &self.key, self.clients.as_deref())?)
    }
}

impl Watch {
    /// Looks at the files until the server ends.
    ///
    /// # Errors
    /// Where SIGHUP cannot be listened for.
    pub(crate) fn keep(mut self, handle: Handle) -> io::Result<()> {
        reload::keep(
            LOOK,
            move |_| self.look(),
            move |found| match found {
                Ok(Some(tls)) => {
                    handle.secure(tls);
                    tracing::info!("the certificate was read again");
                }
                Ok(None) => {}
                Err(error) => tracing::error!(%error, "the certificate stays as it was"),
            },
        )
    }

    /// What is to be shown from now on, if the files have changed. What cannot be used is told once, until it changes again.
    fn look(&mut self) -> Result<Option<Tls>, TlsFilesError> {
        let contents = self.files.read()?;
        if contents == self.seen {
            return Ok(None);
        }
        self.seen = contents;
        self.seen.parse().map(Some)
    }
}

#[cfg(test)]
mod tests {
    use rcgen::generate_simple_self_signed;

    use super::*;

    fn write(files: &TlsFiles) {
        let made = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&files.certificate, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    }

    #[test]
    fn files_are_taken_when_they_change_and_only_if_they_can_be_used() {
        let directory = tempfile::tempdir().unwrap();
        let (certificate, key) = (directory.path().join("certificate"), directory.path().join("key"));
        let files = TlsFiles { certificate, key, clients: None };
        let error = files.clone().load().err().unwrap().to_string();
        assert!(error.contains(files.certificate.to_str().unwrap()) && error.contains("--tls-key"), "{error}");
        write(&files);
        let (_, mut watch) = files.clone().load().unwrap();
        assert!(watch.look().unwrap().is_none());
        write(&files);
        assert!(watch.look().unwrap().is_some());
        // A key that has been written, and a certificate that has not been yet.
        std::fs::write(&files.certificate, "").unwrap();
        assert!(watch.look().is_err());
        assert!(watch.look().unwrap().is_none());
        write(&files);
        assert!(watch.look().unwrap().is_some());
        std::fs::remove_file(&files.key).unwrap();
        assert!(watch.look().is_err());
    }
}
