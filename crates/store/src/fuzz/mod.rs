//! What a fuzzer feeds: one target a file, each a plain function of any bytes that panics where a sentence about them does not hold.
//! Bytes that a checksum or the store's secret guards are looked at twice: as they came, and with what guards them made right, since a decoder
//! is total whatever stands behind a checksum.
//! Built for tests, which replay `fuzz/corpus`, and for the fuzzer itself (`fuzz/`); never into a server.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a target fails by a panic")]

mod footer;
mod heat;
mod key;
mod record;
mod segment;
mod segment_header;
mod store_file;

use crate::key::Secret;

/// A name, which is that of its corpus, and what holds of any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets of this crate.
pub const TARGETS: &[Target] = &[
    ("store_file", store_file::target),
    ("segment_header", segment_header::target),
    ("record", record::target),
    ("footer", footer::target),
    ("heat", heat::target),
    ("key", key::target),
    ("segment", segment::target),
];

/// The secret of the golden files.
const SECRET: Secret = Secret([7; 16]);

#[cfg(test)]
#[path = "../../../../fuzz/replay.rs"]
mod replay;

#[test]
fn every_sentence_about_foreign_bytes_holds_of_the_corpus() {
    replay::replay(TARGETS);
}
