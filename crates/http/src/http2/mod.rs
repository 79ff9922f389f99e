//! HTTP/2 with prior knowledge: how much a connection may have in flight, whether its other side is there, and when it is asked to end. `h2` speaks it; each
//! request goes to a task of its own (`stream`), its body comes from the connection as it is asked for (`receiving`), and `credit` says when its client is
//! told that it was taken.
//! Bounds: bytes received and not taken by a request are at most the connection's window (`window`), whatever its streams do.
//! Not here: a connection that nothing is done for (`link`), and when its bytes leave (`socket`).

mod credit;
mod places;
mod receiving;
mod stream;
mod window;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::Router;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Ping, PingPong, RecvStream};
use http::Request;
use hyper_util::rt::TokioIo;
use tokio::time::{sleep, timeout};

use crate::answer::Piece;
use crate::link::{Link, Shared};
use crate::serve::MAX_HEAD;
use crate::settings::ServerSettings;
use credit::Ledger;
use places::Places;

pub(crate) use places::Place;
pub(crate) use receiving::Receiving;
pub use stream::{Deadline, ReadAsSent};
pub use window::{Announced, Window};

/// Requests at a time on one connection; a client with more waits by itself.
const MAX_STREAMS: u32 = 1024;

/// The longest frame taken, in bytes: long ones cost less, short ones let small requests through between large ones.
const MAX_FRAME: u32 = 64 * 1024;

/// What waits to be sent on one stream, in bytes: a piece of 256 KiB goes out while the next is read, and both may lie there.
const SEND_BUFFER: usize = 640 * 1024;

/// Streams that a client has reset before they were looked at: as many as it may have open, so that one that calls all of them off is served on.
const MAX_RESETS: usize = MAX_STREAMS as usize;

/// A connection's age is this much longer or shorter than the setting, in percent: those that came together do not go together.
const AGE_SPREAD: u64 = 10;

const _: () = assert!(MAX_HEAD <= u32::MAX as usize);

/// One connection from its preface to its last answer.
///
/// # Errors
/// As its client or the system broke it off.
pub(crate) async fn serve(link: Link, shared: &Arc<Shared>, pages: Router) -> Result<(), h2::Error> {
    let socket = link.socket();
    let settings = &shared.site.settings;
    let handshake = pin!(builder(settings).handshake::<_, Piece>(TokioIo::new(link)));
    let mut connection = shared.drive(&socket, handshake, |_| {}).await?;
    let pings = connection.ping_pong();
    let ledger = Ledger::new(settings.stream_window, settings.connection_window);
    let requests = pin!(Requests { connection, ledger, places: Places::new(), shared: Arc::clone(shared), pages });
    tokio::select! {
        ended = shared.drive(&socket, requests, |requests| requests.get_mut().connection.graceful_shutdown()) => return ended,
        () = age(shared) => tracing::info!("a connection is cut off: it was asked to end long ago"),
        () = gone(shared, pings) => tracing::debug!("a connection is cut off: nobody is at its other side"),
    }
    Ok(())
}

fn builder(settings: &ServerSettings) -> Builder {
    let mut builder = Builder::new();
    builder
        .initial_window_size(credit::in_thirds(settings.stream_window))
        .initial_connection_window_size(settings.connection_window)
        .max_concurrent_streams(MAX_STREAMS)
        .max_frame_size(MAX_FRAME)
        .max_header_list_size(MAX_HEAD as u32)
        .max_send_buffer_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(MAX_RESETS)
        // An upload that is answered early, since its blob exists, goes on for a while: each such stream counts here, over a connection's whole life.
        .max_local_error_reset_streams(None);
    builder
}

/// A connection's requests, each of which is given to its task as it comes.
struct Requests {
    connection: Connection<TokioIo<Link>, Piece>,
    ledger: Arc<Ledger>,
    places: Arc<Places>,
    shared: Arc<Shared>,
    pages: Router,
}

impl Requests {
    fn begin(&self, request: Request<RecvStream>, respond: SendResponse<Piece>) {
        let (head, body) = request.into_parts();
        let body = Receiving::new(body, &head.headers, &self.ledger);
        let request = Request::from_parts(head, body.into());
        let answered =
            stream::answer(self.shared.begin(), Arc::clone(&self.places), self.pages.clone(), request, respond);
        // Boxed here, it is not copied on its way into its task.
        tokio::spawn(Box::pin(answered));
    }
}

impl Future for Requests {
    type Output = Result<(), h2::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        let this = self.get_mut();
        while let Some(request) = ready!(this.connection.poll_accept(cx)) {
            let (request, respond) = request?;
            this.begin(request, respond);
        }
        Poll::Ready(Ok(()))
    }
}

/// Retires the connection when it is old enough; completes when it is twice as old, and what still runs is to be cut off.
async fn age(shared: &Shared) {
    let site = &shared.site;
    let Some(age) = site.settings.connection_age else { return std::future::pending().await };
    let percent = 100 - AGE_SPREAD + site.runtime.random() % (2 * AGE_SPREAD + 1);
    let age = age.mul_f64(percent as f64 / 100.0);
    sleep(age).await;
    shared.retire();
    sleep(age).await;
}

/// Completes when the other side has not answered a ping for the idle timeout, which calls under way would not be told for hours. It is asked where it has
/// said nothing for half of that.
async fn gone(shared: &Shared, pings: Option<PingPong>) {
    let idle_timeout = shared.site.settings.idle_timeout;
    if let Some(mut pings) = pings {
        loop {
            sleep(idle_timeout / 2).await;
            if shared.take_heard() {
                continue;
            }
            match timeout(idle_timeout, pings.ping(Ping::opaque())).await {
                // That it answered is nothing that it said of its own.
                Ok(Ok(_)) => drop(shared.take_heard()),
                // The connection is over, as whoever serves it is told.
                Ok(Err(_)) => break,
                Err(_) => return,
            }
        }
    }
    std::future::pending().await
}
