//! From a credential to an identity. What it knows may be replaced while it is used.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::RwLock;
use serde::Deserialize;

use crate::access::{Access, Identity, Unidentified};
use crate::certificate::Certificate;
use crate::jwt::Issuer;
use crate::pair::PairKey;
use crate::rules::{Rule, Rules};
use crate::token::{self, TokenId};
use crate::tokens::Tokens;

/// The longest token of another issuer, in bytes.
const MAX_LEN: usize = 16 << 10;

/// Knows whom a credential stands for.
#[derive(Default)]
pub struct Authenticator {
    tokens: RwLock<Arc<Tokens>>,
    issuers: RwLock<Arc<HashMap<String, Arc<Issuer>>>>,
    certificates: RwLock<Arc<[Rule]>>,
    pairs: RwLock<Option<Arc<PairKey>>>,
}

impl Authenticator {
    /// From here on these are the tokens.
    pub fn replace_tokens(&self, tokens: Tokens) {
        *self.tokens.write() = Arc::new(tokens);
    }

    /// From here on the secrets of S3's key pairs are made with this.
    pub fn replace_pair_key(&self, key: PairKey) {
        *self.pairs.write() = Some(Arc::new(key));
    }

    /// The secret that whoever has the key pair of that id signs with; nothing, where no token has that id.
    #[must_use]
    pub fn pair_secret(&self, id: &str) -> Option<String> {
        let id = TokenId::parse(id).filter(|id| self.tokens.read().has(id))?;
        let key = self.pairs.read().clone()?;
        Some(key.secret(&id))
    }

    /// What somebody may do and reach who has signed with the key pair of that id. To be asked once that signature was found to be right, and never before.
    ///
    /// # Errors
    /// `Unknown`, `Expired`.
    pub fn signed(&self, id: &str, now: SystemTime) -> Result<Access, Unidentified> {
        let id = TokenId::parse(id).ok_or(Unidentified::Unknown)?;
        self.tokens.read().identity_of(&id, now).map(Access::of)
    }

    /// From here on these are the rules. Returns the issuers whose keys somebody has to fetch: all of them, and none of those before.
    pub fn replace_rules(&self, rules: Rules) -> Vec<Arc<Issuer>> {
        *self.certificates.write() = rules.certificates.into();
        let issuers: Vec<_> = rules.issuers.into_iter().map(Issuer::new).map(Arc::new).collect();
        let by_name = issuers.iter().map(|issuer| (issuer.name().to_owned(), Arc::clone(issuer)));
        *self.issuers.write() = Arc::new(by_name.collect());
        issuers
    }

    /// What a client may do and reach that has connected with this certificate; nothing, where no rule is about it.
    #[must_use]
    pub fn certified(&self, certificate: &Certificate) -> Option<Access> {
        let rules = Arc::clone(&self.certificates.read());
        certificate.identity(&rules).map(Access::of)
    }

    /// What somebody with this token may do and reach.
    ///
    /// # Errors
    /// Says why nobody knows them.
    pub async fn identify(&self, text: &str, now: SystemTime) -> Result<Access, Unidentified> {
        if token::is_ours(text) {
            let tokens = Arc::clone(&self.tokens.read());
            return tokens.identify(text, now).map(Access::of);
        }
        // It may wait for keys: other requests do not carry its state.
        Box::pin(self.issued(text, now)).await.map(Access::of)
    }

    async fn issued(&self, text: &str, now: SystemTime) -> Result<Arc<Identity>, Unidentified> {
        let issuers = Arc::clone(&self.issuers.read());
        if issuers.is_empty() || text.len() > MAX_LEN {
            return Err(Unidentified::Unknown);
        }
        // Nothing is verified yet: this only says who has to.
        let said = jsonwebtoken::dangerous::insecure_decode_claims::<Issued>(text);
        let said = said.map_err(|_| Unidentified::Unknown)?;
        issuers.get(&said.iss).ok_or(Unidentified::Issuer)?.identify(text, now).await
    }
}

#[derive(Deserialize)]
struct Issued {
    iss: String,
}
