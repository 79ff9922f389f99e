//! One HTTP/2 stream, in a task of its own: its request is answered, and the answer sent in slices as its client takes them.
//! Invariant: while other streams of the connection go on, an answer of which nothing is taken for the idle timeout, or not all by its deadline, is
//! broken off, and what it holds is given back. A quiet answer, of which there is nothing to send, may stay so. A request that its client calls off ends at once.
//! Bounds: in the connection's buffers is only what its client takes; of what is read while it is sent, also the connection's other answers share the room
//! (`places`).
//! Not here: whether the other side is there at all (`http2`: pings), bodies on their way in (`receiving`).

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use axum::Router;
use bytes::{Buf, Bytes};
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::header::{CONTENT_LENGTH, DATE};
use http::{HeaderValue, Request, Response};
use http_body::Body;
use tokio::time::{Instant, timeout_at};

use super::places::{Place, Places};
use crate::answer::{Answer, Piece};
use crate::date;
use crate::incoming::Incoming;
use crate::link::Turn;
use crate::service;

/// The most bytes given to a connection at a time: as long as a frame may be, so that each stream's turn comes soon.
const SLICE: usize = 64 * 1024;

/// The end of a piece that has no more bytes than this waits for no place of its own.
const SHORT: usize = 16 * 1024;

/// Until when an answer may be sent: put into a response's extensions by whoever knows.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(pub Instant);

/// The answer is read from the store while it is sent: put into a response's extensions by whoever knows.
#[derive(Debug, Clone, Copy)]
pub struct ReadAsSent;

/// Why an answer has not been sent to its end.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("its client called it off")]
    CalledOff,
    #[error("its client does not take it")]
    NotTaken,
    #[error("the connection does not carry it: {0}")]
    Refused(#[from] h2::Error),
}

/// Answers one request. It is carried out until all of its answer has been given to the connection.
pub(super) async fn answer(
    turn: Turn,
    places: Arc<Places>,
    pages: Router,
    request: Request<Incoming>,
    mut respond: SendResponse<Piece>,
) {
    let answered = async {
        let response = unless_called_off(&mut respond, service::serve(&turn, pages, request)).await?;
        send(response, &turn, places, &mut respond).await
    };
    if let Err(error) = answered.await {
        tracing::debug!(%error, "an answer is broken off");
    }
}

async fn unless_called_off<T>(respond: &mut SendResponse<Piece>, serving: impl Future<Output = T>) -> Result<T, Ended> {
    let mut serving = pin!(serving);
    poll_fn(|cx| match serving.as_mut().poll(cx) {
        Poll::Ready(response) => Poll::Ready(Ok(response)),
        Poll::Pending => respond.poll_reset(cx).map(|_| Err(Ended::CalledOff)),
    })
    .await
}

async fn send(
    response: Response<Answer>,
    turn: &Turn,
    places: Arc<Places>,
    respond: &mut SendResponse<Piece>,
) -> Result<(), Ended> {
    let site = &turn.shared.site;
    let (mut head, answer) = response.into_parts();
    let deadline = head.extensions.get().map(|Deadline(deadline)| *deadline);
    let is_read_as_sent = matches!(answer, Answer::Stream(_)) || head.extensions.get::<ReadAsSent>().is_some();
    head.headers.entry(DATE).or_insert_with(|| date::now(&*site.runtime));
    let is_over = answer.is_end_stream();
    if let Some(length) = answer.size_hint().exact().filter(|_| !is_over) {
        head.headers.entry(CONTENT_LENGTH).or_insert(HeaderValue::from(length));
    }
    let sent = respond.send_response(Response::from_parts(head, ()), is_over);
    let stream = sent.inspect_err(|_| respond.send_reset(Reason::INTERNAL_ERROR))?;
    if is_over {
        return Ok(());
    }
    let places = is_read_as_sent.then_some(places);
    Sending { stream, idle_timeout: site.settings.idle_timeout, deadline, places, place: None }.send(answer).await
}

/// The body of an answer on its way out.
struct Sending {
    stream: SendStream<Piece>,
    idle_timeout: Duration,
    deadline: Option<Instant>,
    /// Of what is read while it is sent: where it gets a place, and the one that it has.
    places: Option<Arc<Places>>,
    place: Option<Arc<Place>>,
}

impl Sending {
    async fn send(mut self, mut answer: Answer) -> Result<(), Ended> {
        loop {
            self.take_place().await?;
            let frame = poll_fn(|cx| match Pin::new(&mut answer).poll_frame(cx) {
                Poll::Ready(frame) => Poll::Ready(Ok(frame)),
                Poll::Pending => self.stream.poll_reset(cx).map(|_| Err(Ended::CalledOff)),
            });
            let Some(frame) = frame.await? else {
                return Ok(self.stream.send_data(Bytes::new().into(), true)?);
            };
            let Ok(frame) = frame else {
                // Whoever makes the answer has said why.
                self.stream.send_reset(Reason::INTERNAL_ERROR);
                return Ok(());
            };
            match frame.into_data() {
                Ok(piece) => {
                    let (length, is_over) = (piece.remaining(), answer.is_end_stream());
                    self.send_piece(piece, is_over).await?;
                    if is_over {
                        return Ok(());
                    }
                    // Others' turn is before the next.
                    self.place.take_if(|_| length > SHORT);
                }
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    return Ok(self.stream.send_trailers(trailers)?);
                }
            }
        }
    }

    async fn send_piece(&mut self, mut piece: Piece, is_last: bool) -> Result<(), Ended> {
        loop {
            let wanted = piece.remaining().min(SLICE);
            let room = if wanted > 0 { self.room(wanted).await? } else { 0 };
            let rest = piece.split_behind(room);
            piece.place.clone_from(&self.place);
            self.stream.send_data(piece, is_last && rest.is_none())?;
            let Some(rest) = rest else { return Ok(()) };
            piece = rest;
        }
    }

    /// How many bytes the client takes now, of as many as are wanted: at least one. Waits for that, and for a place.
    async fn room(&mut self, wanted: usize) -> Result<usize, Ended> {
        loop {
            self.stream.reserve_capacity(wanted);
            let room = self.stream.capacity();
            if room == 0 {
                // What its client does not take keeps no place from others.
                self.place = None;
                self.more_room().await?;
            } else if self.places.is_some() && self.place.is_none() {
                self.take_place().await?;
            } else {
                return Ok(room.min(wanted));
            }
        }
    }

    async fn more_room(&mut self) -> Result<(), Ended> {
        let idle = Instant::now() + self.idle_timeout;
        let until = self.deadline.map_or(idle, |deadline| idle.min(deadline));
        let room = poll_fn(|cx| {
            let room = ready!(self.stream.poll_capacity(cx));
            Poll::Ready(room.map_or(Err(Ended::CalledOff), |room| Ok(room.map(|_| ())?)))
        });
        timeout_at(until, room).await.map_err(|_| Ended::NotTaken)?
    }

    async fn take_place(&mut self) -> Result<(), Ended> {
        let Some(places) = self.places.as_ref().filter(|_| self.place.is_none()) else { return Ok(()) };
        let place = places.take(self.idle_timeout);
        let place = match self.deadline {
            Some(deadline) => timeout_at(deadline, place).await.ok().flatten(),
            None => place.await,
        };
        self.place = Some(Arc::new(place.ok_or(Ended::NotTaken)?));
        Ok(())
    }
}
