//! Messages on their way in: each with its prefix of five bytes, whole or piece by piece as it comes.
//! Bounds: a message's length, the memory of those that are gathered, how long one may stand still, and the pace of long ones. Only the time spent
//! waiting for the client counts against it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes, BytesMut};
use http_body::Body;
use kura_cache::wire::Fields;
use kura_http::{Class, Held, Memory, Pace};
use prost::{DecodeError, Message};
use tokio::time::{Instant, timeout};
use tonic::Status;

use crate::counters::Counters;
use crate::grpc::reply::PREFIX;
use crate::limits::MAX_RECEIVED_MESSAGE;
use crate::settings::ReapiSettings;
use crate::status;

/// Memory of one element of a list in a decoded message, the list's own room to grow included, in bytes.
const ELEMENT: u64 = 256;

/// A piece of a message that is not gathered has at least so many bytes: what it was received in, which it keeps, is a frame of 64 KiB or little more.
const LONG: usize = 32 * 1024;

/// What a client sends in one call.
pub(crate) struct Incoming<B = kura_http::Incoming> {
    body: B,
    /// Came in, and not looked at yet.
    chunk: Bytes,
    /// The longest message that is taken, in bytes.
    longest: usize,
    pace: Pace,
    settings: Arc<ReapiSettings>,
    counters: Arc<Counters>,
    memory: Arc<Memory>,
    held: Held,
}

impl<B: Body<Data = Bytes> + Unpin> Incoming<B> {
    pub(crate) fn new(
        body: B,
        settings: Arc<ReapiSettings>,
        counters: Arc<Counters>,
        memory: Arc<Memory>,
    ) -> Incoming<B> {
        let pace = Pace::new(settings.upload_pace, settings.pace_window);
        Incoming {
            body,
            chunk: Bytes::new(),
            longest: MAX_RECEIVED_MESSAGE,
            pace,
            settings,
            counters,
            memory,
            held: Held::default(),
        }
    }

    /// Takes messages of up to `longest` bytes, instead of what is usual.
    pub(crate) fn take_up_to(&mut self, longest: usize) {
        self.longest = longest;
    }

    /// The one message of a call that has one.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` where there is no memory for it now, `INTERNAL` for none or several, and as for [`Incoming::next`].
    pub(crate) async fn only(&mut self) -> Result<Bytes, Status> {
        let length = self.only_length().await?;
        self.hold(length as u64)?;
        let message = self.take(length).await?;
        self.no_more().await?;
        Ok(message)
    }

    /// The same in the pieces that it came in, of which those that are short are gathered.
    ///
    /// # Errors
    /// As for [`Incoming::only`].
    pub(crate) async fn only_in_pieces(&mut self) -> Result<Vec<Bytes>, Status> {
        let mut left = self.only_length().await?;
        self.hold(2 * left as u64)?;
        let (mut pieces, mut gathered) = (Vec::new(), BytesMut::new());
        while left > 0 {
            let piece = self.some(left).await?;
            left -= piece.len();
            if piece.len() < LONG {
                // All that may follow, at once: what is cut off it for a long piece between keeps the rest of the room.
                gathered.reserve(piece.len() + left);
                gathered.extend_from_slice(&piece);
            } else {
                pieces.extend([gathered.split().freeze(), piece]);
            }
        }
        pieces.push(gathered.freeze());
        self.no_more().await?;
        Ok(pieces)
    }

    async fn only_length(&mut self) -> Result<usize, Status> {
        self.next().await?.ok_or_else(|| Status::internal("the call came without a message"))
    }

    async fn no_more(&mut self) -> Result<(), Status> {
        if !self.chunk.is_empty() || self.more().await? {
            return Err(Status::internal("the call came with more than one message"));
        }
        Ok(())
    }

    /// The same, decoded.
    ///
    /// # Errors
    /// As for [`Incoming::only`]; `INVALID_ARGUMENT` for bytes that are no such message.
    pub(crate) async fn message<M: Message + Default>(&mut self) -> Result<M, Status> {
        let message = self.only().await?;
        self.hold(decoded(&message))?;
        M::decode(message).map_err(|error| malformed(&error))
    }

    /// The next of the messages of a call that has several; `None` once the client has said all.
    ///
    /// # Errors
    /// As for [`Incoming::message`].
    pub(crate) async fn next_message<M: Message + Default>(&mut self) -> Result<Option<M>, Status> {
        let Some(length) = self.next().await? else { return Ok(None) };
        self.hold(length as u64)?;
        let message = self.take(length).await?;
        self.hold(decoded(&message))?;
        M::decode(message).map(Some).map_err(|error| malformed(&error))
    }

    /// Accounts for `bytes` in memory, in place of what was held before, until the call has ended.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED`.
    pub(crate) fn hold(&mut self, bytes: u64) -> Result<(), Status> {
        self.held = Held::default();
        self.held =
            self.memory.hold(Class::Request, bytes).ok_or_else(|| status::overload("too many calls are under way"))?;
        Ok(())
    }

