//! A proxy in front of a server that answers in its place, or not at all: what clients do about it is theirs.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_TYPE, EXPECT, HeaderValue, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri, Version};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

type Answered = Response<BoxBody<Bytes, hyper::Error>>;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// This status; over gRPC the code that Kura has for the same.
    Status(u16),
    /// No answer, for as long as the client waits.
    Stall,
}

/// Which requests meet it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// What asks and fetches.
    Reads,
    /// What stores.
    Writes,
}

#[derive(Clone, Copy)]
struct Plan {
    on: On,
    fault: Fault,
    spared: &'static [&'static str],
}

impl Plan {
    fn is_for(&self, request: &Request<Incoming>) -> bool {
        self.on == sort(request) && !self.spared.iter().any(|end| request.uri().path().ends_with(end))
    }
}

/// Stands in front of a server; ends with this.
pub struct FaultProxy {
    address: String,
    plan: Arc<Mutex<Option<Plan>>>,
    _runtime: Runtime,
}

impl FaultProxy {
    /// Passes on everything that comes, to the server at `address`.
    #[must_use]
    pub fn before(address: &str) -> FaultProxy {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let own = listener.local_addr().unwrap().to_string();
        let plan = Arc::new(Mutex::new(None));
        let passing = Arc::new(Passing {
            address: address.to_owned(),
            plan: Arc::clone(&plan),
            plain: Client::builder(TokioExecutor::new()).build_http(),
            grpc: Client::builder(TokioExecutor::new()).http2_only(true).build_http(),
        });
        runtime.spawn(accept(listener, passing));
        FaultProxy { address: own, plan, _runtime: runtime }
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// From now on those requests meet that fault, and the others pass; also those for a path that ends in one of `spared`.
    pub fn plan(&self, on: On, fault: Fault, spared: &'static [&'static str]) {
        *self.plan.lock() = Some(Plan { on, fault, spared });
    }
}

struct Passing {
    address: String,
    plan: Arc<Mutex<Option<Plan>>>,
    plain: Client<HttpConnector, Incoming>,
    grpc: Client<HttpConnector, Incoming>,
}

async fn accept(listener: TcpListener, passing: Arc<Passing>) {
    while let Ok((stream, _)) = listener.accept().await {
        let passing = Arc::clone(&passing);
        let service = service_fn(move |request| {
            let passing = Arc::clone(&passing);
            async move { Ok::<_, Infallible>(passing.answer(request).await) }
        });
        tokio::spawn(async move {
            // How a client ends its connection is its own affair.
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

impl Passing {
    async fn answer(&self, request: Request<Incoming>) -> Answered {
        let plan = *self.plan.lock();
        match plan {
            Some(plan) if plan.is_for(&request) => met(request, plan.fault).await,
            _ => self.pass(request).await,
        }
    }

    async fn pass(&self, mut request: Request<Incoming>) -> Answered {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = format!("http://{}{path}", self.address).parse::<Uri>().unwrap();
        for of_this_connection in [CONNECTION, EXPECT, TRANSFER_ENCODING] {
            request.headers_mut().remove(of_this_connection);
        }
        let client = if request.version() == Version::HTTP_2 { &self.grpc } else { &self.plain };
        match client.request(request).await {
            Ok(mut answer) => {
                answer.headers_mut().remove(CONNECTION);
                answer.headers_mut().remove(TRANSFER_ENCODING);
                answer.map(BodyExt::boxed)
            }
            Err(error) => panic!("the server does not answer: {error}"),
        }
    }
}

fn sort(request: &Request<Incoming>) -> On {
    let path = request.uri().path();
    let stores = match request.method().as_str() {
        "PUT" | "PROPFIND" | "MKCOL" | "DELETE" => true,
        "POST" => ["/Write", "/BatchUpdateBlobs", "/UpdateActionResult"].iter().any(|call| path.ends_with(call)),
        _ => false,
    };
    if stores { On::Writes } else { On::Reads }
}

async fn met(request: Request<Incoming>, fault: Fault) -> Answered {
    let Fault::Status(status) = fault else { return pending().await };
    let is_grpc =
        request.headers().get(CONTENT_TYPE).is_some_and(|sort| sort.as_bytes().starts_with(b"application/grpc"));
    // It takes the body first: an answer before its end could be lost with the connection.
    let _ = request.into_body().collect().await;
    let mut answer = Response::new(Full::new(Bytes::new()).map_err(|never| match never {}).boxed());
    if is_grpc {
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        answer.headers_mut().insert("grpc-status", HeaderValue::from(code(status)));
    } else {
        *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    }
    answer
}

/// The code of gRPC by which Kura says the same.
fn code(status: u16) -> u16 {
    match status {
        403 => 7,
        404 => 5,
        413 => 3,
        429 => 8,
        500 => 13,
        other => panic!("no test answers with {other}"),
    }
}
