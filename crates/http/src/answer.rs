//! Bodies on their way out: whole ones leave in one write with their head, longer ones in pieces as the connection takes them.
//! A body that cannot be continued breaks the connection off: its client sees that it is short.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use kura_cache::Pieces;

use crate::http2::Place;
use crate::memory::Held;
use crate::metrics::SurfaceCounters;

/// What a streamed answer holds in memory: the piece being read and those that wait for the connection.
pub(crate) const STREAM_MEMORY: u64 = 1 << 20;

/// The body of a response.
pub(crate) enum Answer {
    Empty,
    Whole(Piece),
    Stream(Stream),
    Page(axum::body::Body),
}

impl Answer {
    pub(crate) fn whole(bytes: Bytes) -> Answer {
        Answer::held(bytes, Held::default())
    }

    /// An answer that is its status.
    pub(crate) fn nothing(status: StatusCode) -> Response<Answer> {
        let mut response = Response::new(Answer::Empty);
        *response.status_mut() = status;
        response
    }

    pub(crate) fn held(bytes: Bytes, held: Held) -> Answer {
        if bytes.is_empty() { Answer::Empty } else { Answer::Whole(Piece { bytes, _held: held, place: None }) }
    }

    pub(crate) fn stream(body: Pieces, held: Held, counters: Arc<SurfaceCounters>) -> Answer {
        let left = body.remaining();
        Answer::Stream(Stream { state: State::Resting(body), left, counters, _held: held })
    }
}

/// Bytes, and the memory that they are accounted for with until the connection has taken them.
pub(crate) struct Piece {
    bytes: Bytes,
    _held: Held,
    /// The connection's, if it has one.
    pub(crate) place: Option<Arc<Place>>,
}

impl Piece {
    /// Cuts off what lies behind the first `length` bytes, if anything does. The memory is accounted for until that has been taken.
    pub(crate) fn split_behind(&mut self, length: usize) -> Option<Piece> {
        if self.bytes.len() <= length {
            return None;
        }
        Some(Piece { bytes: self.bytes.split_off(length), _held: mem::take(&mut self._held), place: None })
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, by: usize) {
        self.bytes.advance(by);
    }

    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        self.bytes.split_to(length)
    }
}

impl From<Bytes> for Piece {
    fn from(bytes: Bytes) -> Piece {
        Piece { bytes, _held: Held::default(), place: None }
    }
}

/// A body that is read while it is sent.
pub(crate) struct Stream {
    state: State,
    /// Bytes still to be given to the connection.
    left: u64,
    counters: Arc<SurfaceCounters>,
    _held: Held,
}

enum State {
    Resting(Pieces),
    Reading(Pin<Box<dyn Future<Output = Read> + Send>>),
    Over,
}

type Read = (Pieces, Result<Option<Bytes>, kura_cache::Error>);

async fn read(mut body: Pieces) -> Read {
    let piece = body.next().await;
    (body, piece)
}

/// Why an answer was broken off.
#[derive(Debug, thiserror::Error)]
#[error("the answer was broken off: {0}")]
pub(crate) struct BrokenOff(Box<dyn std::error::Error + Send + Sync>);

impl Stream {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        loop {
            match mem::replace(&mut self.state, State::Over) {
                State::Resting(body) if self.left > 0 => self.state = State::Reading(Box::pin(read(body))),
                State::Resting(_) | State::Over => return Poll::Ready(None),
                State::Reading(mut reading) => {
                    let Poll::Ready((body, piece)) = reading.as_mut().poll(cx) else {
                        self.state = State::Reading(reading);
                        return Poll::Pending;
                    };
                    return Poll::Ready(self.take(body, piece));
                }
            }
        }
    }

    fn take(
        &mut self,
        body: Pieces,
        piece: Result<Option<Bytes>, kura_cache::Error>,
    ) -> Option<Result<Bytes, BrokenOff>> {
        match piece {
            Ok(Some(piece)) => {
                self.left = self.left.saturating_sub(piece.len() as u64);
                self.counters.sent(piece.len() as u64);
                self.state = State::Resting(body);
                Some(Ok(piece))
            }
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(%error, "an answer was broken off");
                Some(Err(BrokenOff(error.into())))
            }
        }
    }
}

impl Body for Answer {
    type Data = Piece;
    type Error = BrokenOff;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Piece>, BrokenOff>>> {
        let this = self.get_mut();
        match this {
            Answer::Empty => Poll::Ready(None),
            Answer::Whole(_) => match mem::replace(this, Answer::Empty) {
                Answer::Whole(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
                _ => Poll::Ready(None),
            },
            Answer::Stream(stream) => {
                let piece = ready!(stream.poll_piece(cx));
                Poll::Ready(piece.map(|piece| piece.map(|bytes| Frame::data(bytes.into()))))
            }
            Answer::Page(page) => {
                let frame = ready!(Pin::new(page).poll_frame(cx));
                let framed = |frame: Frame<Bytes>| frame.map_data(Piece::from);
                Poll::Ready(frame.map(|frame| frame.map(framed).map_err(|error| BrokenOff(error.into()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Answer::Empty => true,
            Answer::Whole(_) => false,
            Answer::Stream(stream) => stream.left == 0,
            Answer::Page(page) => page.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Answer::Empty => SizeHint::with_exact(0),
            Answer::Whole(piece) => SizeHint::with_exact(piece.remaining() as u64),
            Answer::Stream(stream) => SizeHint::with_exact(stream.left),
            Answer::Page(page) => page.size_hint(),
        }
    }
}
