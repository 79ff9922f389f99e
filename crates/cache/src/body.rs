//! The bytes of an artifact on their way out: a piece in memory at a time, however many there are.

use std::fmt;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::error::Error;

/// The bytes of an artifact.
#[derive(Debug)]
pub enum Body {
    /// All of them: bodies of up to a mebibyte come like this.
    Whole(Bytes),
    /// In pieces, each checked as it leaves.
    Pieces(Pieces),
}

/// A body that is read while it is sent.
pub struct Pieces {
    stored: kura_store::Body,
}

impl Body {
    /// What the store holds, as it is.
    pub(crate) fn stored(body: kura_store::Body) -> Body {
        match body.into_whole() {
            Ok(bytes) => Body::Whole(bytes),
            Err(stored) => Body::Pieces(Pieces { stored }),
        }
    }

    /// Restricts it to `range`; what lies past the end is cut off.
    #[must_use]
    pub fn select(self, range: Range<u64>) -> Body {
        match self {
            Body::Whole(bytes) => {
                let end = usize::try_from(range.end).unwrap_or(usize::MAX).min(bytes.len());
                let start = usize::try_from(range.start).unwrap_or(usize::MAX).min(end);
                Body::Whole(bytes.slice(start..end))
            }
            Body::Pieces(mut pieces) => {
                pieces.stored.select(range);
                Body::Pieces(pieces)
            }
        }
    }

    /// All of it in memory; for bodies that are known to be short.
    ///
    /// # Errors
    /// As for [`Pieces::next`].
    pub async fn collect(self) -> Result<Bytes, Error> {
        match self {
            Body::Whole(bytes) => Ok(bytes),
            Body::Pieces(mut pieces) => {
                let mut bytes = BytesMut::with_capacity(usize::try_from(pieces.remaining()).unwrap_or(0));
                while let Some(piece) = pieces.next().await? {
                    bytes.extend_from_slice(&piece);
                }
                Ok(bytes.freeze())
            }
        }
    }
}

impl Pieces {
    /// Bytes that are still to come.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.stored.remaining()
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// `Evicted` where the answer was broken off, `Store`. Nothing more can be read then.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        Ok(self.stored.next().await?)
    }
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pieces").field("remaining", &self.remaining()).finish_non_exhaustive()
    }
}
