//! Who makes a request: from its head to what it may do and reach. Asked once a request, before any surface sees it.
//! Not here: who is who (`kura-auth`), and what each request needs (`surface`).

mod attempts;
pub(crate) mod credential;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use kura_auth::{Access, Authenticator, Unidentified};
use kura_disk::Runtime;

use attempts::Attempts;

use crate::link::Shared;

/// What asks clients who they are.
pub(crate) struct Door {
    authenticator: Arc<Authenticator>,
    attempts: Attempts,
    failed: AtomicU64,
}

impl Door {
    pub(crate) fn new(authenticator: Arc<Authenticator>) -> Door {
        Door { authenticator, attempts: Attempts::default(), failed: AtomicU64::new(0) }
    }

    /// What a request with these headers may do and reach that came over that connection. A token counts before the connection's certificate.
    pub(crate) async fn access(&self, headers: &HeaderMap, connection: &Shared, runtime: &dyn Runtime) -> Access {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(runtime.unix_millis());
        let certified = || self.authenticator.certified(connection.certificate.get()?);
        let identified = match credential::token(headers) {
            Err(Unidentified::Missing) => certified().ok_or(Unidentified::Missing),
            Ok(token) => self.authenticator.identify(&token, now).await,
            Err(why) => Err(why),
        };
        identified.unwrap_or_else(|why| Access::nobody(self.count(why, connection.peer, runtime)))
    }

    /// Logins that failed so far.
    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Counts a login that failed for that reason; which reason its client is told.
    pub(crate) fn count(&self, why: Unidentified, from: IpAddr, runtime: &dyn Runtime) -> Unidentified {
        // Without a credential nobody tried to be somebody, and without keys nobody can tell.
        if matches!(why, Unidentified::Missing | Unidentified::NoKeys) {
            return why;
        }
        self.failed.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(%from, %why, "a login failed");
        if self.attempts.failed(from, runtime.monotonic()) { Unidentified::TooOften } else { why }
    }
}
