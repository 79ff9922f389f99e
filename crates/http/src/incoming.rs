//! A request's body on its way in, whatever its client speaks. Its end is the end of what the client meant to send: what was broken off is an error.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::http2::Receiving;

/// The body of a request.
pub struct Incoming(Version);

enum Version {
    Http1(hyper::body::Incoming),
    Http2(Receiving),
}

/// A body whose client broke it off, or that is malformed.
#[derive(Debug, thiserror::Error)]
#[error("the body ended early: {0}")]
pub struct CutShort(Box<dyn Error + Send + Sync>);

impl From<hyper::body::Incoming> for Incoming {
    fn from(body: hyper::body::Incoming) -> Incoming {
        Incoming(Version::Http1(body))
    }
}

impl From<Receiving> for Incoming {
    fn from(body: Receiving) -> Incoming {
        Incoming(Version::Http2(body))
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = CutShort;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutShort>>> {
        match &mut self.get_mut().0 {
            Version::Http1(body) => Pin::new(body).poll_frame(cx).map_err(|error| CutShort(error.into())),
            Version::Http2(body) => Pin::new(body).poll_frame(cx).map_err(|error| CutShort(error.into())),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Version::Http1(body) => body.is_end_stream(),
            Version::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Version::Http1(body) => body.size_hint(),
            Version::Http2(body) => body.size_hint(),
        }
    }
}
