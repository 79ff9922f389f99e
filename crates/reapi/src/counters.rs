//! Calls by method and code, and bytes, for metrics and for people.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kura_http::Exposition;
use tonic::Code;

use crate::method::Method;

/// The codes, by number, as metrics call them.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// One row a method, and one for what is none.
const ROWS: usize = Method::ALL.len() + 1;

/// What was done since the start.
#[derive(Default)]
pub(crate) struct Counters {
    calls: [[AtomicU64; CODES.len()]; ROWS],
    received: AtomicU64,
    sent: AtomicU64,
    fetched: AtomicU64,
    fetches_failed: AtomicU64,
    fetched_bytes: AtomicU64,
}

impl Counters {
    pub(crate) fn received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A fetch from an origin has ended, well or not.
    pub(crate) fn fetched(&self, well: bool) {
        let count = if well { &self.fetched } else { &self.fetches_failed };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn fetched_bytes(&self, bytes: u64) {
        self.fetched_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn total_calls(&self) -> u64 {
        self.calls.iter().flatten().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    pub(crate) fn expose(&self, to: &mut Exposition) {
        const CALLS: &str = "kura_grpc_calls_total";
        to.head(CALLS, "counter", "Calls that have ended, by method and code.");
        let names = Method::ALL.iter().map(|method| method.names().1).chain(["other"]);
        for (name, counts) in names.zip(&self.calls) {
            for (code, count) in CODES.iter().zip(counts) {
                let count = count.load(Ordering::Relaxed);
                if count > 0 {
                    to.labelled(CALLS, &format!("method=\"{name}\",code=\"{code}\""), count);
                }
            }
        }
        let totals = [
            ("kura_grpc_received_bytes_total", "Bytes of messages received.", &self.received),
            ("kura_grpc_sent_bytes_total", "Bytes of messages sent.", &self.sent),
            ("kura_grpc_fetched_total", "Blobs fetched from their origins.", &self.fetched),
            ("kura_grpc_fetches_failed_total", "Fetches from origins that failed.", &self.fetches_failed),
            ("kura_grpc_fetched_bytes_total", "Bytes fetched from origins.", &self.fetched_bytes),
        ];
        for (name, help, count) in totals {
            to.one(name, "counter", help, count.load(Ordering::Relaxed));
        }
    }
}

/// Counts one call when it ends. One that is dropped before was called off.
pub(crate) struct Tally {
    counters: Arc<Counters>,
    row: usize,
    ended: bool,
}

impl Tally {
    /// `None`: a method that is not served.
    pub(crate) fn new(counters: Arc<Counters>, method: Option<Method>) -> Tally {
        Tally { counters, row: method.map_or(ROWS - 1, |method| method as usize), ended: false }
    }

    pub(crate) fn sent(&self, bytes: u64) {
        self.counters.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn ended(&mut self, code: Code) {
        if !std::mem::replace(&mut self.ended, true) {
            self.counters.calls[self.row][code as usize].fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.ended(Code::Cancelled);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_stand_at_their_numbers() {
        for (number, name) in (0..).zip(CODES) {
            let code = format!("{:?}", Code::from_i32(number)).to_uppercase();
            assert_eq!(code, name.replace('_', ""));
        }
    }

    #[test]
    fn a_call_counts_once_and_one_that_is_dropped_was_called_off() {
        let counters = Arc::new(Counters::default());
        let mut tally = Tally::new(Arc::clone(&counters), Some(Method::Read));
        tally.ended(Code::NotFound);
        drop(tally);
        drop(Tally::new(Arc::clone(&counters), None));
        assert_eq!(counters.calls[Method::Read as usize][Code::NotFound as usize].load(Ordering::Relaxed), 1);
        assert_eq!(counters.calls[ROWS - 1][Code::Cancelled as usize].load(Ordering::Relaxed), 1);
        assert_eq!(counters.total_calls(), 2);
    }
}
