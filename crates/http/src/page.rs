//! The pages: `/` for people, `/status.json` behind it, `/openapi.json`, `/up`, `/ready`, `/metrics`, and what is nobody's.
//! `/` is one self-contained document: nothing is fetched from elsewhere.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST};
use http::{HeaderMap, StatusCode};
use kura_auth::{Access, Need};
use kura_cache::Kind;

use crate::clients::{Address, CLIENTS, Client};
use crate::error::json_message;
use crate::health::readiness;
use crate::openapi::route::{Content, Given, Operation, Route};
use crate::site::Site;
use crate::surface::Surface;
use crate::{metrics, openapi};

const DOCUMENT: &str = include_str!("page.html");

/// What stands in [`DOCUMENT`] for the server's own address.
const ADDRESS: &str = "{{address}}";

/// What stands there for the lines of all clients.
const SECTIONS: &str = "{{clients}}";

const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:";

const JSON: &str = "application/json";

pub(crate) static ROUTES: &[Route] = &[
    page("/", "This server, and how its clients are set up.", &[read(&[given(200, "text/html")])]),
    page("/status.json", "The main figures.", &[read(&[given(200, JSON)])]),
    page("/openapi.json", "This description.", &[read(&[given(200, JSON)])]),
    page("/up", "Whether the process answers.", &[read(&[given(200, JSON)])]),
    page("/ready", "Whether traffic should come here; if not, why.", &[read(&[given(200, JSON), given(503, JSON)])]),
    page("/metrics", "What Prometheus reads.", &[read(&[given(200, "text/plain")])]),
];

const fn page(path: &'static str, about: &'static str, others: &'static [Operation]) -> Route {
    Route { is_scoped: false, ..Route::others(path, about, others) }
}

const fn read(gives: &'static [Given]) -> Operation {
    Operation::of("get", "Read it", gives)
}

const fn given(status: u16, media: &'static str) -> Given {
    Given::content(status, "The page", Content::bytes(media))
}

/// What is for everybody: those who ask whether the server is well have no tokens.
const OPEN: [&str; 2] = ["/up", "/ready"];

/// What a request for a page needs, before anything else is asked of it.
pub(crate) fn need(path: &str) -> Need {
    if OPEN.contains(&path) { Need::Nothing } else { Need::Read }
}

/// The pages' routes.
pub(crate) fn routes(site: Arc<Site>) -> Router {
    Router::new()
        .route("/", get(document))
        .route("/status.json", get(status))
        .route("/metrics", get(prometheus))
        // All that is above tells of every tenant.
        .route_layer(from_fn(overseen))
        .route("/openapi.json", get(openapi))
        .route("/up", get(up))
        .route("/ready", get(ready))
        .fallback(nobodys)
        .with_state(site)
}

async fn overseen(Extension(access): Extension<Access>, request: Request, next: Next) -> Response {
    match access.oversees() {
        Ok(()) => next.run(request).await,
        Err(denied) => {
            (StatusCode::FORBIDDEN, [(CONTENT_TYPE, JSON)], json_message(&denied.to_string())).into_response()
        }
    }
}

async fn document(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    let address = headers.get(HOST).and_then(|host| host.to_str().ok()).filter(|host| is_address(host));
    let address = address.unwrap_or("localhost:8380");
    let document =
        DOCUMENT.replace(ADDRESS, address).replace(SECTIONS, &sections(&Address::of(address, site.is_secure())));
    let headers =
        [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, POLICY), (CACHE_CONTROL, "no-store")];
    (headers, document).into_response()
}

fn sections(address: &Address) -> String {
    let section = |client: &Client| {
        let (title, place, lines) = (client.title, escaped(client.place), escaped(&client.lines(address)));
        format!(
            "<section class=\"client\"><h3>{title} <span>{place}</span><button type=\"button\">Copy</button></h3>\n\
             <pre>{lines}</pre></section>\n"
        )
    };
    CLIENTS.iter().map(section).collect()
}

