//! What a request is called in answers and logs: `x-request-id`, as its client or a proxy has it, or of our own.

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Response};
use kura_disk::Runtime;

const NAME: HeaderName = HeaderName::from_static("x-request-id");

/// The longest of somebody else's that is taken, in bytes.
const MAX_LEN: usize = 128;

pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// The request's own, if it is one that can stand in a line of a log.
    pub(crate) fn of(headers: &HeaderMap, runtime: &dyn Runtime) -> RequestId {
        let own = headers.get(NAME).filter(|own| is_plain(own.as_bytes())).cloned();
        let made = || HeaderValue::from_str(&format!("{:016x}", runtime.random()));
        RequestId(own.unwrap_or_else(|| made().unwrap_or(HeaderValue::from_static("-"))))
    }

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
    fn an_id_that_could_not_stand_in_a_log_is_not_taken() {
        for plain in ["a", "4f3c:2-1_x", "dGVzdA==", &"x".repeat(MAX_LEN)] {
            assert!(is_plain(plain.as_bytes()), "{plain}");
        }
        for bad in ["", "a b", "a\"b", "\u{1b}[31m", "ü", &"x".repeat(MAX_LEN + 1)] {
            assert!(!is_plain(bad.as_bytes()), "{bad}");
        }
    }
}
