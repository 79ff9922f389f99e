//! The keys of an issuer, as its JWKS has them (RFC 7517). The type of a key says which algorithms it may have signed with, and never the token alone.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};

/// The most keys of one issuer.
const MAX_KEYS: usize = 100;

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// Another text.
    #[error("these are no keys (JWKS): {0}")]
    Malformed(#[from] serde_json::Error),
    /// Beyond the bound.
    #[error("an issuer has at most {MAX_KEYS} keys")]
    TooMany,
    /// None that can verify.
    #[error("none of the keys can verify a signature: RSA, P-256, P-384 and Ed25519 can")]
    Unusable,
}

/// One key that verifies.
pub(super) struct Key {
    id: Option<String>,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) key: DecodingKey,
}

/// All keys of an issuer that verify.
pub struct Keys(Vec<Key>);

impl Keys {
    /// Reads a JWKS. Keys for other purposes, and of types that are not known, are passed over.
    ///
    /// # Errors
    /// Any.
    pub fn parse(json: &[u8]) -> Result<Keys, KeysError> {
        let all: JwkSet = serde_json::from_slice(json)?;
        if all.keys.len() > MAX_KEYS {
            return Err(KeysError::TooMany);
        }
        let keys: Vec<Key> = all.keys.iter().filter_map(usable).collect();
        if keys.is_empty() { Err(KeysError::Unusable) } else { Ok(Keys(keys)) }
    }

    /// Those that a token may mean: of that id, or all where it says none.
    pub(super) fn named<'a>(&'a self, id: Option<&'a str>) -> impl Iterator<Item = &'a Key> {
        self.0.iter().filter(move |key| id.is_none_or(|id| key.id.as_deref() == Some(id)))
    }
}

fn usable(key: &Jwk) -> Option<Key> {
    if key.common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
        return None;
    }
    let mut algorithms = match &key.algorithm {
        AlgorithmParameters::RSA(_) => vec![
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::PS384,
            Algorithm::PS512,
        ],
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => vec![Algorithm::ES256],
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => vec![Algorithm::ES384],
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => vec![Algorithm::EdDSA],
        _ => return None,
    };
    if let Some(said) = key.common.key_algorithm {
        let said: Algorithm = said.to_string().parse().ok()?;
        algorithms.retain(|algorithm| *algorithm == said);
    }
    let id = key.common.key_id.clone();
    (!algorithms.is_empty()).then_some(Key { id, algorithms, key: DecodingKey::from_jwk(key).ok()? })
}
