//! Servers that answer every call in one and the same way, and tests that no check believes all of them.

use std::net::SocketAddr;
use std::sync::Arc;

use bazel_remote_apis::build::bazel::remote::execution::v2::{CacheCapabilities, FastCdc2020Params};
use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::net::{TcpListener, TcpStream};

use crate::check::Check;
use crate::client::Server;
use crate::digest::Function;
use crate::offers::{Need, Offers};
use crate::run::{self, Verdict};

/// What a liar answers.
#[derive(Debug, Clone, Copy)]
enum Lie {
    /// OK, with an empty message.
    Empty,
    /// OK, without any message.
    Nothing,
    /// This status.
    Status(u16),
}

const LIES: [Lie; 6] = [
    Lie::Empty,
    Lie::Nothing,
    Lie::Status(3),  // INVALID_ARGUMENT
    Lie::Status(5),  // NOT_FOUND
    Lie::Status(12), // UNIMPLEMENTED
    Lie::Status(13), // INTERNAL
];

/// Serves `lie` on a port of its own for as long as the runtime lives.
async fn serve(lie: Lie) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(stream, lie));
        }
    });
    address
}

async fn connection(stream: TcpStream, lie: Lie) {
    stream.set_nodelay(true).unwrap();
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, answer))) = connection.accept().await {
        tokio::spawn(reply(request, answer, lie));
    }
}

/// Reads the call to its end and answers it. Nobody minds a client that has gone.
async fn reply(request: Request<h2::RecvStream>, mut answer: SendResponse<Bytes>, lie: Lie) -> Option<()> {
    let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    let mut stream = answer.send_response(head, false).ok()?;
    if matches!(lie, Lie::Empty) {
        stream.send_data(Bytes::from_static(&[0; 5]), false).ok()?;
    }
    let code = if let Lie::Status(code) = lie { code } else { 0 };
    stream.send_trailers(HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from(code))])).ok()?;
    let mut body = request.into_body();
    while let Some(Ok(part)) = body.data().await {
        body.flow_control().release_capacity(part.len()).ok()?;
    }
    Some(())
}

/// A server that is said to offer everything.
async fn believed(lie: Lie) -> Server {
    let address = serve(lie).await;
    let cache = CacheCapabilities {
        max_batch_total_size_bytes: 1000,
        max_cas_blob_size_bytes: 1 << 40,
        fast_cdc_2020_params: Some(FastCdc2020Params { avg_chunk_size_bytes: 1 << 16, seed: 0 }),
        ..CacheCapabilities::default()
    };
    let probed = vec![Need::Fetch, Need::Push];
    let offers = Offers { cache, functions: Function::ALL.to_vec(), probed, ..Offers::default() };
    let server = Server::connect(&format!("grpc://{address}"), "").await.unwrap();
    Server { offers: Arc::new(offers), ..server }
}

/// The names of the checks that `lie` passes, of all.
async fn believers(checks: &[Check], lie: Lie) -> Vec<String> {
    let server = believed(lie).await;
    let mut believers = Vec::new();
    for check in checks {
        if matches!(run::one(&server, check).await, Verdict::Agrees) {
            believers.push(check.name());
        }
    }
    believers
}

#[tokio::test(flavor = "multi_thread")]
async fn no_check_agrees_with_every_liar() {
    let suite = crate::checks::all();
    let mut gullible: Vec<String> = suite.checks.iter().map(Check::name).collect();
    for lie in LIES {
        let believers = believers(&suite.checks, lie).await;
        println!("{lie:?} passes {}", believers.len());
        gullible.retain(|name| believers.contains(name));
    }
    // A server that answers pings is all that this one asks for.
    assert_eq!(gullible, ["gRPC: A ping is answered"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_answers_nothing_useful_passes_few_checks() {
    let suite = crate::checks::all();
    for lie in [Lie::Empty, Lie::Nothing] {
        let believers = believers(&suite.checks, lie).await;
        assert!(believers.len() * 5 < suite.checks.len(), "{lie:?} passes {believers:#?}");
    }
}
