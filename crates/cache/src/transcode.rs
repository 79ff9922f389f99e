//! Bodies whose bytes are not sent as they are stored: decoded, or encoded, on their way out. Memory is a codec and a piece, whatever the
//! length; a step of a codec is bounded, and other tasks run between two.

use std::ops::Range;

use bytes::Bytes;

use crate::body::Content;
use crate::error::Error;
use crate::limits::STEP_OUTPUT;
use crate::pool::{Lease, Pool};
use crate::zstd::{Decoder, Encoder, Refused};

/// What does not decode was verified when it came: this is ours.
fn damaged(_: Refused) -> Error {
    Error::Damaged("a body that was stored as zstd does not decode")
}

/// The content of a body that is stored as zstd. A range of it is decoded from the start of the body: frames tell no other place to begin.
pub(crate) struct Decoded {
    stored: kura_store::Body,
    decoders: Pool<Decoder>,
    /// From the first piece to the last.
    decoder: Option<Lease<Decoder>>,
    input: Bytes,
    /// Bytes decoded so far.
    at: u64,
    /// What is still to be given.
    left: Range<u64>,
}

impl Decoded {
    pub(crate) fn new(stored: kura_store::Body, length: u64, decoders: Pool<Decoder>) -> Decoded {
        Decoded { stored, decoders, decoder: None, input: Bytes::new(), at: 0, left: 0..length }
    }

    pub(crate) fn select(&mut self, range: Range<u64>) {
        let end = range.end.min(self.left.end);
        self.left = range.start.min(end)..end;
    }

    pub(crate) fn remaining(&self) -> u64 {
        self.left.end - self.left.start
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        while !self.left.is_empty() {
            let from = self.at;
            let piece = self.decode().await?;
            self.at += piece.len() as u64;
            let upto = self.at.min(self.left.end);
            if upto > self.left.start {
                let within = |at: u64| usize::try_from(at - from).unwrap_or(usize::MAX);
                let piece = piece.slice(within(self.left.start)..within(upto));
                self.left.start = upto;
                if self.left.is_empty() {
                    self.decoder = None;
                }
                return Ok(Some(piece));
            }
            self.decoders.rest().await;
        }
        Ok(None)
    }

    /// The bytes from `at` on, as many as one piece has.
    async fn decode(&mut self) -> Result<Bytes, Error> {
        let mut decoder = match self.decoder.take() {
            Some(decoder) => decoder,
            None => self.decoders.take().await?,
        };
        let wanted = usize::try_from(self.left.end - self.at).unwrap_or(usize::MAX).min(STEP_OUTPUT);
        let mut output = Vec::with_capacity(wanted);
        while output.len() < wanted {
            if decoder.is_done_with(&self.input) {
                let input = self.stored.next().await?;
                self.input = input.ok_or(Error::Damaged("a body that was stored as zstd ends early"))?;
            }
            decoder.decode(&mut self.input, &mut output).map_err(damaged)?;
        }
        self.decoder = Some(decoder);
        Ok(output.into())
    }
}

/// A body as one zstd frame, encoded as it leaves.
pub(crate) struct Encoded {
    body: Content,
    encoders: Pool<Encoder>,
    state: State,
    input: Bytes,
}

enum State {
    Fresh,
    Within(Lease<Encoder>),
    /// All input is in.
    Ending(Lease<Encoder>),
    Over,
}

impl Encoded {
    pub(crate) fn new(body: Content, encoders: Pool<Encoder>) -> Encoded {
        Encoded { body, encoders, state: State::Fresh, input: Bytes::new() }
    }

    /// Bytes of the content that are still to be encoded.
    pub(crate) fn remaining(&self) -> u64 {
        self.body.remaining() + self.input.len() as u64
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let bound = Encoder::bound(usize::try_from(self.remaining()).unwrap_or(usize::MAX).min(STEP_OUTPUT));
        let mut output = Vec::with_capacity(bound.min(STEP_OUTPUT));
        while output.len() < output.capacity() && !matches!(self.state, State::Over) {
            self.step(&mut output).await?;
        }
        Ok((!output.is_empty()).then(|| output.into()))
    }

    async fn step(&mut self, output: &mut Vec<u8>) -> Result<(), Error> {
        let refused = |Refused(why)| Error::Damaged(why);
        self.state = match std::mem::replace(&mut self.state, State::Over) {
            State::Fresh => {
                let mut encoder = self.encoders.take().await?;
                encoder.begin(self.body.remaining()).map_err(refused)?;
                State::Within(encoder)
            }
            State::Within(encoder) if self.input.is_empty() => match self.body.next().await? {
                Some(piece) => {
                    self.input = piece;
                    State::Within(encoder)
                }
                None => State::Ending(encoder),
            },
            State::Within(mut encoder) => {
                encoder.encode(&mut self.input, output).map_err(refused)?;
                if !self.input.is_empty() {
                    self.encoders.rest().await;
                }
                State::Within(encoder)
            }
            State::Ending(mut encoder) => {
                if encoder.end(output).map_err(refused)? {
                    State::Over
                } else {
                    State::Ending(encoder)
                }
            }
            State::Over => State::Over,
        };
        Ok(())
    }
}
