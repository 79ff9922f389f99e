//! Leases: how long an artifact is kept after a client was told that it is there.
//! They run by the monotonic clock, from where the wall clock stood at the start, or `heat` if that is later: a wall clock that is set meanwhile ends
//! none and prolongs none. Times are minutes modulo 2^16, so the keeper forgets vouches long before they would look new again.
//! Not here: what is moved for it (`victim`); how vouches survive a restart (`heat`).

use std::time::Duration;

use kura_disk::Runtime;

use crate::index::{Entry, Minutes};
use crate::settings::Settings;
use crate::store::Inner;
use crate::types::RecordType;

pub(crate) struct LeaseClock {
    /// The wall clock when the monotonic one stood at zero, as far as leases are concerned.
    zero_unix_millis: u64,
}

impl LeaseClock {
    /// `last` is the latest time that a lease of an earlier process may run from.
    pub(crate) fn new(runtime: &dyn Runtime, last: Option<Minutes>) -> LeaseClock {
        let now = runtime.unix_millis();
        let ahead = last.map_or(0, |last| Minutes::from_unix_millis(now).age(last).cast_signed().max(0));
        let start = now + u64::from(ahead.unsigned_abs()) * 60_000;
        let since_zero = u64::try_from(runtime.monotonic().as_millis()).unwrap_or(0);
        LeaseClock { zero_unix_millis: start.saturating_sub(since_zero) }
    }

    pub(crate) fn now(&self, runtime: &dyn Runtime) -> Minutes {
        let since_zero = u64::try_from(runtime.monotonic().as_millis()).unwrap_or(0);
        Minutes::from_unix_millis(self.zero_unix_millis + since_zero)
    }
}

/// Whether what was vouched for at `at` is still to be kept.
fn holds(at: Minutes, now: Minutes, lease: Duration) -> bool {
    u64::from(at.age(now)) <= lease.as_secs().div_ceil(60)
}

impl Inner {
    pub(crate) fn now(&self) -> Minutes {
        self.leases.now(self.runtime.as_ref())
    }

    pub(crate) fn is_leased(&self, entry: &Entry) -> bool {
        // What ended something has its vouch, so that what replaces it in turn is kept.
        entry.record_type == RecordType::Artifact
            && entry.vouched.is_some_and(|at| holds(at, self.now(), self.settings.lease))
    }

    /// Forgets vouches that no lease can hold for any more.
    pub(crate) fn forget_old_vouches(&self) {
        let now = self.now();
        self.index.forget_vouches(|at| !holds(at, now, Settings::MAX_LEASE));
    }
}
