//! One request: to its surface, to the pages, or to the guest. Counted, and its body accounted for whatever the answer is.

use std::sync::Arc;

use axum::Router;
use http::header::{CONNECTION, HeaderValue};
use http::request::Parts;
use http::{Request, Response, Version};
use kura_auth::{Access, Unidentified};
use tower_service::Service as _;
use tracing::Instrument as _;

use crate::answer::Answer;
use crate::body::Arriving;
use crate::error::Refusal;
use crate::exchange;
use crate::guest::{self, is_grpc};
use crate::incoming::Incoming;
use crate::link::Turn;
use crate::surface::Surface;

/// Answers one request of a connection, and says what it is called.
pub(crate) async fn serve(turn: &Turn, pages: Router, request: Request<Incoming>) -> Response<Answer> {
    let id = turn.shared.site.request_ids.of(request.headers());
    let span = tracing::info_span!("request", id = id.as_str());
    id.tell(answer(turn, pages, request).instrument(span).await)
}

async fn answer(turn: &Turn, pages: Router, request: Request<Incoming>) -> Response<Answer> {
    let site = &turn.shared.site;
    let surface = Surface::of(request.uri().path());
    let access = match site.door() {
        _ if turn.shared.is_owners => Access::anyone(),
        // Its clients sign: its own door asks who they are.
        Some(_) if surface == Surface::S3 => Access::nobody(Unidentified::Missing),
        Some(door) => door.access(request.headers(), &turn.shared, &*site.runtime).await,
        None => Access::anyone(),
    };
    if let Some(guest) = site.guest().filter(|_| is_grpc(&request)) {
        if !turn.has_room() {
            return guest::refused();
        }
        let window = Arc::clone(&turn.shared.window);
        return Arc::clone(guest).answer(request, access, window).await.map(Answer::Page);
    }
    let speaks_http2 = request.version() == Version::HTTP_2;
    let (mut parts, body) = request.into_parts();
    if surface == Surface::S3 {
        // Its door counts logins that fail.
        parts.extensions.insert(turn.shared.peer);
    }
    let need = surface.need(&parts.method, parts.uri.path());
    let permitted = access.permits(need).map_err(Refusal::from);
    let mut response = match (surface, permitted) {
        (Surface::Page, Ok(())) => page(pages, &parts, access).await,
        (Surface::Page, Err(refusal)) => refusal.into_response(site.runtime.random()),
        (surface, permitted) => {
            let mut body = Arriving::new(body, &parts, &site.settings, &turn.shared.window);
            let response = match permitted {
                Ok(()) if !turn.has_room() => Err(Refusal::overload("too many requests are under way")),
                Ok(()) => match site.tenants.admit(access.tenant(), need).await {
                    // Its state is long, and calls of gRPC have none of it.
                    Ok(_admitted) => Box::pin(exchange::answer(site, &access, surface, &parts, &mut body)).await,
                    Err(excess) => Err(excess.into()),
                },
                Err(refusal) => Err(refusal),
            };
            let refused = |refusal| surface.soften(refusal, need).into_response(site.runtime.random());
            let mut response = response.unwrap_or_else(refused);
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
async fn page(mut pages: Router, parts: &Parts, access: Access) -> Response<Answer> {
    let mut request = Request::new(axum::body::Body::empty());
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = parts.uri.clone();
    *request.headers_mut() = parts.headers.clone();
    request.extensions_mut().insert(access);
    let Ok(response) = Box::pin(pages.call(request)).await;
    response.map(Answer::Page)
}
