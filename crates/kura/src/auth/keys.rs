//! Fetches the keys of issuers: at the start, now and then, and when a token names one that is not there. Their addresses are the operator's: any network is
//! connected to. What cannot be fetched stays as it was.

use std::sync::Arc;
use std::time::Duration;

use kura_auth::{Issuer, Keys, KeysError};
use kura_origin::{Network, Origins};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long a fetch may take, and stand still.
const WITHIN: Duration = Duration::from_secs(20);
const STALL: Duration = Duration::from_secs(10);

/// The longest answer taken, in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// Keys are fetched again after this long, and after a failure.
const AGAIN: Duration = Duration::from_secs(600);
const AFTER_FAILURE: Duration = Duration::from_secs(30);

/// What an issuer says of itself (OpenID Connect Discovery).
const CONFIGURATION: &str = "/.well-known/openid-configuration";

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("{uri}: {source}")]
    Origin { uri: String, source: kura_origin::Error },
    #[error("{0} has more than {MAX_ANSWER} bytes")]
    TooLong(String),
    #[error("{0} says nothing of where its keys are: name it with `jwks`")]
    NoConfiguration(String),
    #[error("{uri}: {source}")]
    Keys { uri: String, source: KeysError },
    #[error("nothing came in {} s", WITHIN.as_secs())]
    Late,
}

/// Who fetches.
pub(crate) struct Fetcher {
    origins: Arc<Origins>,
    tasks: JoinSet<()>,
}

impl Fetcher {
    /// Reads the certificates that the system trusts, if there is anybody to fetch from.
    pub(crate) fn new(is_needed: bool) -> Fetcher {
        let everywhere: Vec<Network> = ["0.0.0.0/0", "::/0"].iter().filter_map(|all| all.parse().ok()).collect();
        let roots = if is_needed { kura_origin::system_roots() } else { Vec::new() };
        let settings = kura_origin::Settings { networks: everywhere, roots, stall: STALL };
        Fetcher { origins: Arc::new(Origins::new(settings)), tasks: JoinSet::new() }
    }

    /// Fetches for these from here on, and for nobody else.
    pub(crate) fn follow(&mut self, issuers: Vec<Arc<Issuer>>) {
        self.tasks.abort_all();
        for issuer in issuers {
            self.tasks.spawn(follow(issuer, Arc::clone(&self.origins)));
        }
    }
}

async fn follow(issuer: Arc<Issuer>, origins: Arc<Origins>) {
    loop {
        let fetched = timeout(WITHIN, fetch(&issuer, &origins)).await.unwrap_or(Err(FetchError::Late));
        let rest = match fetched {
            Ok(keys) => {
                issuer.found(keys);
                AGAIN
            }
            Err(error) => {
                tracing::warn!(issuer = issuer.name(), %error, "the keys of an issuer cannot be fetched");
                issuer.failed();
                AFTER_FAILURE
            }
        };
        tokio::select! {
            () = sleep(rest) => {}
            () = issuer.wanted() => {}
        }
    }
}

async fn fetch(issuer: &Issuer, origins: &Origins) -> Result<Keys, FetchError> {
    let uri = match issuer.jwks() {
        Some(uri) => uri.to_owned(),
        None => discovered(issuer.name(), &body(origins, &configuration(issuer.name())).await?)?,
    };
    let keys = body(origins, &uri).await?;
    Keys::parse(&keys).map_err(|source| FetchError::Keys { uri, source })
}

fn configuration(issuer: &str) -> String {
    format!("{}{CONFIGURATION}", issuer.trim_end_matches('/'))
}

/// Where the keys are. An issuer speaks for nobody else, and not in the clear of what it does not say in the clear.
fn discovered(issuer: &str, configuration: &[u8]) -> Result<String, FetchError> {
    let nothing = || FetchError::NoConfiguration(issuer.to_owned());
    let said: serde_json::Value = serde_json::from_slice(configuration).map_err(|_| nothing())?;
    let uri = said["jwks_uri"].as_str().filter(|_| said["issuer"] == issuer).ok_or_else(nothing)?;
    let kept = uri.starts_with("https://") || !issuer.starts_with("https://");
    kept.then(|| uri.to_owned()).ok_or_else(nothing)
}

async fn body(origins: &Origins, uri: &str) -> Result<Vec<u8>, FetchError> {
    let failed = |source| FetchError::Origin { uri: uri.to_owned(), source };
    let mut download = origins.get(uri).await.map_err(failed)?;
    let mut body = Vec::new();
    while let Some(piece) = download.next().await.map_err(failed)? {
        if body.len() + piece.len() > MAX_ANSWER {
            return Err(FetchError::TooLong(uri.to_owned()));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_says_where_its_own_keys_are_and_nobody_elses() {
        assert_eq!(configuration("https://i/realms/a/"), "https://i/realms/a/.well-known/openid-configuration");
        let said = |issuer: &str, text: &str| discovered(issuer, text.as_bytes()).ok();
        let good = r#"{"issuer": "https://i", "jwks_uri": "https://keys/set"}"#;
        assert_eq!(said("https://i", good).as_deref(), Some("https://keys/set"));
        assert_eq!(said("https://other", good), None);
        assert_eq!(said("https://i", r#"{"issuer": "https://i", "jwks_uri": "http://keys/set"}"#), None);
        assert_eq!(said("https://i", r#"{"issuer": "https://i"}"#), None);
        assert_eq!(said("https://i", "no JSON"), None);
    }
}
