//! Messages on their way out: one, or several as they are made, and the trailers that say how the call ended.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::Stream;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Response};
use http_body::{Body, Frame};
use kura_http::{Class, Deadline, GuestBody, Held, Memory, ReadAsSent};
use prost::Message;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::{Code, Status};

use crate::counters::Tally;
use crate::status;

/// Bytes in front of each message: whether it is compressed, and its length.
pub(crate) const PREFIX: usize = 5;

/// Bytes of messages, prefixes included: a head that was made here, and a body that is sent as it is.
pub(crate) type Pieces = [Bytes; 2];

/// Messages whose making is under way.
type Rest = Pin<Box<dyn Stream<Item = Result<Pieces, Status>> + Send>>;

/// What a call answers.
pub(crate) struct Reply {
    ready: Pieces,
    rest: Option<Rest>,
    deadline: Option<Instant>,
    is_read_as_sent: bool,
    held: Held,
}

impl Reply {
    /// One message.
    pub(crate) fn message(message: &impl Message) -> Reply {
        Reply::pieces(pieces(message))
    }

    /// One message that is encoded already, sent as it is.
    pub(crate) fn encoded(message: Bytes) -> Reply {
        let head = Bytes::copy_from_slice(&prefix(message.len()));
        Reply::pieces([head, message])
    }

    /// One message with its prefix.
    pub(crate) fn framed(message: Bytes) -> Reply {
        Reply::pieces([message, Bytes::new()])
    }

    /// The same in two pieces.
    pub(crate) fn pieces(ready: Pieces) -> Reply {
        Reply { ready, rest: None, deadline: None, is_read_as_sent: false, held: Held::default() }
    }

    /// No message at all.
    pub(crate) fn empty() -> Reply {
        Reply::pieces(Pieces::default())
    }

    /// Messages as they are made.
    pub(crate) fn stream(rest: impl Stream<Item = Result<Pieces, Status>> + Send + 'static) -> Reply {
        Reply { rest: Some(Box::pin(rest)), ..Reply::empty() }
    }

    /// The same, of messages that are read from the store as they are made.
    pub(crate) fn read_as_sent(self) -> Reply {
        Reply { is_read_as_sent: true, ..self }
    }

    /// The same, with memory that it is accounted for with until it is sent.
    pub(crate) fn holding(self, held: Held) -> Reply {
        Reply { held, ..self }
    }

    /// The same, accounted for with the message that is ready, unless it is with more.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` where there is no memory for it now.
    pub(crate) fn held_in(mut self, memory: &Arc<Memory>) -> Result<Reply, Status> {
        if self.held.is_nothing() {
            let bytes = self.ready.iter().map(|piece| piece.len() as u64).sum();
            self.held =
                memory.hold(Class::Answer, bytes).ok_or_else(|| status::overload("too many answers are under way"))?;
        }
        Ok(self)
    }

    /// The same, which ends then if it has not ended before.
    pub(crate) fn until(self, deadline: Instant) -> Reply {
        Reply { deadline: Some(deadline), ..self }
    }
}

/// A message with its prefix.
pub(crate) fn pieces(message: &impl Message) -> Pieces {
    let length = message.encoded_len();
    let mut framed = BytesMut::with_capacity(PREFIX + length);
    framed.put_slice(&prefix(length));
    // Growing is all that could fail, and it cannot.
    let _ = message.encode(&mut framed);
    [framed.freeze(), Bytes::new()]
}

/// A message's prefix.
pub(crate) fn prefix(length: usize) -> [u8; PREFIX] {
    let mut prefix = [0; PREFIX];
    prefix[1..].copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    prefix
}

/// The response of a call, counted when it has ended.
pub(crate) fn respond(answered: Result<Reply, Status>, mut tally: Tally) -> Response<GuestBody> {
    match answered {
        Ok(Reply { ready, rest, deadline, is_read_as_sent, held }) => {
            // What is ready leaves at once.
            let timer = deadline.filter(|_| rest.is_some()).map(|deadline| Box::pin(sleep_until(deadline)));
            let body = Outgoing { ready, rest, deadline: timer, ended: false, tally, _held: held };
            let mut response = Response::new(GuestBody::new(body));
            // Of a client that takes nothing more, not even the end could be told.
            deadline.map(|deadline| response.extensions_mut().insert(Deadline(deadline)));
            is_read_as_sent.then(|| response.extensions_mut().insert(ReadAsSent));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            response
        }
        Err(status) => {
            tally.ended(status.code());
            status.into_http()
        }
    }
}

/// The body of a response.
struct Outgoing {
    ready: Pieces,
    rest: Option<Rest>,
    deadline: Option<Pin<Box<Sleep>>>,
    ended: bool,
    tally: Tally,
    _held: Held,
}

impl Outgoing {
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Pieces, Status>>> {
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        let over = self.deadline.as_mut().is_some_and(|at| at.as_mut().poll(cx).is_ready());
        if over { Poll::Ready(Some(Err(super::deadline_exceeded()))) } else { rest.as_mut().poll_next(cx) }
    }

    fn trailers(&mut self, status: &Status) -> Frame<Bytes> {
        self.ended = true;
        self.rest = None;
        self.tally.ended(status.code());
        let mut trailers = HeaderMap::with_capacity(1);
        // It fails for messages that no header can hold: the code goes out all the same.
        if status.add_header(&mut trailers).is_err() {
            trailers.insert(Status::GRPC_STATUS, HeaderValue::from(status.code() as i32));
        }
        Frame::trailers(trailers)
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::convert::Infallible>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        loop {
            if let Some(piece) = this.ready.iter_mut().find(|piece| !piece.is_empty()) {
                let piece = std::mem::take(piece);
                this.tally.sent(piece.len() as u64);
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            match ready!(this.poll_rest(cx)) {
                Some(Ok(pieces)) => this.ready = pieces,
                Some(Err(status)) => return Poll::Ready(Some(Ok(this.trailers(&status)))),
                None => return Poll::Ready(Some(Ok(this.trailers(&Status::new(Code::Ok, ""))))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use futures_util::stream;
    use http_body_util::BodyExt;

    use super::*;
    use crate::counters::Counters;

    #[tokio::test]
    async fn a_deadline_ends_messages_though_the_next_is_ready() {
        let next = stream::iter([Ok([Bytes::from_static(b"message"), Bytes::new()])]);
        let over = Instant::now() - Duration::from_secs(1);
        let tally = Tally::new(Arc::new(Counters::default()), None);
        let mut body = respond(Ok(Reply::stream(next).until(over)), tally).into_body();
        let trailers = body.frame().await.unwrap().unwrap().into_trailers().expect("nothing more is sent");
        assert_eq!(trailers[Status::GRPC_STATUS], (Code::DeadlineExceeded as i32).to_string());
    }
}
