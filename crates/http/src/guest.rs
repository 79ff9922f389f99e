//! Another protocol on the same port: gRPC, which comes as HTTP/2. What speaks it lies above this crate and is let in by [`crate::Server::welcome`].

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response, Version};
use kura_auth::Access;
use kura_cache::Cache;

use crate::answer::Answer;
use crate::http2::Window;
use crate::incoming::Incoming;
use crate::metrics::Exposition;

/// The body of a guest's response.
pub type GuestBody = axum::body::Body;

/// A response on its way.
pub type Answering = Pin<Box<dyn Future<Output = Response<GuestBody>> + Send>>;

/// What speaks another protocol on the same port.
pub trait Guest: Send + Sync + 'static {
    /// Answers one request, which may do and reach what `access` says, and whose uploads share the connection's `window`. Dropping the answer calls the
    /// request off.
    fn answer(self: Arc<Self>, request: Request<Incoming>, access: Access, window: Arc<Window>) -> Answering;

    /// Recovery is done: `cache` serves from here on.
    fn open(&self, cache: Cache);

    /// The server is shutting down: what runs may end.
    fn drain(&self);

    /// Requests answered so far.
    fn requests(&self) -> u64;

    /// Adds its part of `/metrics`.
    fn expose(&self, to: &mut Exposition);
}

/// What a client is told for whose request there is no memory (`RESOURCE_EXHAUSTED`).
pub(crate) fn refused() -> Response<Answer> {
    let mut response = Response::new(Answer::Empty);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from_static("8"));
    headers.insert("grpc-message", HeaderValue::from_static("too many calls are under way: come back later"));
    response
}

/// Whether a request is gRPC.
pub(crate) fn is_grpc(request: &Request<Incoming>) -> bool {
    request.version() == Version::HTTP_2
        && request.headers().get(CONTENT_TYPE).is_some_and(|sort| sort.as_bytes().starts_with(b"application/grpc"))
}
