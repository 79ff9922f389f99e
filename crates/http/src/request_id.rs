//! What a request is called in answers and logs: `x-request-id`, as its client or a proxy has it, or of our own.

use std::sync::atomic::{AtomicU64, Ordering};

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Response};

const NAME: HeaderName = HeaderName::from_static("x-request-id");

/// The longest of somebody else's that is taken, in bytes.
const MAX_LEN: usize = 128;

/// Where those of our own come from: no two are alike, nor are those of another start. They are no secret.
pub(crate) struct RequestIds(AtomicU64);

impl RequestIds {
    /// From a random number on.
    pub(crate) fn from(random: u64) -> RequestIds {
        RequestIds(AtomicU64::new(random))
    }

    /// The request's own, if it is one that can stand in a line of a log.
    pub(crate) fn of(&self, headers: &HeaderMap) -> RequestId {
        let own = headers.get(NAME).filter(|own| is_plain(own.as_bytes())).cloned();
        RequestId(own.unwrap_or_else(|| self.next()))
    }

    fn next(&self) -> HeaderValue {
        let number = scattered(self.0.fetch_add(1, Ordering::Relaxed));
        HeaderValue::try_from(format!("{number:016x}")).unwrap_or(HeaderValue::from_static("-"))
    }
}

/// Another number for each, so that those of requests one after the other do not look alike: the finish of `SplitMix64` (Steele, Lea and Flood, "Fast
/// splittable pseudorandom number generators", 2014).
fn scattered(number: u64) -> u64 {
    let number = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// Says it in an answer.
    pub(crate) fn tell<B>(self, mut response: Response<B>) -> Response<B> {
        response.headers_mut().insert(NAME, self.0);
        response
    }
}

fn is_plain(id: &[u8]) -> bool {
    (1..=MAX_LEN).contains(&id.len()) && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._:/+=".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_of_our_own_are_alike() {
        let ids = RequestIds::from(u64::MAX - 500);
        let made: std::collections::HashSet<_> = (0..1000).map(|_| ids.next()).collect();
        assert_eq!(made.len(), 1000);
        assert!(made.iter().all(|id| id.len() == 16 && is_plain(id.as_bytes())));
    }

    #[test]
    fn an_id_that_could_not_stand_in_a_log_is_not_taken() {
        for plain in ["a", "4f3c:2-1_x", "dGVzdA==", &"x".repeat(MAX_LEN)] {
            assert!(is_plain(plain.as_bytes()), "{plain}");
        }
        for bad in ["", "a b", "a\"b", "\u{1b}[31m", "ü", &"x".repeat(MAX_LEN + 1)] {
            assert!(!is_plain(bad.as_bytes()), "{bad}");
        }
    }
}