    /// The length of the next message, of which not a byte has been taken; `None` once the client has said all.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` for one that is too long, `UNIMPLEMENTED` for a compressed one, `DEADLINE_EXCEEDED` for a client that stalls or dawdles,
    /// `CANCELLED` where it went away.
    pub(crate) async fn next(&mut self) -> Result<Option<usize>, Status> {
        if self.chunk.is_empty() && !self.more().await? {
            return Ok(None);
        }
        let prefix = self.take(PREFIX).await?;
        if prefix[0] != 0 {
            return Err(Status::unimplemented("compressed messages are not taken: send them as they are"));
        }
        let length = (&prefix[1..]).get_u32() as usize;
        if length > self.longest {
            return Err(Status::invalid_argument(format!(
                "a message has {length} bytes, and at most {} are taken",
                self.longest
            )));
        }
        Ok(Some(length))
    }

    /// The next `length` bytes of a message, gathered.
    ///
    /// # Errors
    /// As for [`Incoming::next`].
    pub(crate) async fn take(&mut self, length: usize) -> Result<Bytes, Status> {
        if length == 0 {
            return Ok(Bytes::new());
        }
        let first = self.some(length).await?;
        if first.len() == length {
            return Ok(first);
        }
        let mut gathered = BytesMut::with_capacity(length);
        gathered.extend_from_slice(&first);
        while gathered.len() < length {
            let more = self.some(length - gathered.len()).await?;
            gathered.extend_from_slice(&more);
        }
        Ok(gathered.freeze())
    }

    /// The next byte of a message.
    ///
    /// # Errors
    /// As for [`Incoming::next`].
    pub(crate) async fn byte(&mut self) -> Result<u8, Status> {
        if self.chunk.is_empty() && !self.more().await? {
            return Err(cut_short());
        }
        Ok(self.chunk.get_u8())
    }

    /// Says that nothing more is wanted. What a client sends nevertheless is noticed only if it is there already: it may wait for the answer.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` for what is there.
    pub(crate) fn ended(&mut self) -> Result<(), Status> {
        let mut context = Context::from_waker(Waker::noop());
        while self.chunk.is_empty() {
            match Pin::new(&mut self.body).poll_frame(&mut context) {
                Poll::Ready(Some(Ok(frame))) => self.chunk = frame.into_data().unwrap_or_default(),
                _ => return Ok(()),
            }
        }
        Err(Status::invalid_argument("a message came after the last one"))
    }

    /// The next bytes of a message as they came, at least one and at most `most`.
    ///
    /// # Errors
    /// As for [`Incoming::next`].
    pub(crate) async fn some(&mut self, most: usize) -> Result<Bytes, Status> {
        if self.chunk.is_empty() && !self.more().await? {
            return Err(cut_short());
        }
        Ok(self.chunk.split_to(most.min(self.chunk.len())))
    }

    /// Waits for bytes; `false` once the client has said all. All that came before has to be taken.
    async fn more(&mut self) -> Result<bool, Status> {
        loop {
            let since = Instant::now();
            let frame = std::future::poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx));
            let Ok(frame) = timeout(self.settings.idle_timeout, frame).await else {
                return Err(Status::deadline_exceeded("the call stood still for too long"));
            };
            let Some(frame) = frame else { return Ok(false) };
            let frame = frame.map_err(|_| Status::cancelled("the client went away"))?;
            // A client's trailers say nothing.
            let Ok(data) = frame.into_data() else { continue };
            self.counters.received(data.len() as u64);
            if !self.pace.keeps_up(since.elapsed(), data.len() as u64) {
                return Err(Status::deadline_exceeded("the call comes in too slowly"));
            }
            if !data.is_empty() {
                self.chunk = data;
                return Ok(true);
            }
        }
    }
}

/// Memory that a message takes with what is decoded from it, in bytes: two on the wire may be an element of a list.
pub(crate) fn decoded(message: &[u8]) -> u64 {
    let (mut fields, mut count) = (Fields::of(message), 0);
    while let Ok(Some(_)) = fields.next() {
        count += 1;
    }
    message.len() as u64 + count * ELEMENT
}

fn malformed(error: &DecodeError) -> Status {
    Status::invalid_argument(format!("the message is malformed: {error}"))
}

fn cut_short() -> Status {
    Status::internal("the call ended in the middle of a message")
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;
    use crate::fuzz::{at_once, incoming};
    use crate::grpc::prefix;
    use crate::message::BatchUpdateBlobsRequest;

    #[test]
    fn a_message_is_held_with_what_its_elements_take_and_not_by_its_length_alone() {
        // A list of empty elements, of two bytes each, and one of a single element that is as long.
        let many = [0x12, 0].repeat(100_000);
        let one = BatchUpdateBlobsRequest { instance_name: "x".repeat(200_000), ..Default::default() }.encode_to_vec();
        let read = |message: &[u8]| {
            let call = [&prefix(message.len())[..], message].concat();
            at_once(async { incoming(&call, 60_000).message::<BatchUpdateBlobsRequest>().await })
        };
        assert_eq!(read(&many).unwrap_err().code(), Code::ResourceExhausted);
        assert_eq!(read(&one).unwrap().instance_name.len(), 200_000);
    }
}
