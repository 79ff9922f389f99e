//! What a fuzzer feeds: one target a file, each a plain function of any bytes that panics where a sentence about them does not hold.
//! Built for tests, which replay `fuzz/corpus`, and for the fuzzer itself (`fuzz/`); never into a server.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a target fails by a panic")]

mod assembly;
mod chunker;
mod digest;
mod names;
mod recipe;
mod session;
mod tree;
pub(crate) mod zstd;

use crate::DigestFunction;

/// A name, which is that of its corpus, and what holds of any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets of this crate.
pub const TARGETS: &[Target] = &[
    ("names", names::target),
    ("tree", tree::target),
    ("zstd", zstd::target),
    ("recipe", recipe::target),
    ("assembly", assembly::target),
    ("session", session::target),
    ("digest", digest::target),
    ("chunker", chunker::target),
];

fn function(choice: u8) -> DigestFunction {
    DigestFunction::ALL[usize::from(choice) % DigestFunction::ALL.len()]
}

#[cfg(test)]
#[path = "../../../../fuzz/replay.rs"]
mod replay;

#[test]
fn every_sentence_about_foreign_bytes_holds_of_the_corpus() {
    replay::replay(TARGETS);
}
