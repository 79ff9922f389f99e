//! Bodies whose bytes are not sent as they are stored: decoded, or encoded, on their way out. Memory is a codec and a piece, whatever the
//! length; a step of a codec is bounded, and other tasks run between two. A future that is dropped loses nothing: the next one goes on.

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
    /// Content on its way into a piece. It starts at `at`.
    output: Vec<u8>,
    at: u64,
    /// What is still to be given.
    left: Range<u64>,
}

impl Decoded {
    pub(crate) fn new(stored: kura_store::Body, length: u64, decoders: Pool<Decoder>) -> Decoded {
        let (input, output) = (Bytes::new(), Vec::new());
        Decoded { stored, decoders, decoder: None, input, output, at: 0, left: 0..length }
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
            self.decode().await?;
            let piece = Bytes::from(std::mem::take(&mut self.output));
            let from = self.at;
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

    /// Fills `output`, as far as one piece goes.
    async fn decode(&mut self) -> Result<(), Error> {
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            none => none.insert(self.decoders.take().await?),
        };
        let wanted = usize::try_from(self.left.end - self.at).unwrap_or(usize::MAX).min(STEP_OUTPUT);
        self.output.reserve_exact(wanted.saturating_sub(self.output.len()));
        while self.output.len() < wanted {
            if decoder.is_done_with(&self.input) {
                let input = self.stored.next().await?;
                self.input = input.ok_or(Error::Damaged("a body that was stored as zstd ends early"))?;
            }
            decoder.decode(&mut self.input, &mut self.output).map_err(damaged)?;
        }
        Ok(())
    }
}

/// A body as one zstd frame, encoded as it leaves.
pub(crate) struct Encoded {
    body: Content,
    encoders: Pool<Encoder>,
    /// From the first piece to the last.
    encoder: Option<Lease<Encoder>>,
    phase: Phase,
    input: Bytes,
    output: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Within,
    /// All input is in.
    Ending,
    Over,
}

impl Encoded {
    pub(crate) fn new(body: Content, encoders: Pool<Encoder>) -> Encoded {
        let (input, output) = (Bytes::new(), Vec::new());
        Encoded { body, encoders, encoder: None, phase: Phase::Within, input, output }
    }

    /// Bytes of the content that are still to be encoded.
    pub(crate) fn remaining(&self) -> u64 {
        self.body.remaining() + self.input.len() as u64
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.output.capacity() == 0 {
            let bound = Encoder::bound(usize::try_from(self.remaining()).unwrap_or(usize::MAX).min(STEP_OUTPUT));
            self.output.reserve_exact(bound.min(STEP_OUTPUT));
        }
        while self.output.len() < self.output.capacity() && self.phase != Phase::Over {
            self.step().await?;
        }
        let piece = std::mem::take(&mut self.output);
        Ok((!piece.is_empty()).then(|| piece.into()))
    }

    async fn step(&mut self) -> Result<(), Error> {
        let refused = |Refused(why)| Error::Damaged(why);
        let encoder = match &mut self.encoder {
            Some(encoder) => encoder,
            none => {
                let encoder = none.insert(self.encoders.take().await?);
                encoder.begin(self.body.remaining()).map_err(refused)?;
                encoder
            }
        };
        match self.phase {
            Phase::Within if self.input.is_empty() => match self.body.next().await? {
                Some(piece) => self.input = piece,
                None => self.phase = Phase::Ending,
            },
            Phase::Within => {
                encoder.encode(&mut self.input, &mut self.output).map_err(refused)?;
                if !self.input.is_empty() {
                    self.encoders.rest().await;
                }
            }
            Phase::Ending => {
                if encoder.end(&mut self.output).map_err(refused)? {
                    self.encoder = None;
                    self.phase = Phase::Over;
                }
            }
            Phase::Over => {}
        }
        Ok(())
    }
}
