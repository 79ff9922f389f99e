//! From a credential to an identity. What it knows may be replaced while it is used.

use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::RwLock;

use crate::access::{Access, Unidentified};
use crate::tokens::Tokens;

/// Knows whom a credential stands for.
#[derive(Debug, Default)]
pub struct Authenticator {
    tokens: RwLock<Arc<Tokens>>,
}

impl Authenticator {
    /// From here on these are the tokens.
    pub fn replace_tokens(&self, tokens: Tokens) {
        *self.tokens.write() = Arc::new(tokens);
    }

    /// What somebody with this token may do and reach.
    ///
    /// # Errors
    /// Says why nobody knows them.
    pub fn identify(&self, token: &str, now: SystemTime) -> Result<Access, Unidentified> {
        let tokens = Arc::clone(&self.tokens.read());
        tokens.identify(token, now).map(Access::of)
    }
}
