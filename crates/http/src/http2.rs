//! HTTP/2 with prior knowledge: how much a connection may have in flight, whether its other side is there, and when it is asked to end.
//! Bounds: bytes received and not taken by a request are at most the connection's window, whatever its streams do.
//! Not here: a connection that nothing is done for (`link`), an answer that nobody takes (`stream`).

use hyper::server::conn::http2::Builder;
use hyper_util::rt::TokioTimer;

use crate::link::Shared;
use crate::serve::MAX_HEAD;
use crate::settings::ServerSettings;
use crate::stream::Streams;

/// Requests at a time on one connection; a client with more waits by itself.
const MAX_STREAMS: u32 = 1024;

/// The longest frame taken, in bytes: long ones cost less, short ones let small requests through between large ones.
const MAX_FRAME: u32 = 64 * 1024;

/// What waits to be sent on one stream, in bytes: a piece of a body goes out while the next is read.
const SEND_BUFFER: usize = 256 * 1024;

/// Streams that a client has reset before they were looked at: as many as it may have open, so that one that calls all of them off is served on.
const MAX_RESETS: usize = MAX_STREAMS as usize;

/// A connection's age is this much longer or shorter than the setting, in percent: those that came together do not go together.
const AGE_SPREAD: u64 = 10;

const _: () = assert!(MAX_HEAD <= u32::MAX as usize);

/// How connections are served.
pub(crate) fn builder(settings: &ServerSettings) -> Builder<Streams> {
    let idle_timeout = settings.idle_timeout;
    let mut builder = Builder::new(Streams { idle_timeout });
    builder
        .timer(TokioTimer::new())
        // Of a side that is gone, calls under way would not be told for hours.
        .keep_alive_interval(idle_timeout / 2)
        .keep_alive_timeout(idle_timeout)
        .initial_stream_window_size(settings.stream_window)
        .initial_connection_window_size(settings.connection_window)
        .max_concurrent_streams(MAX_STREAMS)
        .max_frame_size(MAX_FRAME)
        .max_header_list_size(MAX_HEAD as u32)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(MAX_RESETS)
        // An upload that is answered early, since its blob exists, goes on for a while: each such stream counts here, over a connection's whole life.
        .max_local_error_reset_streams(None);
    builder
}

/// Retires the connection when it is old enough; completes when it is twice as old, and what still runs is to be cut off.
pub(crate) async fn age(shared: &Shared) {
    let site = &shared.site;
    let Some(age) = site.settings.connection_age else { return std::future::pending().await };
    let percent = 100 - AGE_SPREAD + site.runtime.random() % (2 * AGE_SPREAD + 1);
    let age = age.mul_f64(percent as f64 / 100.0);
    tokio::time::sleep(age).await;
    shared.retire();
    tokio::time::sleep(age).await;
}
