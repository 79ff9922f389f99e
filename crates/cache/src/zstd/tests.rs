//! However a stream is cut, what comes out is what went in; and no bytes are too strange.

use proptest::prelude::*;

use super::*;
use crate::fuzz::zstd::{decoded, encoded};

fn one_frame(content: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(zstd_safe::compress_bound(content.len()));
    zstd_safe::compress(&mut frame, content, 3).unwrap();
    frame
}

fn skippable(content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap();
    [&0x184d_2a53_u32.to_le_bytes(), &length.to_le_bytes(), content].concat()
}

/// A frame that asks for a window of 2^`log` bytes and does not say how much it holds.
fn with_window(log: u32) -> Vec<u8> {
    let mut context = CCtx::create();
    context.set_parameter(CParameter::WindowLog(log)).unwrap();
    let mut frame = Vec::with_capacity(1000);
    let mut output = OutBuffer::around(&mut frame);
    let mut input = InBuffer::around(b"content");
    context.compress_stream2(&mut output, &mut input, ZSTD_EndDirective::ZSTD_e_flush).unwrap();
    context.end_stream(&mut output).unwrap();
    frame
}

#[test]
fn windows_of_up_to_eight_mebibytes_are_taken() {
    assert_eq!(decoded(&with_window(23), 1000, 1000), Ok((b"content".to_vec(), true)));
    assert!(decoded(&with_window(24), 1000, 1000).is_err());
    assert!(decoded(&with_window(27), 1, 1000).is_err());
}

#[test]
fn a_frame_that_holds_less_than_it_says_is_refused_however_it_is_cut() {
    // One segment of 57 bytes, it says, and then nothing but an empty last block.
    let short = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 57, 1, 0, 0];
    for stream in [short.to_vec(), [&one_frame(b"content")[..], &short, &one_frame(b"more")].concat()] {
        for (cut, room) in [(1, 1), (1, 1000), (4, 100), (1000, 1), (1000, 1000)] {
            assert!(decoded(&stream, cut, room).is_err(), "pieces of {cut} bytes into {room}");
        }
    }
}

#[test]
fn a_step_is_bounded_whatever_it_is_given() {
    let mut decoder = Decoder::new();
    let bomb = one_frame(&vec![0; 100 << 20]);
    let mut input = Bytes::from(bomb);
    assert!(decoder.step(&mut input).unwrap().len() <= STEP_OUTPUT);
    let mut nothing = Bytes::from(one_frame(b"").repeat(STEP_INPUT));
    let before = nothing.len();
    decoder.reset();
    assert_eq!(decoder.step(&mut nothing), Ok(&[][..]));
    assert!(before - nothing.len() <= STEP_INPUT);
}

#[test]
fn a_decoder_that_was_reset_knows_nothing_of_what_was_before() {
    let frame = one_frame(b"content");
    let mut decoder = Decoder::new();
    for broken in [&frame[..5], b"not zstd at all", &with_window(30)] {
        let _ = decoder.step(&mut Bytes::copy_from_slice(broken));
        decoder.reset();
        assert_eq!(decoder.step(&mut Bytes::from(frame.clone())), Ok(&b"content"[..]));
        assert!(decoder.is_complete());
        decoder.reset();
    }
}

#[test]
fn a_decoder_and_an_encoder_hold_no_more_than_is_said() {
    let mut decoder = Decoder::new();
    let mut frame = with_window(23);
    frame.truncate(frame.len() - 3);
    decoder.step(&mut Bytes::from(frame)).unwrap();
    assert!(decoder.memory() <= (9 << 20), "{}", decoder.memory());
    let mut encoder = Encoder::new();
    encoder.begin(1 << 30).unwrap();
    let mut input = Bytes::from(vec![7; STEP_INPUT]);
    encoder.encode(&mut input, &mut Vec::with_capacity(STEP_OUTPUT)).unwrap();
    assert!(encoder.memory() <= 1_400_000, "{}", encoder.memory());
}

/// Bytes that compress, more or less.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let run = (any::<u8>(), 1..3000_usize).prop_map(|(byte, length)| vec![byte; length]);
    let noise = prop::collection::vec(any::<u8>(), 0..300);
    prop::collection::vec(prop_oneof![run, noise], 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn frames_and_skippable_frames_in_any_number_are_one_stream(
        contents in prop::collection::vec((content(), any::<bool>()), 0..5),
        cut in 1..5000_usize,
        room in 1..5000_usize,
    ) {
        let (mut stream, mut expected) = (Vec::new(), Vec::new());
        for (content, hidden) in &contents {
            if *hidden {
                stream.extend(skippable(content));
            } else {
                stream.extend(one_frame(content));
                expected.extend_from_slice(content);
            }
        }
        prop_assert_eq!(decoded(&stream, cut, room), Ok((expected, true)));
    }

    #[test]
    fn a_stream_that_is_cut_short_is_not_complete(
        content in content(),
        at in any::<prop::sample::Index>(),
        cut in 1..5000_usize,
    ) {
        let frame = one_frame(&content);
        let short = &frame[..at.index(frame.len() - 1) + 1];
        if short.len() < frame.len() {
            let (came, complete) = decoded(short, cut, 4096).unwrap();
            prop_assert!(!complete && content.starts_with(&came));
        }
    }

    #[test]
    fn what_is_encoded_is_what_the_library_decodes(
        content in content(),
        cut in 1..5000_usize,
        room in 1..5000_usize,
    ) {
        let frame = encoded(&content, cut, room);
        prop_assert_eq!(zstd_safe::get_frame_content_size(&frame).unwrap(), Some(content.len() as u64));
        let mut again = Vec::with_capacity(content.len());
        zstd_safe::decompress(&mut again, &frame).unwrap();
        prop_assert_eq!(&again, &content);
        prop_assert_eq!(decoded(&frame, cut, room), Ok((content, true)));
    }

    #[test]
    fn arbitrary_bytes_end_without_a_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 0..300),
        frame in any::<bool>(),
        cut in 1..300_usize,
        room in 1..300_usize,
    ) {
        if frame {
            bytes.splice(..0, 0xfd2f_b528_u32.to_le_bytes());
        }
        let _ = decoded(&bytes, cut, room);
    }

    #[test]
    fn a_frame_with_other_bytes_in_it_ends_without_a_panic(
        content in content(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut frame = one_frame(&content);
        let at = at.index(frame.len());
        frame[at] = byte;
        let _ = decoded(&frame, 100, 100);
    }
}
