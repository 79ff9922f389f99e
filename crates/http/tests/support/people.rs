//! Those who have tokens in a test.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kura_auth::{Authenticator, Identity, PairKey, Reach, Role, Secret, Token, TokenId, Tokens};
use kura_cache::{Namespace, Overlay, Tenant};

/// What S3's key pairs are made with.
const PAIRS: [u8; 32] = [9; 32];

/// Tokens that were given out, and who knows them.
#[derive(Default)]
pub struct People {
    tokens: Vec<Token>,
    authenticator: Arc<Authenticator>,
    overlay: Option<Overlay>,
}

impl People {
    /// A token for somebody.
    pub fn token(&mut self, tenant: &str, namespaces: &[&str], role: Role) -> String {
        self.token_until(tenant, namespaces, role, None)
    }

    /// A token for somebody who writes to that overlay.
    pub fn in_overlay(&mut self, tenant: &str, overlay: &str) -> String {
        self.overlay = Some(Overlay::parse(overlay.to_owned()).unwrap());
        self.token(tenant, &[], Role::Overlay)
    }

    /// One whose time is over.
    pub fn expired(&mut self, tenant: &str, role: Role) -> String {
        self.token_until(tenant, &[], role, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1)))
    }

    fn token_until(&mut self, tenant: &str, namespaces: &[&str], role: Role, until: Option<SystemTime>) -> String {
        let number = self.tokens.len() + 1;
        let id = TokenId::parse(&format!("{number:016x}")).unwrap();
        let reach = Reach::of(namespaces.iter().map(|name| Namespace::parse((*name).to_owned()).unwrap()).collect());
        let tenant = Tenant::parse(tenant.to_owned()).unwrap();
        let overlay = self.overlay.clone().filter(|_| role == Role::Overlay);
        let identity = Identity { tenant, reach, role, overlay, name: id.as_str().into() };
        let secret = Secret::new([u8::try_from(number).unwrap(); 32]);
        self.tokens.push(Token::new(id.clone(), &secret, &identity, SystemTime::UNIX_EPOCH, until));
        self.tell();
        secret.token(&id)
    }

    /// The id and the secret of a token's key pair.
    pub fn pair(token: &str) -> (TokenId, String) {
        let id = TokenId::parse(token.split('_').nth(1).unwrap()).unwrap();
        let secret = PairKey::new(PAIRS).secret(&id);
        (id, secret)
    }

    /// Takes a token away.
    pub fn revoke(&mut self, token: &str) {
        self.tokens.retain(|kept| !token.contains(kept.id.as_str()));
        self.tell();
    }

    /// The tokens as they are now.
    pub fn all(&self) -> Tokens {
        let mut all = Tokens::default();
        self.tokens.iter().for_each(|token| all.add(token.clone()).unwrap());
        all
    }

    fn tell(&self) {
        self.authenticator.replace_tokens(self.all());
        self.authenticator.replace_pair_key(PairKey::new(PAIRS));
    }

    /// Who knows all of them, also those that are given out later.
    pub fn authenticator(&self) -> Arc<Authenticator> {
        Arc::clone(&self.authenticator)
    }
}