/// Text as HTML and XML spell it.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Whether this is a host and a port, and nothing that means more in a document.
fn is_address(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 255
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte))
}

async fn up() -> Response {
    ([(CONTENT_TYPE, JSON)], "{\"up\":true}\n").into_response()
}

async fn ready(State(site): State<Arc<Site>>) -> Response {
    let (ready, why) = readiness(&site).await;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(CONTENT_TYPE, JSON), (CACHE_CONTROL, "no-store")], why).into_response()
}

async fn prometheus(State(site): State<Arc<Site>>) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics::render(&site)).into_response()
}

async fn openapi() -> Response {
    ([(CONTENT_TYPE, JSON)], openapi::document()).into_response()
}

async fn nobodys() -> Response {
    (StatusCode::NOT_FOUND, [(CONTENT_TYPE, JSON)], json_message("nothing is served under this path: see /"))
        .into_response()
}

/// The main figures, for the page.
async fn status(State(site): State<Arc<Site>>) -> Response {
    ([(CONTENT_TYPE, JSON), (CACHE_CONTROL, "no-store")], figures(&site)).into_response()
}

fn figures(site: &Site) -> String {
    let requests = Surface::ALL
        .iter()
        .filter(|surface| **surface != Surface::Page)
        .map(|surface| site.metrics.of(*surface).total_requests())
        .sum::<u64>()
        + site.guest().map_or(0, |guest| guest.requests());
    let progress = site.progress.snapshot();
    let Some(cache) = site.cache() else {
        return format!(
            "{{\"serving\":false,\"segments\":{},\"segments_done\":{},\"requests\":{requests}}}\n",
            progress.segments, progress.segments_done
        );
    };
    let store = cache.store_stats();
    let used: u64 = store.used.iter().map(|(_, bytes)| bytes).sum();
    // What clients did: the readiness probe is none of them.
    let kinds: Vec<_> = cache.kind_stats().into_iter().filter(|(kind, _)| *kind != Kind::Probe).collect();
    let sum = |read: fn(&kura_cache::KindStats) -> u64| kinds.iter().map(|(_, of)| read(of)).sum::<u64>();
    let shed_age = if store.shed_records > 0 { store.shed_age.as_secs().to_string() } else { "null".to_owned() };
    format!(
        "{{\"serving\":true,\"requests\":{requests},\"hits\":{},\"misses\":{},\"hit_bytes\":{},\"stored\":{},\"stored_bytes\":{},\
         \"artifacts\":{},\"segments\":{},\"used\":{used},\"live\":{},\"budget\":{},\"shed_age_seconds\":{shed_age},\"lost_leases\":{},\"read_only\":{}}}\n",
        sum(|of| of.hits),
        sum(|of| of.misses),
        sum(|of| of.hit_bytes),
        sum(|of| of.stored),
        sum(|of| of.stored_bytes),
        store.artifacts,
        store.segments,
        store.live_bytes,
        store.budget,
        store.lost_leases,
        store.read_only,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_host_and_a_port_find_their_way_into_the_document() {
        assert!(DOCUMENT.contains(ADDRESS) && DOCUMENT.contains(SECTIONS));
        for fine in ["localhost:8380", "[::1]:8380", "cache.example.com", "10.0.0.1"] {
            assert!(is_address(fine), "{fine}");
        }
        for bad in ["", "a<script>", "a\"b", "a b", "a/b", "a'", &"x".repeat(256)] {
            assert!(!is_address(bad), "{bad}");
        }
    }

    #[test]
    fn each_client_has_its_lines_and_a_button() {
        let sections = sections(&Address::of("cache:8380", false));
        assert_eq!(sections.matches("Copy</button>").count(), CLIENTS.len());
        assert!(sections.contains("=&gt; [new HttpStore({\n  endpoint: 'http://cache:8380/metro',\n"), "{sections}");
    }
}
