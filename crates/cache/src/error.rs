//! What can go wrong, told apart by what the caller can do about it. A miss is not an error.

use std::borrow::Cow;
use std::time::Duration;

use crate::artifact::InvalidKey;
use crate::digest::Digest;

/// Why the cache could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Larger than any artifact of its kind may be: do not send it again.
    #[error("larger than the {limit} bytes that are taken here")]
    TooLarge {
        /// The most bytes.
        limit: u64,
    },
    /// The request cannot be right: do not send it again.
    #[error("{0}")]
    Invalid(&'static str),
    /// The key or a name is not one.
    #[error(transparent)]
    Key(#[from] InvalidKey),
    /// The body does not have the length that was declared.
    #[error("the body has {received} bytes and not the {declared} that were declared")]
    LengthMismatch {
        /// As announced.
        declared: u64,
        /// As received, up to the refusal.
        received: u64,
    },
    /// The body does not have the digest that it was sent under.
    #[error("the body's digest is {found} and not {expected}")]
    DigestMismatch {
        /// As announced.
        expected: Box<Digest>,
        /// As computed.
        found: Box<Digest>,
    },
    /// What was sent as zstd is none, or not of the sort that is taken here.
    #[error("not zstd that is taken here: {0}")]
    NotZstd(&'static str),
    /// A blob that is needed is not there.
    #[error("the blob {0} is not there")]
    Absent(Box<Digest>),
    /// No such multipart upload: it never was, is over, or is too old.
    #[error("there is no such upload, or it is over")]
    UnknownUpload,
    /// The parts of a multipart upload are not those that it is to be completed with.
    #[error(
        "these are not the parts that were uploaded, in order of number: one of them is missing, or was sent again"
    )]
    OtherParts,
    /// The parts of a multipart upload are too large together.
    #[error("the parts have more than the {limit} bytes that are taken here in all")]
    WholeTooLarge {
        /// The most bytes.
        limit: u64,
    },
    /// What was sent as an action result is none.
    #[error("not an action result: {0}")]
    NotAnActionResult(&'static str),
    /// No room at this moment: come back after the hint.
    #[error("busy: try again in {} s", .retry_after.as_secs().max(1))]
    Busy {
        /// When trying again is worth it.
        retry_after: Duration,
    },
    /// The filesystem is full, and giving way did not help.
    #[error("the disk is full: {0}")]
    Full(&'static str),
    /// An overlay has taken as much as it may.
    #[error("the overlay has taken the {limit} bytes that it may take")]
    Quota {
        /// The most bytes.
        limit: u64,
    },
    /// What was being written or read was evicted under it: start again.
    #[error("evicted while it was being transferred: start again")]
    Evicted,
    /// What is stored is not what was stored: it cannot be served.
    #[error("{0}")]
    Damaged(&'static str),
    /// Nothing is taken any more, what is stored is served: the device fails.
    #[error("the device fails: reads are served, writes are refused")]
    ReadOnly,
    /// The server is shutting down.
    #[error("shutting down")]
    Closed,
    /// The store failed in a way that only an operator can do something about.
    #[error("the store failed: {0}")]
    Store(#[source] kura_store::Error),
}

/// What clients are told of what failed inside.
const FAILED: &str = "the server failed: its log says how, under the id of this request";

impl Error {
    /// What its client is told. How the store failed is for the log: it names paths of this machine.
    #[must_use]
    pub fn told(&self) -> Cow<'static, str> {
        match self {
            Error::Store(_) => FAILED.into(),
            other => other.to_string().into(),
        }
    }
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

impl From<kura_store::Error> for Error {
    fn from(error: kura_store::Error) -> Error {
        use kura_store::Error as Store;
        match error {
            Store::TooLarge { limit } => Error::TooLarge { limit },
            Store::Invalid(why) => Error::Invalid(why),
            Store::LengthMismatch { declared, received } => Error::LengthMismatch { declared, received },
            Store::Busy { retry_after } => Error::Busy { retry_after },
            Store::Full(why) => Error::Full(why),
            // Others took the room between the look at it and the allocation.
            Store::Io { source, .. } if is_full(&source) => Error::Full("the filesystem has no room left"),
            Store::Evicted => Error::Evicted,
            Store::ReadOnly => Error::ReadOnly,
            Store::Closed => Error::Closed,
            other => Error::Store(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_filesystem_without_room_is_full_and_no_other_failure_is() {
        let failed =
            |kind: io::ErrorKind| Error::from(kura_store::Error::Io { operation: "allocating", source: kind.into() });
        assert!(matches!(failed(io::ErrorKind::StorageFull), Error::Full(_)));
        assert!(matches!(failed(io::ErrorKind::QuotaExceeded), Error::Full(_)));
        assert!(matches!(failed(io::ErrorKind::FileTooLarge), Error::Store(_)));
    }

    #[test]
    fn no_client_is_told_where_the_store_lies() {
        let source = io::Error::other("/srv/kura/segments/0123");
        let error = Error::from(kura_store::Error::Io { operation: "writing records", source });
        assert!(error.to_string().contains("/srv") && !error.told().contains("/srv"), "{}", error.told());
        assert_eq!(Error::ReadOnly.told(), Error::ReadOnly.to_string());
    }
}
