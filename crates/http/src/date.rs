//! Dates as HTTP has them: when an artifact was stored, as its version tells it, and what `Date` says.

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use kura_cache::Version;
use kura_disk::Runtime;

/// The end of the year 9999, beyond which HTTP has no dates: a store may have been written by a clock that was far ahead.
const LAST_DATE_MILLIS: u64 = 253_402_300_799_000;

/// In whole milliseconds.
pub(crate) fn stored_at(version: Version) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(version.unix_millis().min(LAST_DATE_MILLIS))
}

thread_local! {
    /// The second since 1970 that was last told, and how it is written.
    static LAST: RefCell<Option<(u64, HeaderValue)>> = const { RefCell::new(None) };
}

/// The time, for `Date`: made once a second.
pub(crate) fn now(runtime: &dyn Runtime) -> HeaderValue {
    let second = runtime.unix_millis().min(LAST_DATE_MILLIS) / 1000;
    LAST.with_borrow_mut(|last| match last {
        Some((at, date)) if *at == second => date.clone(),
        _ => {
            let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(second));
            let date = HeaderValue::try_from(date).unwrap_or_else(|_| HeaderValue::from_static(""));
            *last = Some((second, date.clone()));
            date
        }
    })
}
