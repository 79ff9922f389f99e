//! One issuer: its keys as they were last fetched, and the wish for newer ones. Keys that cannot be fetched any more are used for a day; a token that names
//! a key which is not there makes whoever fetches look again, and waits for that a bounded time.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Header, Validation, decode, decode_header};
use lru::LruCache;
use parking_lot::Mutex;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use super::cryptography;
use super::keys::Keys;
use crate::access::{Identity, Unidentified};
use crate::rules::Trusted;

/// How long a token waits for keys.
const WAIT: Duration = Duration::from_secs(5);

/// For so long nobody looks again for keys that have just been looked for: anybody can name keys that are not there.
const PAUSE: Duration = Duration::from_secs(10);

/// How long keys are used that could not be fetched again.
const STALE: Duration = Duration::from_secs(24 * 3600);

/// Tokens that are remembered.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(4096).expect("it is not zero");

/// An issuer whose tokens are taken.
pub struct Issuer {
    trusted: Trusted,
    state: watch::Sender<State>,
    wanted: Notify,
    /// By the hash of a token: whose it is, and until when. A signature costs more than an artifact.
    verified: Mutex<LruCache<[u8; 32], Verified>>,
}

#[derive(Default, Clone)]
struct State {
    keys: Option<(Arc<Keys>, Instant)>,
    /// When somebody last came back from looking for them.
    looked: Option<Instant>,
}

/// Whose a token is, and until when.
type Verified = (Arc<Identity>, SystemTime);

impl Issuer {
    pub(crate) fn new(trusted: Trusted) -> Issuer {
        cryptography::install();
        let verified = Mutex::new(LruCache::new(REMEMBERED));
        Issuer { trusted, state: watch::Sender::default(), wanted: Notify::new(), verified }
    }

    /// What its tokens call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.trusted.issuer
    }

    /// Where its keys are, if the rules say so.
    #[must_use]
    pub fn jwks(&self) -> Option<&str> {
        self.trusted.jwks.as_deref()
    }

    /// These are its keys from here on.
    pub fn found(&self, keys: Keys) {
        let now = Instant::now();
        self.state.send_replace(State { keys: Some((Arc::new(keys), now)), looked: Some(now) });
        // What a key vouched for that is gone is not vouched for any more.
        self.verified.lock().clear();
    }

    /// Its keys could not be fetched.
    pub fn failed(&self) {
        self.state.send_modify(|state| state.looked = Some(Instant::now()));
    }

    /// Completes when somebody wants newer keys, but not at once after they were looked for.
    pub async fn wanted(&self) {
        tokio::time::sleep(PAUSE).await;
        self.wanted.notified().await;
    }

    /// Whose token that is.
    ///
    /// # Errors
    /// Says why nobody knows.
    pub(crate) async fn identify(&self, token: &str, now: SystemTime) -> Result<Arc<Identity>, Unidentified> {
        let hash = Sha256::digest(token).into();
        if let Some((identity, until)) = self.verified.lock().get(&hash) {
            return if *until > now { Ok(Arc::clone(identity)) } else { Err(Unidentified::Expired) };
        }
        let (keys, verified) = self.verify(token).await?;
        let mut remembered = self.verified.lock();
        if self.keys().is_some_and(|now| Arc::ptr_eq(&now, &keys)) {
            remembered.put(hash, verified.clone());
        }
        Ok(verified.0)
    }

    /// The keys that it was verified with are told too.
    async fn verify(&self, token: &str) -> Result<(Arc<Keys>, Verified), Unidentified> {
        let header = decode_header(token).map_err(|_| Unidentified::Unknown)?;
        if header.crit.is_some() {
            // It says that it means something else to whoever does not know what stands there.
            return Err(Unidentified::Unknown);
        }
        let has = |keys: &Arc<Keys>| keys.named(header.kid.as_deref()).next().is_some();
        let known = self.keys();
        let keys = match known.clone().filter(has) {
            Some(keys) => keys,
            None => match self.newer().await {
                Some(keys) => keys,
                None if known.is_some() => return Err(Unidentified::Unknown),
                None => return Err(Unidentified::NoKeys),
            },
        };
        let verified = self.check(token, &header, &keys)?;
        Ok((keys, verified))
    }

    fn keys(&self) -> Option<Arc<Keys>> {
        let state = self.state.borrow();
        state.keys.as_ref().filter(|(_, since)| since.elapsed() < STALE).map(|(keys, _)| Arc::clone(keys))
    }

    /// The keys after they were looked for once more; nothing, where that was done just now, fails or takes too long.
    async fn newer(&self) -> Option<Arc<Keys>> {
        let mut state = self.state.subscribe();
        let looked = state.borrow_and_update().looked;
        if looked.is_some_and(|looked| looked.elapsed() < PAUSE) {
            return None;
        }
        self.wanted.notify_one();
        timeout(WAIT, state.changed()).await.ok()?.ok()?;
        self.keys()
    }

    fn check(&self, token: &str, header: &Header, keys: &Keys) -> Result<Verified, Unidentified> {
        let mut why = Unidentified::Unknown;
        for key in keys.named(header.kid.as_deref()).filter(|key| key.algorithms.contains(&header.alg)) {
            let mut validation = Validation::new(header.alg);
            validation.set_issuer(&[self.name()]);
            validation.set_audience(self.trusted.audience.all());
            validation.set_required_spec_claims(&["exp", "iss", "aud"]);
            validation.validate_nbf = true;
            validation.leeway = self.trusted.skew().as_secs();
            match decode::<Value>(token, &key.key, &validation) {
                Ok(verified) => {
                    let expires = verified.claims["exp"].as_f64().unwrap_or_default().clamp(0.0, 1e12);
                    let until = SystemTime::UNIX_EPOCH + Duration::from_secs_f64(expires) + self.trusted.skew();
                    return Ok((Arc::new(self.trusted.identity(&verified.claims)?), until));
                }
                Err(error) => why = explained(error.kind()).unwrap_or(why),
            }
        }
        Err(why)
    }
}

/// What is wrong with a token whose signature is right.
fn explained(error: &ErrorKind) -> Option<Unidentified> {
    match error {
        ErrorKind::ExpiredSignature => Some(Unidentified::Expired),
        ErrorKind::ImmatureSignature => Some(Unidentified::NotYet),
        ErrorKind::InvalidAudience => Some(Unidentified::Audience),
        ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => Some(Unidentified::Audience),
        _ => None,
    }
}
