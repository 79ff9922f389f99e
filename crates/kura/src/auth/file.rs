//! The files of tokens and of rules: read as a whole. That of tokens is replaced as a whole too; whoever changes it holds a lock on its directory meanwhile,
//! so that no change is lost. Beside it stands what the secrets of S3's key pairs are made with, once somebody has asked for one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use kura_auth::{PairKey, Rules, RulesError, Tokens, TokensError};
use rustix::fs::{FlockOperation, flock};

/// The longest file taken, in bytes: as many tokens as there may be, with some namespaces each.
const MAX_FILE: u64 = 8 << 20;

/// What the new file is called until it is whole. The next start of a server removes it.
const TEMPORARY: &str = "tmp-tokens";

/// What the name of a file of tokens is followed by where its key pairs are meant.
const OF_PAIRS: &str = ".s3";

/// Files that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthFileError {
    #[error("cannot read {path}: {source}; see --auth-tokens and --auth-rules")]
    Unreadable { path: String, source: io::Error },
    #[error("{path}: {source}; see --auth-tokens")]
    Unusable { path: String, source: TokensError },
    #[error("cannot write {path}: {source}; see --auth-tokens")]
    NotWritable { path: String, source: io::Error },
    #[error("{path} is to hold one line of 64 hexadecimal digits, or not to be there; see `kura token s3`")]
    NoPairKey { path: String },
    #[error("{path}: {source}; see --auth-rules")]
    UnusableRules { path: String, source: RulesError },
}

/// Where tokens are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokensFile(pub(crate) PathBuf);

impl TokensFile {
    fn name(&self) -> String {
        self.0.display().to_string()
    }

    /// What is said of a file that has to be there.
    pub(crate) fn missing(&self) -> AuthFileError {
        AuthFileError::Unreadable { path: self.name(), source: io::ErrorKind::NotFound.into() }
    }

    fn directory(&self) -> &Path {
        self.0.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// The tokens; none, where there is no file.
    ///
    /// # Errors
    /// `Unreadable`, `Unusable`.
    pub(crate) fn read(&self) -> Result<Option<Tokens>, AuthFileError> {
        let text = match read(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(|source| AuthFileError::Unreadable { path: self.name(), source })?,
        };
        let unusable = |source| AuthFileError::Unusable { path: self.name(), source };
        Tokens::parse(&text).map(Some).map_err(unusable)
    }

    /// Reads the tokens, changes them, and puts them in the place of those before. Whoever reads meanwhile gets one or the other.
    ///
    /// # Errors
    /// Any; and those of `change`, which leave all as it was.
    pub(crate) fn change<T>(
        &self,
        change: impl FnOnce(&mut Tokens) -> Result<T, TokensError>,
    ) -> Result<T, AuthFileError> {
        let directory = self.lock()?;
        let mut tokens = self.read()?.unwrap_or_default();
        let unusable = |source| AuthFileError::Unusable { path: self.name(), source };
        let changed = change(&mut tokens).map_err(unusable)?;
        self.replace(&directory, &self.0, &tokens.to_json())?;
        Ok(changed)
    }

    /// Where it stands what the secrets of S3's key pairs are made with.
    pub(crate) fn pairs(&self) -> PathBuf {
        let mut name = self.0.clone().into_os_string();
        name.push(OF_PAIRS);
        name.into()
    }

    /// What the secrets of S3's key pairs are made with; nothing, where nobody has asked for one yet.
    ///
    /// # Errors
    /// `Unreadable`, `NoPairKey`.
    pub(crate) fn pair_key(&self) -> Result<Option<PairKey>, AuthFileError> {
        let path = || self.pairs().display().to_string();
        let text = match read(&self.pairs()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(|source| AuthFileError::Unreadable { path: path(), source })?,
        };
        PairKey::parse(&text).map(Some).ok_or_else(|| AuthFileError::NoPairKey { path: path() })
    }

    /// The same, which is `new` where it was not there.
    ///
    /// # Errors
    /// Any.
    pub(crate) fn pair_key_or(&self, new: PairKey) -> Result<PairKey, AuthFileError> {
        let directory = self.lock()?;
        if let Some(known) = self.pair_key()? {
            return Ok(known);
        }
        self.replace(&directory, &self.pairs(), &new.to_text())?;
        Ok(new)
    }

    /// Its directory, in which nobody else writes until it is dropped.
    fn lock(&self) -> Result<File, AuthFileError> {
        let locked = || {
            fs::create_dir_all(self.directory())?;
            let directory = File::open(self.directory())?;
            flock(&directory, FlockOperation::LockExclusive)?;
            Ok(directory)
        };
        locked().map_err(|source| AuthFileError::NotWritable { path: self.name(), source })
    }

    fn replace(&self, directory: &File, path: &Path, text: &str) -> Result<(), AuthFileError> {
        let written = self.write(path, text.as_bytes()).and_then(|()| directory.sync_all());
        written.map_err(|source| AuthFileError::NotWritable { path: path.display().to_string(), source })
    }

    fn write(&self, path: &Path, text: &[u8]) -> io::Result<()> {
        let temporary = self.directory().join(TEMPORARY);
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // Nobody else has to know who there is.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    }
}

/// Which issuers are trusted, and for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RulesFile(pub(crate) PathBuf);

impl RulesFile {
    /// The rules.
    ///
    /// # Errors
    /// `Unreadable`, `UnusableRules`.
    pub(crate) fn read(&self) -> Result<Rules, AuthFileError> {
        let path = || self.0.display().to_string();
        let text =
            read(&self.0).and_then(|text| String::from_utf8(text).map_err(|_| io::ErrorKind::InvalidData.into()));
        let text = text.map_err(|source| AuthFileError::Unreadable { path: path(), source })?;
        Rules::parse(&text).map_err(|source| AuthFileError::UnusableRules { path: path(), source })
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_FILE { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(text) }
}
