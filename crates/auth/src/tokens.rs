//! All tokens of a server, as their file has them: text that is replaced as a whole. No secret is in it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kura_cache::{InvalidKey, Namespace, Overlay, Tenant};
use serde::{Deserialize, Serialize};

use crate::access::{Identity, Reach, Unidentified};
use crate::role::Role;
use crate::token::{self, Secret, SecretHash, TokenId};

/// The version of the file's form.
const VERSION: u32 = 1;

/// The most tokens of a server: what identifies many more is an issuer of its own.
pub(crate) const MAX_TOKENS: usize = 10_000;

/// The most namespaces that one token names.
const MAX_NAMESPACES: usize = 100;

/// Why tokens cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// Another text.
    #[error("this is no file of tokens: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A newer form.
    #[error("this is a file of tokens of version {0}, and this Kura knows version {VERSION}: use a newer one")]
    Version(u32),
    /// One that is none.
    #[error("the token {id} cannot be used: {why}")]
    Token {
        /// Which.
        id: TokenId,
        /// What is wrong.
        why: String,
    },
    /// Beyond the bound.
    #[error("a server has at most {MAX_TOKENS} tokens: revoke some that are no longer used")]
    TooMany,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    tokens: Vec<Token>,
}

/// One token, without its secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// What it is called by.
    pub id: TokenId,
    sha256: SecretHash,
    /// Whose artifacts.
    pub tenant: String,
    /// Which of them; all, if it names none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// What may be done.
    pub role: Role,
    /// Of the role `overlay`: which one it writes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlay: Option<String>,
    /// When it was made.
    #[serde(with = "date")]
    pub created: SystemTime,
    /// When it ends, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "some_date")]
    pub expires: Option<SystemTime>,
}

impl Token {
    /// A token of that secret, which does what that identity may.
    #[must_use]
    pub fn new(
        id: TokenId,
        secret: &Secret,
        identity: &Identity,
        created: SystemTime,
        expires: Option<SystemTime>,
    ) -> Token {
        let namespaces = match &identity.reach {
            Reach::All => Vec::new(),
            Reach::Some(some) => some.iter().map(|name| name.as_str().to_owned()).collect(),
        };
        let (tenant, role) = (identity.tenant.as_str().to_owned(), identity.role);
        let overlay = identity.overlay.as_ref().map(|overlay| overlay.as_str().to_owned());
        Token { id, sha256: secret.hash(), tenant, namespaces, role, overlay, created, expires }
    }

    /// Whether its time is over.
    #[must_use]
    pub fn has_expired(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    fn identity(&self) -> Result<Identity, InvalidKey> {
        let namespaces: Result<_, _> = self.namespaces.iter().map(|name| Namespace::parse(name.clone())).collect();
        let (tenant, reach) = (Tenant::parse(self.tenant.clone())?, Reach::of(namespaces?));
        let overlay = self.overlay.clone().map(Overlay::parse).transpose()?;
        Ok(Identity { tenant, reach, role: self.role, overlay, name: self.id.as_str().into() })
    }
}

/// All tokens of a server.
#[derive(Debug, Default)]
pub struct Tokens {
    /// In the order of their file.
    tokens: Vec<(Token, Arc<Identity>)>,
    by_id: HashMap<TokenId, usize>,
}

impl Tokens {
    /// Reads what [`Tokens::to_json`] wrote.
    ///
    /// # Errors
    /// Says what is wrong, and with which token: of a file that is not understood as a whole, nothing is taken.
    pub fn parse(json: &[u8]) -> Result<Tokens, TokensError> {
        let File { version, tokens } = serde_json::from_slice(json)?;
        if version != VERSION {
            return Err(TokensError::Version(version));
        }
        let mut all = Tokens::default();
        tokens.into_iter().try_for_each(|token| all.add(token))?;
        Ok(all)
    }

