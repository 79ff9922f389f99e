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
use crate::error::Refusal;
use crate::exchange;
use crate::guest::{self, is_grpc};
use crate::link::Turn;
use crate::surface::Surface;

/// Answers one request of a connection.
pub(crate) async fn serve(turn: &Turn, pages: Router, mut request: Request<Incoming>) -> Response<Answer> {
    let site = &turn.shared.site;
    if let Some(guest) = site.guest().filter(|_| is_grpc(&request)) {
        if !turn.has_room() {
            return guest::refused();
        }
        request.extensions_mut().insert(Arc::clone(&turn.shared.window));
        return Arc::clone(guest).answer(request).await.map(Answer::Page);
    }
    let speaks_http2 = request.version() == Version::HTTP_2;
    let surface = Surface::of(request.uri().path());
    let (parts, body) = request.into_parts();
    let mut response = match surface {
        Surface::Page => page(pages, &parts).await,
        surface => {
            let mut body = Arriving::new(body, &parts, &site.settings, &turn.shared.window);
            let response = match turn.has_room() {
                true => exchange::answer(site, surface, &parts, &mut body).await,
                false => Err(Refusal::overload("too many requests are under way")),
            };
            let mut response = response.unwrap_or_else(|refusal| refusal.into_response(site.runtime.random()));
            if !speaks_http2 && !body.is_over() && !Box::pin(body.discard()).await {
                turn.shared.linger();
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
