//! Who may do what. A credential leads to an identity ([`Authenticator`]), and what a request may do and reach is asked of its [`Access`]: nothing else
//! decides that.
//!
//! - `role`: what a request needs, and which role has it.
//! - `access`: an identity, and the tenant and the namespaces that it reaches.
//! - `token`: a token's text, and what is kept of it; `tokens`: all of them, as their file has them.
//! - `pair`: the key pairs that S3's clients sign with, made of tokens' ids.
//! - `jwt`: tokens of other issuers; `certificate`: certificates of clients; `rules`: what either leads to.
//! - `authenticator`: from a credential to an identity.
//!
//! Absent on purpose: protocols (the adapters read headers and answer), files and other servers (the binary reads and asks them).

mod access;
mod authenticator;
mod certificate;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod jwt;
mod pair;
mod role;
mod rules;
mod token;
mod tokens;

pub use access::{AFTER_FAILURES, Access, Denied, Identity, Named, Reach, Unidentified};
pub use authenticator::Authenticator;
pub use certificate::Certificate;
pub use jwt::{Issuer, Keys, KeysError};
pub use pair::PairKey;
pub use role::{Need, Role};
pub use rules::{Rules, RulesError};
pub use token::{Secret, TokenId};
pub use tokens::{Token, Tokens, TokensError};
