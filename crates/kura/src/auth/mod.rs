//! The files that authentication is made of: read at the start, and again when they change or on SIGHUP (`watch`). Tokens are written by `kura token`
//! (`command`). Text that is replaced as a whole (`file`): it may be written beside a running server, which no file of the store allows for.
//! `keys`: what is fetched from issuers.

mod command;
mod file;
mod keys;
mod watch;

pub(crate) use command::{command, run};
pub(crate) use file::{AuthFileError, RulesFile, TokensFile};
pub(crate) use watch::Watch;

/// Where it stands who may do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuthFiles {
    pub(crate) tokens: TokensFile,
    pub(crate) rules: Option<RulesFile>,
}
