//! zstd, in steps of bounded size: a decoder that takes any input, and an encoder.
//! A stream is any number of frames, skippable ones among them. Windows above 8 MiB are refused, as are dictionaries and what is no frame.
//! Not here: where bytes come from and go to, and how long one may take.

use bytes::{Buf, Bytes};
use zstd_safe::zstd_sys::ZSTD_EndDirective;
use zstd_safe::{CCtx, CParameter, DCtx, DParameter, InBuffer, OutBuffer, ResetDirective};

use crate::limits::{MAX_WINDOW_LOG, STEP_INPUT, STEP_OUTPUT};
use crate::pool::Codec;

/// How much is done about compression on the way out: the level that keeps up with a network.
const LEVEL: i32 = 1;

/// What the library has against bytes, or a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) &'static str);

impl Refused {
    fn of(code: usize) -> Refused {
        Refused(zstd_safe::get_error_name(code))
    }
}

pub(crate) struct Decoder {
    context: DCtx<'static>,
    /// What [`Decoder::step`] gives.
    output: Vec<u8>,
    /// There is more to give without further input.
    pending: bool,
    between_frames: bool,
    frame: Frame,
}

/// What is known of the frame that is being decoded.
#[derive(Default)]
struct Frame {
    /// Its first bytes, which say how much it holds, if it says so.
    head: Vec<u8>,
    /// Bytes of content that came of it.
    held: u64,
}

impl Frame {
    /// The most bytes that a frame's header has.
    const MAX_HEAD: usize = 18;

    fn passed(&mut self, taken: &[u8], given: usize) {
        let lacking = Self::MAX_HEAD - self.head.len();
        self.head.extend_from_slice(&taken[..taken.len().min(lacking)]);
        self.held += given as u64;
    }

    /// The library looks at this only where it gets a frame as a whole, or one that does not end with an empty block. What is taken must not depend on
    /// how it was cut.
    fn end(&mut self) -> Result<(), Refused> {
        let said = zstd_safe::get_frame_content_size(&self.head).ok().flatten();
        let held = std::mem::take(&mut self.held);
        self.head.clear();
        if said.is_some_and(|said| said != held) { Err(Refused("a frame holds less than it says")) } else { Ok(()) }
    }
}

impl Decoder {
    /// Decodes on: takes from `input`, appends to `output` up to its capacity, and does no more of either than one step may.
    ///
    /// # Errors
    /// For what is not zstd, or not of the sort that is taken here. The decoder is of no use then until it is reset.
    pub(crate) fn decode(&mut self, input: &mut Bytes, output: &mut Vec<u8>) -> Result<(), Refused> {
        let taken = input.len().min(STEP_INPUT);
        let mut source = InBuffer::around(&input[..taken]);
        let start = output.len();
        let mut target = OutBuffer::around_pos(output, start);
        while target.pos() < target.capacity() && (source.pos() < taken || self.pending) {
            let (taken_before, given_before) = (source.pos(), target.pos());
            let hint = self.context.decompress_stream(&mut target, &mut source).map_err(Refused::of)?;
            self.frame.passed(&input[taken_before..source.pos()], target.pos() - given_before);
            self.between_frames = hint == 0;
            if self.between_frames {
                self.frame.end()?;
            }
            self.pending = hint != 0 && target.pos() == target.capacity();
        }
        let used = source.pos();
        input.advance(used);
        Ok(())
    }

    /// As [`Decoder::decode`], into a buffer of its own.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    pub(crate) fn step(&mut self, input: &mut Bytes) -> Result<&[u8], Refused> {
        let mut output = std::mem::take(&mut self.output);
        output.clear();
        output.reserve_exact(STEP_OUTPUT);
        let decoded = self.decode(input, &mut output);
        self.output = output;
        decoded.map(|()| &self.output[..])
    }

    /// Whether nothing more comes of `input`.
    pub(crate) fn is_done_with(&self, input: &Bytes) -> bool {
        input.is_empty() && !self.pending
    }

    /// Whether what it was given ended with a frame.
    pub(crate) fn is_complete(&self) -> bool {
        self.between_frames && !self.pending
    }
}

impl Codec for Decoder {
    fn new() -> Decoder {
        let mut context = DCtx::create();
        context.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG)).expect("a limit that the library knows");
        Decoder { context, output: Vec::new(), pending: false, between_frames: true, frame: Frame::default() }
    }

    fn reset(&mut self) {
        self.context.reset(ResetDirective::SessionOnly).expect("a session can always be ended");
        self.pending = false;
        self.between_frames = true;
        self.frame = Frame::default();
    }

    fn memory(&self) -> usize {
        self.context.sizeof() + self.output.capacity()
    }
}

pub(crate) struct Encoder {
    context: CCtx<'static>,
}

impl Encoder {
    /// The most bytes that a frame of `length` takes.
    pub(crate) fn bound(length: usize) -> usize {
        zstd_safe::compress_bound(length)
    }

    /// Starts a frame that says that it holds `length` bytes.
    ///
    /// # Errors
    /// Within a frame.
    pub(crate) fn begin(&mut self, length: u64) -> Result<(), Refused> {
        self.context.set_pledged_src_size(Some(length)).map(drop).map_err(Refused::of)
    }

    /// Encodes on: takes from `input`, appends to `output` up to its capacity, and does no more of either than one step may.
    ///
    /// # Errors
    /// For more input than was announced.
    pub(crate) fn encode(&mut self, input: &mut Bytes, output: &mut Vec<u8>) -> Result<(), Refused> {
        let taken = input.len().min(STEP_INPUT);
        let start = output.len();
        let mut source = InBuffer::around(&input[..taken]);
        let mut target = OutBuffer::around_pos(output, start);
        while source.pos() < taken && target.pos() < target.capacity() {
            let directive = ZSTD_EndDirective::ZSTD_e_continue;
            self.context.compress_stream2(&mut target, &mut source, directive).map_err(Refused::of)?;
        }
        let used = source.pos();
        input.advance(used);
        Ok(())
    }

    /// Ends the frame; whether all of it is in `output` now.
    ///
    /// # Errors
    /// For less input than was announced.
    pub(crate) fn end(&mut self, output: &mut Vec<u8>) -> Result<bool, Refused> {
        let start = output.len();
        let left = self.context.end_stream(&mut OutBuffer::around_pos(output, start)).map_err(Refused::of)?;
        Ok(left == 0)
    }
}

impl Codec for Encoder {
    fn new() -> Encoder {
        let mut context = CCtx::create();
        context.set_parameter(CParameter::CompressionLevel(LEVEL)).expect("a level that the library knows");
        Encoder { context }
    }

    fn reset(&mut self) {
        self.context.reset(ResetDirective::SessionOnly).expect("a session can always be ended");
    }

    fn memory(&self) -> usize {
        self.context.sizeof()
    }
}

#[cfg(test)]
mod tests;
