//! One request: to its surface, to the pages, or to the guest. Counted, and its body accounted for whatever the answer is.

use std::sync::Arc;

use axum::Router;
use http::header::{CONNECTION, HeaderValue};
use http::request::Parts;
use http::{Request, Response, Version};
use hyper::body::Incoming;
use tower_service::Service as _;

use crate::answer::Answer;
use crate::body::Arriving;
use crate::exchange;
use crate::guest::is_grpc;
use crate::link::Turn;
use crate::surface::Surface;

/// Answers one request of a connection.
pub(crate) async fn serve(turn: &Turn, pages: Router, request: Request<Incoming>) -> Response<Answer> {
    let site = &turn.0.site;
    if let Some(guest) = site.guest().filter(|_| is_grpc(&request)) {
        return Arc::clone(guest).answer(request).await.map(Answer::Page);
    }
    let speaks_http2 = request.version() == Version::HTTP_2;
    let surface = Surface::of(request.uri().path());
    let (parts, body) = request.into_parts();
    let mut response = match surface {
        Surface::Page => page(pages, &parts).await,
        surface => {
            let mut body = Arriving::new(body, &parts, &site.settings);
            let response = exchange::answer(site, surface, &parts, &mut body).await;
            let mut response = response.unwrap_or_else(|refusal| refusal.into_response(site.runtime.random()));
            if !speaks_http2 && !body.is_over() && !Box::pin(body.discard()).await {
                turn.0.linger();
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            response
        }
    };
    if !speaks_http2 && site.is_draining() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    site.metrics.of(surface).answered(&parts.method, response.status());
    response
}

/// Pages take no bodies.
async fn page(mut pages: Router, parts: &Parts) -> Response<Answer> {
    let mut request = Request::new(axum::body::Body::empty());
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = parts.uri.clone();
    *request.headers_mut() = parts.headers.clone();
    let Ok(response) = Box::pin(pages.call(request)).await;
    response.map(Answer::Page)
}
