//! A request's body on its way in, over HTTP/2.
//! Invariant: no client waits for credit of bytes that were taken, but for what `credit` keeps.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Body, Frame, SizeHint};

use super::credit::{Credit, Ledger};

pub(crate) struct Receiving {
    stream: RecvStream,
    credit: Credit,
    /// Bytes that are to come, where that was said.
    left: Option<u64>,
    /// What comes from here on are trailers.
    data_ended: bool,
}

impl Receiving {
    /// The body of a request with those headers; `h2` has seen to it that a declared length is a number, and sees to it that it is kept to.
    pub(super) fn new(stream: RecvStream, headers: &HeaderMap, ledger: &Arc<Ledger>) -> Receiving {
        let said = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let left = if stream.is_end_stream() { Some(0) } else { said };
        Receiving { stream, credit: Credit::of(ledger), left, data_ended: false }
    }

    fn give_back(&mut self, credit: usize) {
        if credit > 0 {
            // It was received and is given back once: nothing is left that could be refused.
            let _ = self.stream.flow_control().release_capacity(credit);
        }
    }
}

impl Body for Receiving {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let this = self.get_mut();
        if !this.data_ended {
            match ready!(this.stream.poll_data(cx)).transpose()? {
                Some(data) => {
                    let mut credit = this.credit.taken(data.len());
                    if this.stream.is_end_stream() {
                        credit += this.credit.close();
                    }
                    this.give_back(credit);
                    this.left = this.left.map(|left| left.saturating_sub(data.len() as u64));
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                None => this.data_ended = true,
            }
        }
        let trailers = ready!(this.stream.poll_trailers(cx))?;
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Receiving {
    /// Other streams share what it has not given back of the connection's window.
    fn drop(&mut self) {
        let credit = self.credit.close();
        self.give_back(credit);
    }
}
