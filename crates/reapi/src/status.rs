//! Statuses: the only place where a cache's error becomes a gRPC code.
//! A miss is NOT_FOUND, never anything else: clients fail builds on that.

use std::time::Duration;

use bazel_remote_apis::google;
use bytes::Bytes;
use kura_auth::{AFTER_FAILURES, Denied, Unidentified};
use kura_cache::{Error, InvalidKey};
use kura_http::Excess;
use prost::Message;
use tonic::{Code, Status};

/// When to come back, where the cache gives no hint of its own.
const COME_BACK: Duration = Duration::from_secs(1);

pub(crate) fn miss() -> Status {
    Status::not_found("not in the cache")
}

/// No room at this moment.
pub(crate) fn overload(message: &str) -> Status {
    retry(Code::ResourceExhausted, message, COME_BACK)
}

/// Not yet, or not any more.
pub(crate) fn unavailable(message: &str) -> Status {
    retry(Code::Unavailable, message, COME_BACK)
}

/// What an error comes to.
pub(crate) fn of(error: &Error) -> Status {
    let code = code(error);
    if code == Code::Internal {
        tracing::error!(%error, "a call failed");
    }
    match error {
        Error::Busy { retry_after } => retry(code, &error.told(), *retry_after),
        Error::Evicted | Error::Closed => retry(code, &error.told(), COME_BACK),
        _ => Status::new(code, error.told()),
    }
}

/// What a failed read comes to: a build goes on without an artifact that cannot be read, so that is a miss. Only an overload says so.
pub(crate) fn of_read(error: &Error) -> Status {
    match error {
        Error::Busy { .. } | Error::Closed | Error::Key(_) => of(error),
        other => {
            tracing::error!(error = %other, "an artifact could not be read: answered as a miss");
            miss()
        }
    }
}

/// What an answer comes to that cannot be continued.
pub(crate) fn broken_off(error: &Error) -> Status {
    tracing::warn!(%error, "an answer was broken off");
    Status::data_loss(format!("the answer was broken off: {}", error.told()))
}

pub(crate) fn of_key(error: InvalidKey) -> Status {
    of(&Error::from(error))
}

/// Who may not do what they ask for.
pub(crate) fn of_denied(denied: &Denied) -> Status {
    let code = match denied {
        Denied::Unidentified(Unidentified::TooOften) => {
            return retry(Code::ResourceExhausted, &denied.to_string(), AFTER_FAILURES);
        }
        Denied::Unidentified(Unidentified::NoKeys) => return unavailable(&denied.to_string()),
        Denied::Unidentified(Unidentified::NoRule) => Code::PermissionDenied,
        Denied::Unidentified(_) => Code::Unauthenticated,
        _ => Code::PermissionDenied,
    };
    Status::new(code, denied.to_string())
}

/// Whose tenant has what it may take.
pub(crate) fn of_excess(excess: &Excess) -> Status {
    retry(Code::ResourceExhausted, excess.message, excess.retry_after)
}

/// The status of one blob in a batch.
pub(crate) fn of_blob(status: &Status) -> google::rpc::Status {
    google::rpc::Status { code: status.code() as i32, message: status.message().to_owned(), details: Vec::new() }
}

fn code(error: &Error) -> Code {
    match error {
        Error::TooLarge { .. }
        | Error::Invalid(_)
        | Error::Key(_)
        | Error::LengthMismatch { .. }
        | Error::DigestMismatch { .. }
        | Error::NotZstd(_)
        | Error::NotAnActionResult(_) => Code::InvalidArgument,
        Error::Absent(_) => Code::NotFound,
        Error::Busy { .. } | Error::Full(_) | Error::Quota { .. } => Code::ResourceExhausted,
        Error::Evicted | Error::ReadOnly | Error::Closed => Code::Unavailable,
        _ => Code::Internal,
    }
}

/// `google.rpc.RetryInfo`, which the published types leave out.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<google::protobuf::Duration>,
}

/// A status that says when trying again is worth it.
fn retry(code: Code, message: &str, after: Duration) -> Status {
    let delay = google::protobuf::Duration {
        seconds: i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(after.subsec_nanos()).unwrap_or(0),
    };
    detailed(code, message, "google.rpc.RetryInfo", &RetryInfo { retry_delay: Some(delay) })
}

/// `google.rpc.BadRequest`, which the published types leave out too.
#[derive(Clone, PartialEq, Message)]
struct BadRequest {
    #[prost(message, repeated, tag = "1")]
    field_violations: Vec<FieldViolation>,
}

/// `google.rpc.BadRequest.FieldViolation`.
#[derive(Clone, PartialEq, Message)]
struct FieldViolation {
    #[prost(string, tag = "1")]
    field: String,
    #[prost(string, tag = "2")]
    description: String,
}

/// Qualifiers of an asset that nobody here knows how to obey, in the words that Remote Asset has for that.
pub(crate) fn unsupported_qualifiers(names: &[&str]) -> Status {
    let violation = |name: &&str| FieldViolation {
        field: "qualifiers.name".to_owned(),
        description: format!("\"{name}\" not supported"),
    };
    let message = format!("qualifiers that are not supported: {}", names.join(", "));
    let field_violations = names.iter().map(violation).collect();
    detailed(Code::InvalidArgument, &message, "google.rpc.BadRequest", &BadRequest { field_violations })
}

/// A status with a detail of that type.
fn detailed(code: Code, message: &str, name: &str, detail: &impl Message) -> Status {
    let details = google::rpc::Status {
        code: code as i32,
        message: message.to_owned(),
        details: vec![google::protobuf::Any {
            type_url: format!("type.googleapis.com/{name}"),
            value: detail.encode_to_vec().into(),
        }],
    };
    Status::with_details(code, message, Bytes::from(details.encode_to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_told_to_come_back_is_told_when() {
        let status = of(&Error::Busy { retry_after: Duration::from_millis(2500) });
        assert_eq!(status.code(), Code::ResourceExhausted);
        let details = google::rpc::Status::decode(status.details()).unwrap();
        assert_eq!((details.code, details.message.as_str()), (8, status.message()));
        let info = RetryInfo::decode(&*details.details[0].value).unwrap();
        assert_eq!(info.retry_delay, Some(google::protobuf::Duration { seconds: 2, nanos: 500_000_000 }));
    }

    #[test]
    fn qualifiers_that_are_not_obeyed_are_named_one_by_one() {
        let status = unsupported_qualifiers(&["a", "b"]);
        assert_eq!(status.code(), Code::InvalidArgument);
        let details = google::rpc::Status::decode(status.details()).unwrap();
        let bad = BadRequest::decode(&*details.details[0].value).unwrap();
        let said: Vec<_> = bad.field_violations.iter().map(|one| (&*one.field, &*one.description)).collect();
        assert_eq!(said, [("qualifiers.name", "\"a\" not supported"), ("qualifiers.name", "\"b\" not supported")]);
    }

    #[test]
    fn a_read_that_fails_is_a_miss_and_an_overload_is_not() {
        assert_eq!(of_read(&Error::Evicted).code(), Code::NotFound);
        assert_eq!(of_read(&Error::Busy { retry_after: COME_BACK }).code(), Code::ResourceExhausted);
        assert_eq!(of_read(&Error::Closed).code(), Code::Unavailable);
    }
}
