//! Keeps what a server knows of its clients in step with the files of tokens and of rules. A file that cannot be used changes nothing, and is named.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use kura_auth::{Authenticator, PairKey, Rules, Tokens};

use super::AuthFiles;
use super::file::AuthFileError;
use super::keys::Fetcher;
use crate::reload::{self, Seen, Stamp, stamp};

/// The files are looked at this often: a token that is revoked does nothing a second later.
const LOOK: Duration = Duration::from_millis(400);

/// The files, as they were last seen.
pub(crate) struct Watch {
    files: AuthFiles,
    tokens: Stamp,
    pairs: Stamp,
    rules: Seen,
}

/// What is new in them.
#[derive(Default)]
struct Found {
    tokens: Option<Tokens>,
    pair_key: Option<PairKey>,
    rules: Option<Rules>,
}

impl Watch {
    /// Reads the files for the first time, and begins to fetch the keys of issuers.
    ///
    /// # Errors
    /// As for reading them. A file of tokens that is not there has none.
    pub(crate) fn begin(files: AuthFiles, authenticator: &Authenticator) -> Result<(Watch, Fetcher), AuthFileError> {
        let tokens = stamp(&files.tokens.0);
        match files.tokens.read()? {
            Some(tokens) => authenticator.replace_tokens(tokens),
            None if files.rules.is_some() => {}
            None => tracing::warn!("there are no tokens: `kura token create` makes one"),
        }
        let pairs = stamp(&files.tokens.pairs());
        if let Some(key) = files.tokens.pair_key()? {
            authenticator.replace_pair_key(key);
        }
        let mut fetcher = Fetcher::new(files.rules.is_some());
        let rules = match &files.rules {
            Some(rules) => {
                let seen = Seen::of(stamp(&rules.0));
                fetcher.follow(authenticator.replace_rules(rules.read()?));
                seen
            }
            None => Seen::of(None),
        };
        Ok((Watch { files, tokens, pairs, rules }, fetcher))
    }

    /// Looks at the files until the server ends.
    ///
    /// # Errors
    /// Where SIGHUP cannot be listened for.
    pub(crate) fn keep(mut self, mut fetcher: Fetcher, authenticator: Arc<Authenticator>) -> io::Result<()> {
        reload::keep(
            LOOK,
            move |asked| self.look(asked),
            move |found| {
                if let Some(tokens) = found.tokens {
                    tracing::info!(tokens = tokens.iter().count(), "the tokens were read again");
                    authenticator.replace_tokens(tokens);
                }
                if let Some(key) = found.pair_key {
                    tracing::info!("what S3's key pairs are made with was read again");
                    authenticator.replace_pair_key(key);
                }
                if let Some(rules) = found.rules {
                    tracing::info!("the rules were read again");
                    fetcher.follow(authenticator.replace_rules(rules));
                }
            },
        )
    }

    /// What is in files that have changed, or in all if somebody asked. What cannot be used is told of once, until it changes again.
    fn look(&mut self, asked: bool) -> Found {
        let mut found = Found::default();
        let tokens = stamp(&self.files.tokens.0);
        if std::mem::replace(&mut self.tokens, tokens) != tokens || asked {
            found.tokens =
                told(self.files.tokens.read().and_then(|tokens| tokens.ok_or_else(|| self.files.tokens.missing())));
        }
        let pairs = stamp(&self.files.tokens.pairs());
        if std::mem::replace(&mut self.pairs, pairs) != pairs || asked {
            // Where it is gone, pairs are good until the next start.
            found.pair_key = told(self.files.tokens.pair_key()).flatten();
        }
        if let Some(file) = &self.files.rules
            && self.rules.look(stamp(&file.0), asked)
        {
            found.rules = told(file.read());
        }
        found
    }
}

