//! What a fuzzer feeds: one target a file, each a plain function of any bytes that panics where a sentence about them does not hold.
//! Built for tests, which replay `fuzz/corpus`, and for the fuzzer itself (`fuzz/`); never into a server.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a target fails by a panic")]

mod action_json;
mod authorization;
mod conditional;
mod path;
mod query;
mod range;
mod s3_body;
mod s3_lists;
mod s3_signature;
mod tuist;
mod turborepo;
mod webdav;

/// A name, which is that of its corpus, and what holds of any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets of this crate.
pub const TARGETS: &[Target] = &[
    ("action_json", action_json::target),
    ("http_authorization", authorization::target),
    ("http_path", path::target),
    ("http_query", query::target),
    ("http_range", range::target),
    ("http_tuist", tuist::target),
    ("http_turborepo", turborepo::target),
    ("http_webdav", webdav::target),
    ("http_conditional", conditional::target),
    ("s3_body", s3_body::target),
    ("s3_lists", s3_lists::target),
    ("s3_signature", s3_signature::target),
];

#[cfg(test)]
#[path = "../../../../fuzz/replay.rs"]
mod replay;

#[test]
fn every_sentence_about_foreign_bytes_holds_of_the_corpus() {
    replay::replay(TARGETS);
}
