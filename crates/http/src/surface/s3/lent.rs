//! A body that the library owns while it is somebody else's: it is read where it comes in, piece by piece, as the library asks for one.
//! So its client's pace, its end and what becomes of it when nobody wants it are the same as everywhere.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::{Notify, mpsc};

use super::chunks::Chunks;
use crate::body::Arriving;
use crate::error::Refusal;

/// What the library has of a body.
pub(super) struct Lent {
    pieces: mpsc::Receiver<Bytes>,
    wanted: Arc<Notify>,
    left: Option<u64>,
}

/// The other end of it.
pub(super) struct Lender {
    pieces: mpsc::Sender<Bytes>,
    wanted: Arc<Notify>,
}

impl Lent {
    /// Of `length` bytes, where that is known.
    pub(super) fn of(length: Option<u64>) -> (Lent, Lender) {
        let (sender, receiver) = mpsc::channel(1);
        let wanted = Arc::new(Notify::new());
        let lent = Lent { pieces: receiver, wanted: Arc::clone(&wanted), left: length };
        (lent, Lender { pieces: sender, wanted })
    }
}

/// Reads the body for as long as somebody wants it. Ends only where it cannot go on: then whoever has it has no more use for it.
pub(super) async fn lend(body: &mut Arriving<'_>, lender: Lender, chunks: Option<Chunks>) -> Refusal {
    match give(body, lender, chunks).await {
        Ok(()) => std::future::pending().await,
        Err(refusal) => refusal,
    }
}

async fn give(body: &mut Arriving<'_>, lender: Lender, mut chunks: Option<Chunks>) -> Result<(), Refusal> {
    loop {
        lender.wanted.notified().await;
        let Some(piece) = body.next().await? else { return Ok(()) };
        let taken = match &mut chunks {
            Some(chunks) => chunks.take(piece)?,
            None => vec![piece],
        };
        for piece in taken {
            if lender.pieces.send(piece).await.is_err() {
                // Nobody wants the rest.
                return Ok(());
            }
        }
    }
}

impl Body for Lent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let polled = this.pieces.poll_recv(cx);
        if polled.is_pending() {
            this.wanted.notify_one();
        }
        let piece = ready!(polled);
        let length = piece.as_ref().map_or(0, |piece| piece.len() as u64);
        this.left = this.left.map(|left| left.saturating_sub(length));
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}
