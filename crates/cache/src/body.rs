//! The bytes of an artifact on their way out: a piece in memory at a time, however many there are.

use std::fmt;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::error::Error;
use crate::spliced::Spliced;
use crate::transcode::{Decoded, Encoded};

/// The bytes of an artifact.
#[derive(Debug)]
pub enum Body {
    /// All of them: bodies of up to 256 KiB come like this.
    Whole(Bytes),
    /// In pieces, each checked as it leaves.
    Pieces(Pieces),
}

/// A body that is read while it is sent.
pub struct Pieces {
    source: Source,
}

enum Source {
    Content(Content),
    Encoded(Box<Encoded>),
}

/// Bytes that are not encoded on their way.
pub(crate) enum Content {
    Plain(Plain),
    Spliced(Box<Spliced>),
}

/// Bytes of one record, as they are stored or decoded.
pub(crate) enum Plain {
    Whole(Bytes),
    Stored(kura_store::Body),
    Decoded(Box<Decoded>),
}

impl Body {
    pub(crate) fn encoded(body: Encoded) -> Body {
        Body::Pieces(Pieces { source: Source::Encoded(Box::new(body)) })
    }

    /// Restricts it to `range`; what lies past the end is cut off. A body that was asked for in zstd stays whole.
    #[must_use]
    pub fn select(self, range: Range<u64>) -> Body {
        match self.into_content() {
            Ok(Content::Plain(plain)) => plain.select(range).into(),
            Ok(Content::Spliced(spliced)) => Content::Spliced(Box::new(spliced.select(range))).into(),
            Err(encoded) => encoded,
        }
    }

    /// Piece by piece, whatever its length.
    #[must_use]
    pub fn into_pieces(self) -> Pieces {
        match self {
            Body::Whole(bytes) => Pieces { source: Source::Content(Content::Plain(Plain::Whole(bytes))) },
            Body::Pieces(pieces) => pieces,
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

    /// # Errors
    /// Gives the body back if it is encoded on its way.
    pub(crate) fn into_content(self) -> Result<Content, Body> {
        match self {
            Body::Whole(bytes) => Ok(Content::Plain(Plain::Whole(bytes))),
            Body::Pieces(Pieces { source: Source::Content(content) }) => Ok(content),
            encoded @ Body::Pieces(_) => Err(encoded),
        }
    }
}

impl From<Content> for Body {
    fn from(content: Content) -> Body {
        match content {
            Content::Plain(Plain::Whole(bytes)) => Body::Whole(bytes),
            content => Body::Pieces(Pieces { source: Source::Content(content) }),
        }
    }
}

impl From<Plain> for Body {
    fn from(plain: Plain) -> Body {
        Content::Plain(plain).into()
    }
}

impl Pieces {
    /// Bytes that are still to come; of a body that is encoded on its way, those that are still to be encoded.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        match &self.source {
            Source::Content(content) => content.remaining(),
            Source::Encoded(encoded) => encoded.remaining(),
        }
    }

    /// The next piece; `None` at the end. A future that is dropped loses nothing.
    ///
    /// # Errors
    /// `Evicted` where the answer was broken off, `Busy` where nothing to decode or encode with became free in time, `Damaged`, `Store`.
    /// Nothing more can be read then.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        match &mut self.source {
            Source::Content(content) => content.next().await,
            Source::Encoded(encoded) => encoded.next().await,
        }
    }
}

impl Content {
    pub(crate) fn remaining(&self) -> u64 {
        match self {
            Content::Plain(plain) => plain.remaining(),
            Content::Spliced(spliced) => spliced.remaining(),
        }
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        match self {
            Content::Plain(plain) => plain.next().await,
            Content::Spliced(spliced) => spliced.next().await,
        }
    }
}

impl Plain {
    /// What the store holds, as it is.
    pub(crate) fn stored(body: kura_store::Body) -> Plain {
        match body.into_whole() {
            Ok(bytes) => Plain::Whole(bytes),
            Err(stored) => Plain::Stored(stored),
        }
    }

    pub(crate) fn select(mut self, range: Range<u64>) -> Plain {
        match &mut self {
            Plain::Whole(bytes) => {
                let end = usize::try_from(range.end).unwrap_or(usize::MAX).min(bytes.len());
                let start = usize::try_from(range.start).unwrap_or(usize::MAX).min(end);
                *bytes = bytes.slice(start..end);
            }
            Plain::Stored(stored) => stored.select(range),
            Plain::Decoded(decoded) => decoded.select(range),
        }
        self
    }

    pub(crate) fn remaining(&self) -> u64 {
        match self {
            Plain::Whole(bytes) => bytes.len() as u64,
            Plain::Stored(stored) => stored.remaining(),
            Plain::Decoded(decoded) => decoded.remaining(),
        }
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        match self {
            Plain::Whole(bytes) => Ok(Some(std::mem::take(bytes)).filter(|bytes| !bytes.is_empty())),
            Plain::Stored(stored) => Ok(stored.next().await?),
            Plain::Decoded(decoded) => decoded.next().await,
        }
    }
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pieces").field("remaining", &self.remaining()).finish_non_exhaustive()
    }
}
