//! Tokens of other issuers (JWT, OpenID Connect): whose they are, by the issuer's keys and by rules about their claims (`rules`).
//!
//! - `keys`: the keys of an issuer (JWKS), each with the algorithms that it may have signed with.
//! - `cryptography`: signatures are verified by `ring`, all else about a token by `jsonwebtoken`.
//! - `issuer`: one issuer: its keys as they were last fetched, and the wish for newer ones.
//!
//! Absent on purpose: symmetric keys, tokens without a signature, and fetching.

mod cryptography;
mod issuer;
mod keys;
#[cfg(test)]
mod tests;

pub use issuer::Issuer;
pub use keys::{Keys, KeysError};
