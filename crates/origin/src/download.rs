//! From a URI to its body, over redirects: each of them is a new target, with the checks that the first one had.

use bytes::Bytes;
use http::response::Parts;
use http::{StatusCode, header};
use http_body::Body;
use hyper::body::Incoming;
use std::time::Duration;
use tokio::time::timeout;

use crate::Origins;
use crate::error::Error;
use crate::exchange::Exchange;
use crate::target::Target;

/// Redirects that are followed, one after another.
const REDIRECTS: usize = 10;

/// A body on its way from its origin.
pub struct Download {
    exchange: Exchange,
    body: Incoming,
    stall: Duration,
}

impl Download {
    /// Bytes of the body, where the origin says so.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// The next piece; nothing once all has come. Bodies that are cut short do not end, they fail.
    ///
    /// # Errors
    /// `Unavailable`, `Slow`.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let piece = timeout(self.stall, self.exchange.piece(&mut self.body)).await;
        piece.map_err(|_| Error::Slow("send the rest"))?
    }
}

impl Origins {
    /// Asks for what is at `uri`, and follows redirects.
    ///
    /// # Errors
    /// Any.
    pub async fn get(&self, uri: &str) -> Result<Download, Error> {
        let mut target = Target::parse(uri)?;
        for _ in 0..=REDIRECTS {
            let stream = self.connect(&target).await?;
            let (exchange, answer) = match target.tls {
                true => Box::pin(Exchange::ask(&target, self.secure(&target, stream).await?)).await?,
                false => Box::pin(Exchange::ask(&target, stream)).await?,
            };
            let (head, body) = answer.into_parts();
            match redirect(&head)? {
                Some(location) => target = target.join(location)?,
                None => {
                    check(&head)?;
                    return Ok(Download { exchange, body, stall: self.stall });
                }
            }
        }
        Err(Error::Unusable(format!("it redirects more than {REDIRECTS} times")))
    }
}

/// Where an answer sends us.
fn redirect(head: &Parts) -> Result<Option<&str>, Error> {
    let elsewhere = [301, 302, 303, 307, 308].contains(&head.status.as_u16());
    if !elsewhere {
        return Ok(None);
    }
    let location = head.headers.get(header::LOCATION).and_then(|location| location.to_str().ok());
    location.map(Some).ok_or_else(|| Error::Unusable("it redirects to nowhere".to_owned()))
}

/// Whether this is the head of a body that can be taken.
fn check(head: &Parts) -> Result<(), Error> {
    match head.status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::GONE => return Err(Error::NotFound(head.status)),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(Error::Denied(head.status)),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
            return Err(Error::Unavailable(head.status.to_string()));
        }
        status if status.is_server_error() => return Err(Error::Unavailable(status.to_string())),
        status => return Err(Error::Unusable(status.to_string())),
    }
    let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    let framed = match (codings.next(), codings.next()) {
        (None, _) => head.headers.contains_key(header::CONTENT_LENGTH),
        (Some(only), None) => only.as_bytes().eq_ignore_ascii_case(b"chunked"),
        _ => false,
    };
    // Such a body ends with the connection: one that was cut short would look whole.
    if framed { Ok(()) } else { Err(Error::Unusable("it does not say where its body ends".to_owned())) }
}
