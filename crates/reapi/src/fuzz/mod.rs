//! What a fuzzer feeds: one target a file, each a plain function of any bytes that panics where a sentence about them does not hold.
//! Built for tests, which replay `fuzz/corpus`, and for the fuzzer itself (`fuzz/`); never into a server.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a target fails by a panic")]

mod find_missing;
mod framing;
mod instance;
mod llvm;
pub(crate) mod message;
mod metadata;
mod resource;
mod timeout;
pub(crate) mod write_request;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use http_body::{Body, Frame};

use crate::ReapiSettings;
use crate::grpc::Incoming;

/// A name, which is that of its corpus, and what holds of any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets of this crate.
pub const TARGETS: &[Target] = &[
    ("resource", resource::target),
    ("instance", instance::target),
    ("metadata", metadata::target),
    ("timeout", timeout::target),
    ("llvm", llvm::target),
    ("message", message::target),
    ("find_missing", find_missing::target),
    ("framing", framing::target),
    ("write_request", write_request::target),
];

/// The body of a call that came in these pieces.
pub(crate) struct Pieces(VecDeque<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a client sends that sends `bytes`, in pieces of `cut`.
pub(crate) fn incoming(bytes: &[u8], cut: usize) -> Incoming<Pieces> {
    let pieces = Pieces(bytes.chunks(cut).map(Bytes::copy_from_slice).collect());
    Incoming::new(pieces, Arc::new(ReapiSettings::default()), Arc::default(), kura_http::Memory::new(1 << 24))
}

/// What comes of a future that has nothing to wait for.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    future.now_or_never().expect("nothing is waited for")
}

#[cfg(test)]
#[path = "../../../../fuzz/replay.rs"]
mod replay;

#[test]
fn every_sentence_about_foreign_bytes_holds_of_the_corpus() {
    replay::replay(TARGETS);
}