    /// As they stand in their file.
    ///
    /// # Panics
    /// Never: what is in it can all be written.
    #[must_use]
    pub fn to_json(&self) -> String {
        let tokens = self.tokens.iter().map(|(token, _)| token.clone()).collect();
        let mut json = serde_json::to_string_pretty(&File { version: VERSION, tokens }).expect("text is always JSON");
        json.push('\n');
        json
    }

    /// Adds a token.
    ///
    /// # Errors
    /// `Token` where it cannot be used, or its id is there already; `TooMany`.
    pub fn add(&mut self, token: Token) -> Result<(), TokensError> {
        let refused = |why: &dyn ToString| TokensError::Token { id: token.id.clone(), why: why.to_string() };
        if self.tokens.len() >= MAX_TOKENS {
            return Err(TokensError::TooMany);
        }
        if token.namespaces.len() > MAX_NAMESPACES {
            return Err(refused(&format!("it names more than {MAX_NAMESPACES} namespaces")));
        }
        if self.by_id.contains_key(&token.id) {
            return Err(refused(&"its id is there twice"));
        }
        if token.overlay.is_some() != (token.role == Role::Overlay) {
            return Err(refused(&"an overlay and the role overlay go together"));
        }
        let identity = token.identity().map_err(|error| refused(&error))?;
        self.by_id.insert(token.id.clone(), self.tokens.len());
        self.tokens.push((token, Arc::new(identity)));
        Ok(())
    }

    /// Takes a token away; whether it was there.
    pub fn revoke(&mut self, id: &TokenId) -> bool {
        let Some(at) = self.by_id.remove(id) else { return false };
        self.tokens.remove(at);
        self.by_id.values_mut().filter(|place| **place > at).for_each(|place| *place -= 1);
        true
    }

    /// In the order in which they were made.
    pub fn iter(&self) -> impl Iterator<Item = &Token> {
        self.tokens.iter().map(|(token, _)| token)
    }

    /// Whose token that is. That one has expired is told only to who has its secret.
    ///
    /// # Errors
    /// `Unknown`, `Expired`.
    pub(crate) fn identify(&self, text: &str, now: SystemTime) -> Result<Arc<Identity>, Unidentified> {
        let (id, secret) = token::parse(text).ok_or(Unidentified::Unknown)?;
        let is_theirs = self.find(&id).is_some_and(|(token, _)| token.sha256.is_of(&secret));
        if is_theirs { self.identity_of(&id, now) } else { Err(Unidentified::Unknown) }
    }

    /// Whose the token of that id is. For who has shown that they have its secret, or one that is made of its id.
    ///
    /// # Errors
    /// `Unknown`, `Expired`.
    pub(crate) fn identity_of(&self, id: &TokenId, now: SystemTime) -> Result<Arc<Identity>, Unidentified> {
        let (token, identity) = self.find(id).ok_or(Unidentified::Unknown)?;
        if token.has_expired(now) { Err(Unidentified::Expired) } else { Ok(Arc::clone(identity)) }
    }

    /// Whether there is a token of that id.
    #[must_use]
    pub fn has(&self, id: &TokenId) -> bool {
        self.by_id.contains_key(id)
    }

    fn find(&self, id: &TokenId) -> Option<&(Token, Arc<Identity>)> {
        self.by_id.get(id).and_then(|at| self.tokens.get(*at))
    }
}

/// Dates as RFC 3339 has them, to the second.
mod date {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::{Duration, SystemTime};

    /// The last second that can be written: the end of the year 9999.
    const LAST: Duration = Duration::from_secs(253_402_300_799);

    pub(super) fn serialize<S: Serializer>(date: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
        let date = (*date).clamp(SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + LAST);
        to.collect_str(&humantime::format_rfc3339_seconds(date))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
        let text = String::deserialize(from)?;
        humantime::parse_rfc3339(&text).map_err(|_| D::Error::custom("expected a date such as 2030-01-31T00:00:00Z"))
    }
}

mod some_date {
    use serde::{Deserializer, Serializer};

    use super::{SystemTime, date};

