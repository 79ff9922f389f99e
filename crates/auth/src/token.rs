//! A token's text: `kura_<id>_<secret>`. The id is public and stands for the token wherever it is told of; of the secret, which is 256 random bits, only
//! the SHA-256 is kept: what cannot be guessed needs no slow hash.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// What a token starts with, so that scanners for leaked secrets know it.
const PREFIX: &str = "kura_";

/// Bytes of an id.
const ID: usize = 8;

/// Bytes of a secret.
const SECRET: usize = 32;

/// What a token is called by. No secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenId(Box<str>);

impl TokenId {
    /// 16 hexadecimal digits, in lowercase.
    #[must_use]
    pub fn parse(text: &str) -> Option<TokenId> {
        let well_formed = text.len() == 2 * ID && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        well_formed.then(|| TokenId(text.into()))
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TokenId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<TokenId, &'static str> {
        TokenId::parse(&text).ok_or("an id has 16 hexadecimal digits in lowercase")
    }
}

impl From<TokenId> for String {
    fn from(id: TokenId) -> String {
        id.0.into()
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The part of a token that nobody else knows. It is never printed but by [`Secret::token`].
pub struct Secret([u8; SECRET]);

impl Secret {
    /// Of random bytes.
    #[must_use]
    pub fn new(random: [u8; SECRET]) -> Secret {
        Secret(random)
    }

    /// The text of a token.
    #[must_use]
    pub fn token(&self, id: &TokenId) -> String {
        format!("{PREFIX}{id}_{}", URL_SAFE_NO_PAD.encode(self.0))
    }

    pub(crate) fn hash(&self) -> SecretHash {
        SecretHash(Sha256::digest(self.0).into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Whether that is meant to be one of these tokens.
pub(crate) fn is_ours(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// The id and the secret of a token's text, if it is one.
pub(crate) fn parse(token: &str) -> Option<(TokenId, Secret)> {
    let (id, secret) = token.strip_prefix(PREFIX)?.split_once('_')?;
    let mut bytes = [0; SECRET];
    let decoded = URL_SAFE_NO_PAD.decode_slice(secret, &mut bytes).ok()?;
    Some((TokenId::parse(id)?, Secret(bytes))).filter(|_| decoded == SECRET)
}

/// What is kept of a secret.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct SecretHash([u8; 32]);

impl SecretHash {
    /// In the same time wherever they differ.
    pub(crate) fn is_of(&self, secret: &Secret) -> bool {
        self.0.ct_eq(&secret.hash().0).into()
    }
}

impl TryFrom<String> for SecretHash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<SecretHash, &'static str> {
        let mut hash = [0; 32];
        let complete = faster_hex::hex_decode(text.as_bytes(), &mut hash).is_ok() && text.len() == 2 * hash.len();
        complete.then_some(SecretHash(hash)).ok_or("a SHA-256 has 64 hexadecimal digits")
    }
}

impl From<SecretHash> for String {
    fn from(hash: SecretHash) -> String {
        faster_hex::hex_string(&hash.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written() {
        let id = TokenId::parse("0123456789abcdef").unwrap();
        let secret = Secret::new([0xfb; SECRET]);
        let token = secret.token(&id);
        let (read, found) = parse(&token).unwrap();
        assert_eq!(read, id);
        assert!(secret.hash().is_of(&found));
        assert!(!secret.hash().is_of(&Secret::new([0; SECRET])));
        assert!(!format!("{secret:?}").contains("251"));
    }

    #[test]
    fn what_is_no_token_is_none() {
        let good = Secret::new([7; SECRET]).token(&TokenId::parse("0123456789abcdef").unwrap());
        for bad in ["", "kura_", "kura_0123456789abcdef", "kura_0123456789abcdef_", &good[1..], &good[..good.len() - 1]]
        {
            assert!(parse(bad).is_none(), "{bad}");
        }
        for bad in [format!("{good}A"), format!("{good}="), good.to_uppercase(), good.replace("0123", "0x23")] {
            assert!(parse(&bad).is_none(), "{bad}");
        }
    }
}
