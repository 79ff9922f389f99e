//! Any bytes as a zstd stream, and as the content of one. The first two say in which pieces it is given and taken.

use bytes::Bytes;

use crate::limits::MAX_WINDOW_LOG;
use crate::pool::Codec;
use crate::zstd::{Decoder, Encoder, Refused};

/// Whoever decodes stops somewhere: so does this.
const ENOUGH: usize = 1 << 20;

/// What a decoder holds beside its window.
const BESIDE_THE_WINDOW: usize = 1 << 20;

pub(super) fn target(bytes: &[u8]) {
    let [cut, room, stream @ ..] = bytes else { return };
    let (cut, room) = (usize::from(*cut) + 1, 16 * usize::from(*room) + 1);
    let ours = decoded(stream, cut, room);
    let at_once = decoded(stream, stream.len().max(1), ENOUGH);
    if let (Ok((ours, complete)), Ok((at_once, _))) = (&ours, &at_once)
        && ours.len() < ENOUGH
    {
        assert!(ours == at_once, "the same however it is cut");
        let mut theirs = Vec::with_capacity(ENOUGH);
        if *complete {
            zstd_safe::decompress(&mut theirs, stream).unwrap();
            assert!(ours == &theirs, "what the library makes of it");
        }
    }
    let is_short =
        |decoded: &Result<(Vec<u8>, bool), Refused>| decoded.as_ref().is_ok_and(|(content, _)| content.len() < ENOUGH);
    // The library takes a compressed block of no bytes where it comes in pieces, and refuses it where it has the whole frame.
    let has_empty_block = stream.windows(3).any(|header| matches!(header, [4 | 5, 0, 0]));
    assert!(has_empty_block || is_short(&ours) == is_short(&at_once), "refused alike");
    let frame = encoded(stream, cut, room);
    assert!(decoded(&frame, cut, room) == Ok((stream.to_vec(), true)), "what was encoded is decoded");
}

/// All that comes of `stream`, until it is enough, given in pieces of `cut` bytes and taken in pieces of `room`; and whether it ended with a frame.
pub(crate) fn decoded(stream: &[u8], cut: usize, room: usize) -> Result<(Vec<u8>, bool), Refused> {
    let mut decoder = Decoder::new();
    let mut content = Vec::new();
    for piece in stream.chunks(cut) {
        let mut input = Bytes::copy_from_slice(piece);
        let mut was_idle = false;
        while !decoder.is_done_with(&input) && content.len() < ENOUGH {
            let (left, mut output) = (input.len(), Vec::with_capacity(room));
            let most = output.capacity();
            decoder.decode(&mut input, &mut output)?;
            assert!(output.len() <= most, "a step is bounded");
            let is_idle = input.len() == left && output.is_empty();
            assert!(!(was_idle && is_idle), "it gets on, or learns that there is nothing left");
            was_idle = is_idle;
            content.extend_from_slice(&output);
        }
    }
    assert!(decoder.memory() <= (1 << MAX_WINDOW_LOG) + BESIDE_THE_WINDOW, "{} bytes held", decoder.memory());
    Ok((content, decoder.is_complete()))
}

/// One frame of `content`, given in pieces of `cut` bytes and taken in pieces of `room`.
pub(crate) fn encoded(content: &[u8], cut: usize, room: usize) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.begin(content.len() as u64).unwrap();
    let (mut frames, mut output) = (Vec::new(), Vec::with_capacity(room));
    for piece in content.chunks(cut) {
        let mut input = Bytes::copy_from_slice(piece);
        while !input.is_empty() {
            encoder.encode(&mut input, &mut output).unwrap();
            frames.append(&mut output);
            output.reserve_exact(room);
        }
    }
    while !encoder.end(&mut output).unwrap() {
        frames.append(&mut output);
        output.reserve_exact(room);
    }
    frames.append(&mut output);
    frames
}
