//! One HTTP/2 stream's answer on its way out, in a task of its own: in slices, and dropped where its client does not take them.
//! Invariant: while other streams of the connection go on, an answer of which nothing is taken for the idle timeout, or not all by its deadline, is
//! broken off, and what it holds is given back. A quiet answer, of which there is nothing to send, may stay so.
//! Bounds: what is left in the connection's buffers after an answer's end is one slice.
//! Not here: whether the other side is there at all (`http2`: pings), bodies on their way in (`body`).

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Response;
use http_body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::answer::{Answer, BrokenOff, Piece};
use crate::link::Turn;

/// The most bytes given to a connection at a time: as long as a frame may be, so that each stream's turn comes soon.
const SLICE: usize = 64 * 1024;

tokio::task_local! {
    /// Of the stream that the task is for.
    static OFFERED: Offered;
}

/// What a stream's client has been offered, and has not taken yet.
#[derive(Default)]
struct Offered {
    /// Since when; nothing, if there is nothing to take.
    since: Cell<Option<Instant>>,
    /// When the answer is to be over.
    deadline: Cell<Option<Instant>>,
}

/// Until when an answer may be sent: put into a response's extensions by whoever knows.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(pub Instant);

/// Runs streams, each in a task that ends when its client stalls.
#[derive(Clone)]
pub(crate) struct Streams {
    pub(crate) idle_timeout: Duration,
}

impl<F: Future + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        // Boxed here, it is not copied on its way into its task.
        tokio::spawn(OFFERED.scope(Offered::default(), until_stalled(Box::pin(stream), self.idle_timeout)));
    }
}

/// Drives `stream` to its end, or until its client has not taken what it was offered in time: then drops it, which resets it.
/// A timer is made when there is first something to wait for: most answers are taken at once.
async fn until_stalled(mut stream: Pin<Box<impl Future>>, idle_timeout: Duration) {
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let until = OFFERED.with(|offered| {
            let idle = offered.since.get()? + idle_timeout;
            Some(offered.deadline.get().map_or(idle, |deadline| idle.min(deadline)))
        });
        let Some(until) = until else { return Poll::Pending };
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if timer.deadline() != until {
            timer.as_mut().reset(until);
        }
        ready!(timer.as_mut().poll(cx));
        tracing::debug!("an answer is broken off: its client does not take it");
        Poll::Ready(())
    })
    .await;
}

/// The body of an answer. Its request is carried out until all of it has been given to the connection.
pub(crate) struct Sending {
    answer: Answer,
    /// Of what the answer has given, what is to be given on.
    rest: Option<Piece>,
    _turn: Turn,
}

/// An answer that is sent by a task of [`Streams`].
pub(crate) fn sending(response: Response<Answer>, turn: Turn) -> Response<Sending> {
    let deadline = response.extensions().get::<Deadline>().map(|deadline| deadline.0);
    OFFERED.with(|offered| offered.deadline.set(deadline));
    response.map(|answer| Sending { answer, rest: None, _turn: turn })
}

impl Body for Sending {
    type Data = Piece;
    type Error = BrokenOff;

    /// Being asked says that what was given before has been taken.
    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Piece>, BrokenOff>>> {
        let this = self.get_mut();
        OFFERED.with(|offered| offered.since.set(None));
        let frame = match this.rest.take() {
            Some(rest) => Some(Ok(Frame::data(rest))),
            None => ready!(Pin::new(&mut this.answer).poll_frame(cx)),
        };
        OFFERED.with(|offered| offered.since.set(Some(Instant::now())));
        let Some(Ok(frame)) = frame else { return Poll::Ready(frame) };
        Poll::Ready(Some(Ok(frame.map_data(|mut piece| {
            this.rest = piece.split_behind(SLICE);
            piece
        }))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none() && self.answer.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.as_ref().map_or(0, Piece::len);
        let answer = self.answer.size_hint();
        answer.exact().map_or(answer, |exact| SizeHint::with_exact(exact + rest))
    }
}
