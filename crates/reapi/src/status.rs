//! Statuses: the only place where a cache's error becomes a gRPC code.
//! A miss is NOT_FOUND, never anything else: clients fail builds on that.

use std::time::Duration;

use bazel_remote_apis::google;
use bytes::Bytes;
use kura_cache::{Error, InvalidKey};
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
        Error::Busy { retry_after } => retry(code, &error.to_string(), *retry_after),
        Error::Evicted | Error::Closed => retry(code, &error.to_string(), COME_BACK),
        _ => Status::new(code, error.to_string()),
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
pub(crate) fn broken_off(error: &dyn std::error::Error) -> Status {
    tracing::warn!(%error, "an answer was broken off");
    Status::data_loss(format!("the answer was broken off: {error}"))
}

pub(crate) fn of_key(error: InvalidKey) -> Status {
    of(&Error::from(error))
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
        Error::Busy { .. } | Error::Full(_) => Code::ResourceExhausted,
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
    let info = RetryInfo { retry_delay: Some(delay) };
    let details = google::rpc::Status {
        code: code as i32,
        message: message.to_owned(),
        details: vec![google::protobuf::Any {
            type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
            value: info.encode_to_vec(),
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
    fn a_read_that_fails_is_a_miss_and_an_overload_is_not() {
        assert_eq!(of_read(&Error::Evicted).code(), Code::NotFound);
        assert_eq!(of_read(&Error::Busy { retry_after: COME_BACK }).code(), Code::ResourceExhausted);
        assert_eq!(of_read(&Error::Closed).code(), Code::Unavailable);
    }
}
