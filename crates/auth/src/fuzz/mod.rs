//! What a fuzzer feeds: one target a file, each a plain function of any bytes that panics where a sentence about them does not hold.
//! Built for tests, which replay `fuzz/corpus`, and for the fuzzer itself (`fuzz/`); never into a server.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a target fails by a panic")]

mod rules;
mod tokens;

/// A name, which is that of its corpus, and what holds of any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets of this crate.
pub const TARGETS: &[Target] = &[("rules", rules::target), ("tokens", tokens::target)];

#[cfg(test)]
#[path = "../../../../fuzz/replay.rs"]
mod replay;

#[test]
fn every_sentence_about_foreign_bytes_holds_of_the_corpus() {
    replay::replay(TARGETS);
}
