//! The key pair of S3's clients: its id is a setting, its secret stands in a file of its own, which is read at the start. It is never shown.

use std::io;
use std::path::PathBuf;

use kura_http::S3Key;

/// The longest secret taken, in bytes.
const MAX_SECRET: u64 = 4096;

/// Where the pair is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct S3Pair {
    pub(crate) id: String,
    /// Where the secret is.
    pub(crate) file: PathBuf,
}

/// A file that holds no secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum S3SecretError {
    #[error("cannot read {path}: {source}; see --s3-secret-file")]
    Unreadable { path: String, source: io::Error },
    #[error("{path} is to hold one line, the secret: see --s3-secret-file")]
    NoSecret { path: String },
}

impl S3Pair {
    /// # Errors
    /// Names the file.
    pub(crate) fn load(&self) -> Result<S3Key, S3SecretError> {
        let path = || self.file.display().to_string();
        let unreadable = |source| S3SecretError::Unreadable { path: path(), source };
        if std::fs::metadata(&self.file).map_err(unreadable)?.len() > MAX_SECRET {
            return Err(S3SecretError::NoSecret { path: path() });
        }
        let text = std::fs::read_to_string(&self.file).map_err(unreadable)?;
        match text.trim() {
            secret if secret.is_empty() || secret.contains('\n') => Err(S3SecretError::NoSecret { path: path() }),
            secret => Ok(S3Key::new(self.id.clone(), secret.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_one_line_and_is_not_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let pair = S3Pair { id: "id".to_owned(), file: file.path().to_owned() };
        std::fs::write(file.path(), "hush-hush\n").unwrap();
        assert!(!format!("{:?}", pair.load().unwrap()).contains("hush"));
        for text in ["", "\n", "one\ntwo\n"] {
            std::fs::write(file.path(), text).unwrap();
            assert!(matches!(pair.load(), Err(S3SecretError::NoSecret { .. })), "{text:?}");
        }
        std::fs::write(file.path(), "x".repeat(5000)).unwrap();
        assert!(pair.load().is_err());
        let gone = S3Pair { file: "/nowhere/secret".into(), ..pair };
        assert!(matches!(gone.load(), Err(S3SecretError::Unreadable { .. })));
    }
}