fn told<T>(read: Result<T, AuthFileError>) -> Option<T> {
    read.map_err(|error| tracing::error!(%error, "who may do what stays as it was")).ok()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use kura_auth::{Identity, Reach, Role, Secret, Token, TokenId};
    use kura_cache::Tenant;

    use super::super::{RulesFile, TokensFile};
    use super::*;

    fn create(file: &TokensFile, number: u8) -> TokenId {
        let id = TokenId::parse(&format!("{number:016x}")).unwrap();
        let (tenant, reach) = (Tenant::default(), Reach::All);
        let identity = Identity { tenant, reach, role: Role::Reader, overlay: None, name: id.as_str().into() };
        let token = Token::new(id.clone(), &Secret::new([number; 32]), &identity, SystemTime::UNIX_EPOCH, None);
        file.change(|tokens| tokens.add(token)).unwrap();
        id
    }

    fn count(found: &Found) -> Option<usize> {
        found.tokens.as_ref().map(|tokens| tokens.iter().count())
    }

    #[tokio::test]
    async fn tokens_are_taken_when_they_change_and_only_if_they_can_be_used() {
        let directory = tempfile::tempdir().unwrap();
        let file = TokensFile(directory.path().join("deeper/tokens"));
        let files = AuthFiles { tokens: file.clone(), rules: None };
        let (mut watch, _) = Watch::begin(files, &Authenticator::default()).unwrap();
        assert_eq!(count(&watch.look(false)), None);
        let first = create(&file, 1);
        assert_eq!(count(&watch.look(false)), Some(1));
        create(&file, 2);
        assert_eq!(count(&watch.look(false)), Some(2));
        assert!(file.change(|tokens| Ok(tokens.revoke(&first))).unwrap());
        assert_eq!(count(&watch.look(false)), Some(1));
        assert_eq!((count(&watch.look(false)), count(&watch.look(true))), (None, Some(1)));
        std::fs::write(&file.0, "{").unwrap();
        assert!(file.read().err().unwrap().to_string().contains(file.0.to_str().unwrap()));
        assert_eq!(count(&watch.look(false)), None);
        assert!(file.change(|_| Ok(())).is_err(), "what is not understood is not written over");
        std::fs::remove_file(&file.0).unwrap();
        assert_eq!(count(&watch.look(false)), None, "nobody is locked out by a file that is gone");
    }

    #[tokio::test]
    async fn what_pairs_are_made_with_is_made_once_and_taken_when_it_changes() {
        let directory = tempfile::tempdir().unwrap();
        let file = TokensFile(directory.path().join("tokens"));
        let files = AuthFiles { tokens: file.clone(), rules: None };
        let (mut watch, _) = Watch::begin(files.clone(), &Authenticator::default()).unwrap();
        assert!(watch.look(true).pair_key.is_none());
        let made = file.pair_key_or(PairKey::new([1; 32])).unwrap();
        assert_eq!(file.pair_key_or(PairKey::new([2; 32])).unwrap().to_text(), made.to_text());
        assert_eq!(watch.look(false).pair_key.unwrap().to_text(), made.to_text());
        assert!(watch.look(false).pair_key.is_none());
        std::fs::write(file.pairs(), "x").unwrap();
        assert!(watch.look(false).pair_key.is_none() && file.pair_key_or(PairKey::new([2; 32])).is_err());
        assert!(Watch::begin(files, &Authenticator::default()).is_err());
    }

    #[tokio::test]
    async fn rules_are_taken_when_they_change_and_only_if_they_can_be_used() {
        let directory = tempfile::tempdir().unwrap();
        let rules = RulesFile(directory.path().join("rules.toml"));
        let files = AuthFiles { tokens: TokensFile(directory.path().join("tokens")), rules: Some(rules.clone()) };
        assert!(Watch::begin(files.clone(), &Authenticator::default()).is_err());
        std::fs::write(&rules.0, "").unwrap();
        let (mut watch, _) = Watch::begin(files, &Authenticator::default()).unwrap();
        assert!(watch.look(false).rules.is_none());
        std::fs::write(&rules.0, "[[issuer]]").unwrap();
        assert!(watch.look(false).rules.is_none() && watch.look(false).rules.is_none());
        std::fs::write(&rules.0, "# none\n").unwrap();
        assert!(watch.look(false).rules.is_none(), "it may not be written to its end");
        assert!(watch.look(false).rules.is_some() && watch.look(false).rules.is_none());
    }
}
