//! One request and its answer, on a connection of their own. What drives the connection is polled by whoever waits for the answer or its body: nothing
//! runs in the background, and dropping them closes it.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Request, Response, header};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::error::Error;
use crate::target::Target;

/// How long the head of an answer may take. Some origins make first what is asked of them.
const HEAD: Duration = Duration::from_secs(30);

/// The longest head of an answer, and what is read ahead of its body, in bytes.
const BUFFER: usize = 64 << 10;

/// Who asks.
const USER_AGENT: &str = concat!("kura/", env!("CARGO_PKG_VERSION"));

/// A connection that carries one answer.
pub(crate) struct Exchange {
    connection: Option<BoxFuture<'static, ()>>,
}

impl Exchange {
    /// Asks for the target's body.
    ///
    /// # Errors
    /// `Unavailable`, `Slow`, `Unusable`.
    pub(crate) async fn ask<Io>(target: &Target, io: Io) -> Result<(Exchange, Response<Incoming>), Error>
    where
        Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let handshake = http1::Builder::new().max_buf_size(BUFFER).handshake(TokioIo::new(io)).await;
        let (mut sender, connection) = handshake.map_err(|error| broken(&error))?;
        let mut exchange = Exchange { connection: Some(connection.map(drop).boxed()) };
        let answer = exchange.alongside(sender.send_request(request(target)?));
        let answer = timeout(HEAD, answer).await.map_err(|_| Error::Slow("answer"))?;
        Ok((exchange, answer.map_err(|error| broken(&error))?))
    }

    /// The next piece of a body of this connection.
    ///
    /// # Errors
    /// `Unavailable` where it breaks off.
    pub(crate) async fn piece(&mut self, body: &mut Incoming) -> Result<Option<Bytes>, Error> {
        loop {
            let Some(frame) = self.alongside(poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx))).await else {
                return Ok(None);
            };
            // Trailers say nothing here.
            if let Ok(data) = frame.map_err(|error| broken(&error))?.into_data() {
                return Ok(Some(data));
            }
        }
    }

    /// Drives the connection until `work` is done.
    async fn alongside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| {
            self.drive(cx);
            work.as_mut().poll(cx)
        })
        .await
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = &mut self.connection
            && let Poll::Ready(()) = connection.as_mut().poll(cx)
        {
            self.connection = None;
        }
    }
}

/// Bodies are taken as they are stored there: a checksum is of those bytes.
fn request(target: &Target) -> Result<Request<String>, Error> {
    Request::get(&target.path)
        .header(header::HOST, &target.authority)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, "*/*")
        .header(header::ACCEPT_ENCODING, "identity")
        .header(header::CONNECTION, "close")
        .body(String::new())
        .map_err(|_| Error::NotFetchable("it is malformed"))
}

fn broken(error: &hyper::Error) -> Error {
    if error.is_parse() { Error::Unusable(error.to_string()) } else { Error::Unavailable(error.to_string()) }
}
