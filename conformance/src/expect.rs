//! What a check says when the server does something else.

use std::fmt::Debug;
use std::time::Duration;

use bazel_remote_apis::google::rpc;
use tonic::{Code, Status};

/// How long a single answer may take where the server has all that it needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What was expected and what came, in one sentence.
#[derive(Debug)]
pub(crate) struct Difference(pub(crate) String);

impl Difference {
    /// The same, with what it is about.
    pub(crate) fn about(self, what: &str) -> Difference {
        Difference(format!("{what}: {}", self.0))
    }
}

/// What a check comes to.
pub(crate) type Outcome<T = ()> = Result<T, Difference>;

impl From<Status> for Difference {
    fn from(status: Status) -> Difference {
        Difference(format!("expected OK, got {}", described(&status)))
    }
}

/// Differs, with what there is to say about it.
pub(crate) fn differs<T>(what: impl Into<String>) -> Outcome<T> {
    Err(Difference(what.into()))
}

pub(crate) fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { differs(otherwise()) }
}

pub(crate) fn equal<T: PartialEq + Debug>(what: &str, got: &T, expected: &T) -> Outcome {
    ensure(got == expected, || format!("{what}: expected {expected:?}, got {got:?}"))
}

/// Like [`equal`], for bytes that nobody wants to see.
pub(crate) fn same_bytes(what: &str, got: &[u8], expected: &[u8]) -> Outcome {
    equal(&format!("the length of {what}"), &got.len(), &expected.len())?;
    match got.iter().zip(expected).position(|(got, expected)| got != expected) {
        Some(position) => differs(format!("{what}: another byte at {position}")),
        None => Ok(()),
    }
}

/// The call fails with one of `codes`.
pub(crate) fn refused<T>(answer: Result<T, Status>, codes: &[Code]) -> Outcome {
    match answer {
        Ok(_) => differs(format!("expected {}, got OK", listed(codes))),
        Err(status) if codes.contains(&status.code()) => Ok(()),
        Err(status) => differs(format!("expected {}, got {}", listed(codes), described(&status))),
    }
}

/// The status of one blob of many is one of `codes`.
pub(crate) fn answered(what: &str, status: Option<&rpc::Status>, codes: &[Code]) -> Outcome {
    let status = status.cloned().unwrap_or_default();
    let code = Code::from_i32(status.code);
    ensure(codes.contains(&code), || {
        format!("{what}: expected {}, got {} ({:?})", listed(codes), name(code), status.message)
    })
}

/// Waits for an answer that the server has no reason to keep back.
pub(crate) async fn soon<T>(what: &str, answer: impl Future<Output = T>) -> Outcome<T> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => Ok(answer),
        Err(_) => differs(format!("{what}: nothing within {} s", PATIENCE.as_secs())),
    }
}

pub(crate) fn described(status: &Status) -> String {
    format!("{} ({:?})", name(status.code()), status.message())
}

fn listed(codes: &[Code]) -> String {
    codes.iter().map(|code| name(*code)).collect::<Vec<_>>().join(" or ")
}

/// The name of a code as the protocol's documents write it.
pub(crate) fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_says_what_was_expected_and_what_came() {
        let refusal = refused(Err::<(), _>(Status::internal("oh")), &[Code::NotFound, Code::OutOfRange]);
        assert_eq!(refusal.unwrap_err().0, "expected NOT_FOUND or OUT_OF_RANGE, got INTERNAL (\"oh\")");
        assert!(refused(Err::<(), _>(Status::not_found("")), &[Code::NotFound]).is_ok());
        assert_eq!(same_bytes("it", b"abc", b"abd").unwrap_err().0, "it: another byte at 2");
        assert_eq!(same_bytes("it", b"ab", b"abd").unwrap_err().0, "the length of it: expected 3, got 2");
        assert!(answered("it", None, &[Code::Ok]).is_ok(), "an absent status is OK");
    }
}
