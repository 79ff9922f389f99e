//! Refusals: the only place where a cache's error becomes an HTTP status.
//! Their bodies are JSON, `{"message": "…"}`. A miss is 404, never 403 or 5xx: clients fail builds on those.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use kura_auth::{AFTER_FAILURES, Denied, Unidentified};
use kura_cache::{Error, InvalidKey};

use crate::answer::Answer;
use crate::tenants::Excess;

/// When to come back, where the cache gives no hint of its own.
const COME_BACK: Duration = Duration::from_secs(1);

/// How somebody can say who they are. Browsers ask for a password.
const CHALLENGE: &str = "Basic realm=\"kura\", charset=\"UTF-8\", Bearer realm=\"kura\"";

/// A request that is not carried out.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    message: Cow<'static, str>,
    retry_after: Option<Duration>,
    allow: Option<&'static str>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { status, message: message.into(), retry_after: None, allow: None }
    }

    pub(crate) fn miss() -> Refusal {
        Refusal::new(StatusCode::NOT_FOUND, "not in the cache")
    }

    pub(crate) fn bad_request(message: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn overload(message: &'static str) -> Refusal {
        Refusal { retry_after: Some(COME_BACK), ..Refusal::new(StatusCode::TOO_MANY_REQUESTS, message) }
    }

    pub(crate) fn unavailable(message: &'static str) -> Refusal {
        Refusal { retry_after: Some(COME_BACK), ..Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message) }
    }

    pub(crate) fn method(allow: &'static str) -> Refusal {
        Refusal {
            allow: Some(allow),
            ..Refusal::new(StatusCode::METHOD_NOT_ALLOWED, format!("this path takes {allow}"))
        }
    }

    /// What a failed read comes to: a build goes on without an artifact that cannot be read, so that is a miss. Only an overload says so.
    pub(crate) fn of_read(error: Error) -> Refusal {
        match error {
            Error::Busy { .. } | Error::Closed | Error::Key(_) => Refusal::from(error),
            other => {
                tracing::error!(error = %other, "an artifact could not be read: answered as a miss");
                Refusal::miss()
            }
        }
    }

    /// What its client is told.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// When to come back, in seconds. `random` spreads those that are told so, so that they do not come all at once.
    pub(crate) fn retry_after(&self, random: u64) -> Option<u64> {
        let base = self.retry_after?.as_secs().max(1);
        Some(base + random % (base + 1))
    }

    /// The answer. `random` spreads those that are told to come back.
    pub(crate) fn into_response(self, random: u64) -> Response<Answer> {
        let mut response = Response::new(Answer::whole(json_message(&self.message)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after(random) {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
        }
        response
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        let status = match &error {
            Error::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Error::Invalid(_)
            | Error::Key(_)
            | Error::LengthMismatch { .. }
            | Error::DigestMismatch { .. }
            | Error::NotZstd(_)
            | Error::OtherParts
            | Error::NotAnActionResult(_) => StatusCode::BAD_REQUEST,
            Error::UnknownUpload => StatusCode::NOT_FOUND,
            Error::WholeTooLarge { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Error::Busy { .. } | Error::Evicted => StatusCode::TOO_MANY_REQUESTS,
            Error::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
            Error::Quota { .. } => StatusCode::FORBIDDEN,
            Error::ReadOnly | Error::Closed => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let retry_after = match &error {
            Error::Busy { retry_after } => Some(*retry_after),
            Error::Evicted | Error::Closed => Some(COME_BACK),
            _ => None,
        };
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(%error, "a request failed");
        }
        Refusal { retry_after, ..Refusal::new(status, error.told()) }
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Refusal {
        match denied {
            Denied::Unidentified(Unidentified::TooOften) => Refusal {
                retry_after: Some(AFTER_FAILURES),
                ..Refusal::new(StatusCode::TOO_MANY_REQUESTS, denied.to_string())
            },
            Denied::Unidentified(Unidentified::NoKeys) => Refusal {
                retry_after: Some(COME_BACK),
                ..Refusal::new(StatusCode::SERVICE_UNAVAILABLE, denied.to_string())
            },
            // One that is known, and good, and says nothing that counts here.
            Denied::Unidentified(Unidentified::NoRule) => Refusal::new(StatusCode::FORBIDDEN, denied.to_string()),
            Denied::Unidentified(_) => Refusal::new(StatusCode::UNAUTHORIZED, denied.to_string()),
            _ => Refusal::new(StatusCode::FORBIDDEN, denied.to_string()),
        }
    }
}

impl From<Excess> for Refusal {
    fn from(Excess { message, retry_after }: Excess) -> Refusal {
        Refusal { retry_after: Some(retry_after), ..Refusal::overload(message) }
    }
}

impl From<InvalidKey> for Refusal {
    fn from(error: InvalidKey) -> Refusal {
        Refusal::bad_request(error.to_string())
    }
}

/// `{"message": "…"}`.
pub(crate) fn json_message(message: &str) -> Bytes {
    format!("{{\"message\":{}}}\n", json_string(message)).into()
}

/// A JSON string, quotes included.
pub(crate) fn json_string(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for at in text.chars() {
        match at {
            '"' | '\\' => json.extend(['\\', at]),
            control if control.is_control() => json.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => json.push(other),
        }
    }
    json.push('"');
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_json_whatever_they_hold() {
        assert_eq!(json_string("a \"b\"\\\n\u{85}ü"), r#""a \"b\"\\\u000a\u0085ü""#);
    }

    #[test]
    fn who_is_told_to_come_back_is_told_different_times() {
        let busy = || Refusal::from(Error::Busy { retry_after: Duration::from_secs(10) });
        let told =
            |random| busy().into_response(random).headers()[RETRY_AFTER].to_str().unwrap().parse::<u64>().unwrap();
        assert_eq!(busy().status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!((told(0), told(7), told(10), told(11)), (10, 17, 20, 10));
    }

    #[test]
    fn a_read_that_fails_is_a_miss_and_an_overload_is_not() {
        assert_eq!(Refusal::of_read(Error::Evicted).status, StatusCode::NOT_FOUND);
        assert_eq!(Refusal::of_read(Error::Busy { retry_after: COME_BACK }).status, StatusCode::TOO_MANY_REQUESTS);
    }
}
