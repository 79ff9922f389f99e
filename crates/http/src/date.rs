//! When an artifact was stored, as its version tells it.

use std::time::{Duration, SystemTime};

use kura_cache::Version;

/// The end of the year 9999, beyond which HTTP has no dates: a store may have been written by a clock that was far ahead.
const LAST_DATE_MILLIS: u64 = 253_402_300_799_000;

/// In whole milliseconds.
pub(crate) fn stored_at(version: Version) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(version.unix_millis().min(LAST_DATE_MILLIS))
}