    pub(super) fn serialize<S: Serializer>(date: &Option<SystemTime>, to: S) -> Result<S::Ok, S::Error> {
        match date {
            Some(date) => date::serialize(date, to),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SystemTime>, D::Error> {
        date::deserialize(from).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn token(number: u8, namespaces: &[&str], expires: Option<SystemTime>) -> (Token, String) {
        let id = TokenId::parse(&format!("{number:016x}")).unwrap();
        let namespaces = namespaces.iter().map(|name| Namespace::parse((*name).to_owned()).unwrap()).collect();
        let tenant = Tenant::parse("acme").unwrap();
        let reach = Reach::of(namespaces);
        let identity = Identity { tenant, reach, role: Role::Writer, overlay: None, name: id.as_str().into() };
        let secret = Secret::new([number; 32]);
        (Token::new(id.clone(), &secret, &identity, at(1000), expires), secret.token(&id))
    }

    #[test]
    fn tokens_are_read_as_they_were_written_and_without_their_secrets() {
        let mut tokens = Tokens::default();
        let (one, text) = token(1, &["ios", "a/b"], Some(at(2000)));
        tokens.add(one).unwrap();
        tokens.add(token(2, &[], None).0).unwrap();
        let json = tokens.to_json();
        assert!(!json.contains(text.rsplit_once('_').unwrap().1) && json.contains("1970-01-01T00:33:20Z"), "{json}");
        let tokens = Tokens::parse(json.as_bytes()).unwrap();
        assert_eq!(tokens.to_json(), json);
        let identity = tokens.identify(&text, at(1999)).unwrap();
        assert_eq!((identity.tenant.as_str(), &*identity.name), ("acme", "0000000000000001"));
        assert_eq!(identity.reach, Reach::of(["ios", "a/b"].map(|name| Namespace::parse(name).unwrap()).to_vec()));
    }

    #[test]
    fn a_token_is_good_until_it_expires_or_is_revoked() {
        let mut tokens = Tokens::default();
        let made = [token(1, &[], Some(at(2000))), token(2, &[], None), token(3, &[], None)];
        made.iter().for_each(|(token, _)| tokens.add(token.clone()).unwrap());
        assert_eq!(tokens.identify(&made[0].1, at(2000)), Err(Unidentified::Expired));
        let forged = made[0].1.replace("0000000000000001", "0000000000000002");
        assert_eq!(tokens.identify(&forged, at(0)), Err(Unidentified::Unknown));
        let id = made[1].0.id.clone();
        assert!(tokens.revoke(&id) && !tokens.revoke(&id));
        assert_eq!(tokens.identify(&made[1].1, at(0)), Err(Unidentified::Unknown));
        assert!(tokens.identify(&made[0].1, at(0)).is_ok() && tokens.identify(&made[2].1, at(0)).is_ok());
    }

    #[test]
    fn a_file_that_is_not_understood_as_a_whole_is_refused() {
        let mut tokens = Tokens::default();
        tokens.add(token(1, &["ios"], None).0).unwrap();
        let json = tokens.to_json();
        for (from, to) in [
            ("\"version\": 1", "\"version\": 2"),
            ("\"writer\"", "\"owner\""),
            ("\"writer\"", "\"overlay\""),
            ("\"writer\"", "\"writer\", \"overlay\": \"pr\""),
            ("\"acme\"", "\"a/c\""),
            ("\"ios\"", "\"..\""),
            ("\"created\"", "\"made\""),
            ("1970-", "70-"),
            ("0000000000000001", "1"),
        ] {
            let changed = json.replace(from, to);
            assert_ne!(changed, json, "{from}");
            assert!(Tokens::parse(changed.as_bytes()).is_err(), "{changed}");
        }
        assert!(Tokens::parse(b"").is_err() && Tokens::parse(&json.as_bytes()[..json.len() - 5]).is_err());
        assert!(tokens.add(token(1, &[], None).0).is_err());
    }
}
