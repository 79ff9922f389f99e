//! Bodies on their way in: their declared length, their pace, and what becomes of those that nobody wants.
//! Only the time spent waiting for the client counts against it; while the store makes it wait, its clock stands still.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::EXPECT;
use http::request::Parts;
use http::{StatusCode, Version};
use http_body::Body as _;
use tokio::time::{Instant, timeout};

use crate::error::Refusal;
use crate::http2::{Announced, Window};
use crate::incoming::Incoming;
use crate::settings::ServerSettings;

/// A refused body of at most this many bytes is read to its end, so that its connection can be used again.
const DISCARDED_AT_MOST: u64 = 64 * 1024;

/// A request's body.
pub(crate) struct Arriving<'a> {
    body: Incoming,
    settings: &'a ServerSettings,
    /// Of an HTTP/2 connection.
    window: Option<&'a Arc<Window>>,
    /// Whether the client waits to be told before it sends.
    expects_continue: bool,
    pace: Pace,
    ended: bool,
}

impl<'a> Arriving<'a> {
    pub(crate) fn new(
        body: Incoming,
        head: &Parts,
        settings: &'a ServerSettings,
        window: &'a Arc<Window>,
    ) -> Arriving<'a> {
        let expects_continue =
            head.headers.get(EXPECT).is_some_and(|expected| expected.as_bytes().eq_ignore_ascii_case(b"100-continue"));
        let pace = Pace::new(settings.upload_pace, settings.pace_window);
        let window = (head.version == Version::HTTP_2).then_some(window);
        Arriving { body, settings, window, expects_continue, pace, ended: false }
    }

    /// Accounts for what the connection may receive of it before it is taken. Whoever wants a body announces it first.
    ///
    /// # Errors
    /// 429.
    pub(crate) fn announce(&self) -> Result<Option<Announced>, Refusal> {
        let announce = |window: &Arc<Window>| {
            let announced = window.announce(self.length().unwrap_or(u64::MAX));
            announced.ok_or_else(|| Refusal::overload("too many uploads are under way"))
        };
        self.window.map(announce).transpose()
    }

    /// The declared length in bytes; `None` where it comes in chunks.
    pub(crate) fn length(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// Whether all of it has been read.
    pub(crate) fn is_over(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }

    pub(crate) fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// 408 for a client that stalls or dawdles; 400 for a body that ends early or is malformed.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            let since = Instant::now();
            let frame = std::future::poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx));
            let Ok(frame) = timeout(self.settings.idle_timeout, frame).await else {
                return Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body stood still for too long"));
            };
            let Some(frame) = frame else {
                self.ended = true;
                return Ok(None);
            };
            let short = |_| Refusal::bad_request("the body ended before its declared length, or is malformed");
            let frame = frame.map_err(short)?;
            // Trailers say nothing here.
            let Ok(piece) = frame.into_data() else { continue };
            if !self.pace.keeps_up(since.elapsed(), piece.len() as u64) {
                return Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body comes in too slowly"));
            }
            return Ok(Some(piece));
        }
    }

    /// All of a body that is known to be short.
    ///
    /// # Errors
    /// 413 with that message for more than `limit` bytes; as for [`Arriving::announce`] and [`Arriving::next`].
    pub(crate) async fn gather(&mut self, limit: usize, message: &'static str) -> Result<Bytes, Refusal> {
        let too_large = || Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, message);
        if self.length().is_some_and(|length| length > limit as u64) {
            return Err(too_large());
        }
        let _announced = self.announce()?;
        let mut gathered = BytesMut::new();
        while let Some(piece) = self.next().await? {
            if gathered.len() + piece.len() > limit {
                return Err(too_large());
            }
            gathered.extend_from_slice(&piece);
        }
        Ok(gathered.freeze())
    }

    /// Reads and drops a short rest of a body that is not wanted; whether the connection can be used again.
    pub(crate) async fn discard(mut self) -> bool {
        if self.expects_continue || self.length().is_none_or(|length| length > DISCARDED_AT_MOST) {
            return false;
        }
        loop {
            match self.next().await {
                Ok(Some(_)) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }
}

/// Whether a body comes in fast enough, over windows of waiting time.
pub struct Pace {
    least: u64,
    window: Duration,
    waited: Duration,
    received: u64,
}

impl Pace {
    /// At least `least` bytes a second over each `window`.
    #[must_use]
    pub fn new(least: u64, window: Duration) -> Pace {
        Pace { least, window, waited: Duration::ZERO, received: 0 }
    }

    /// Whether it still does, after `received` more bytes that were waited for.
    pub fn keeps_up(&mut self, waited: Duration, received: u64) -> bool {
        self.waited += waited;
        self.received += received;
        if self.waited < self.window {
            return true;
        }
        let enough = u128::from(self.received) * 1000 >= u128::from(self.least) * self.waited.as_millis();
        (self.waited, self.received) = (Duration::ZERO, 0);
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(least: u64) -> Pace {
        Pace::new(least, Duration::from_secs(60))
    }

    #[test]
    fn a_body_is_judged_by_its_average_over_a_window() {
        let mut pace = pace(1000);
        assert!(pace.keeps_up(Duration::from_secs(59), 0), "the window is not over");
        assert!(pace.keeps_up(Duration::from_secs(1), 60_000), "it has caught up");
        assert!(pace.keeps_up(Duration::from_secs(59), 1_000_000));
        assert!(pace.keeps_up(Duration::from_secs(1), 0));
        assert!(!pace.keeps_up(Duration::from_secs(60), 59_999));
    }

    #[test]
    fn any_pace_will_do_where_none_is_set() {
        assert!(pace(0).keeps_up(Duration::from_secs(600), 0));
    }
}
