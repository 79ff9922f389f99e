//! gRPC by hand, over one HTTP/2 connection: what a stub would not send, and what it does not tell.
//! Not here: what the checks expect of it.

use std::fmt;
use std::str::FromStr;

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::{Ping, PingPong, RecvStream, SendStream};
use http::{HeaderMap, Request};
use prost::Message;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tonic::Code;

use crate::client::Server;
use crate::expect::{Outcome, differs, name, soon};

/// What this end lets the server send before it is read: per stream and per connection, in bytes.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 64 << 20;

/// Bytes in front of each message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// A connection of its own.
pub(crate) struct Connection {
    requests: SendRequest<Bytes>,
    ping: Option<PingPong>,
    task: JoinHandle<Result<(), h2::Error>>,
}

/// What a call was answered with.
pub(crate) struct Answer {
    /// The HTTP status.
    pub(crate) http: u16,
    /// The gRPC status; none if none came.
    pub(crate) code: Option<Code>,
    pub(crate) message: String,
    /// All messages, with their prefixes.
    pub(crate) data: Vec<u8>,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.map_or("no gRPC status", name);
        write!(f, "HTTP {}, {code} ({:?}), {} bytes", self.http, self.message, self.data.len())
    }
}

impl Connection {
    pub(crate) async fn open(server: &Server) -> Outcome<Connection> {
        let connect = async {
            let stream = TcpStream::connect(&*server.authority).await.map_err(|error| error.to_string())?;
            stream.set_nodelay(true).map_err(|error| error.to_string())?;
            let mut builder = h2::client::Builder::new();
            builder.initial_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
            builder.handshake(stream).await.map_err(|error| error.to_string())
        };
        match soon("a connection", connect).await? {
            Ok((requests, mut connection)) => {
                let ping = connection.ping_pong();
                Ok(Connection { requests, ping, task: tokio::spawn(connection) })
            }
            Err(error) => differs(format!("no HTTP/2 connection: {error}")),
        }
    }

    /// A call, whole.
    pub(crate) async fn call(&self, path: &str, headers: &[(&str, &str)], body: Bytes) -> Outcome<Answer> {
        let (answer, mut stream) = self.start(path, headers).await?;
        // The server may have answered and closed the stream without having read it: the answer counts.
        let _ = stream.send_data(body, true);
        finish(answer).await
    }

    /// The head of a call. Its body is the caller's to send.
    pub(crate) async fn start(
        &self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Outcome<(ResponseFuture, SendStream<Bytes>)> {
        let mut request = Request::post(format!("http://reapi.test{path}")).header("te", "trailers");
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/grpc");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let Ok(request) = request.body(()) else { return differs("a request that HTTP cannot say") };
        let started = match self.requests.clone().ready().await {
            Ok(mut requests) => requests.send_request(request, false),
            Err(error) => Err(error),
        };
        started.or_else(|error| differs(format!("the connection takes no request: {error}")))
    }

    /// Waits for the answer to a ping.
    pub(crate) async fn ping(&mut self) -> Outcome {
        let Some(ping) = &mut self.ping else { return differs("no ping to send") };
        match soon("the answer to a ping", ping.ping(Ping::opaque())).await? {
            Ok(_) => Ok(()),
            Err(error) => differs(format!("a ping was answered with {error}")),
        }
    }

    /// Ends the connection. Differs if the server had ended it before.
    pub(crate) async fn close(self) -> Outcome {
        if self.task.is_finished() {
            return differs(format!("the server ended the connection: {:?}", self.task.await));
        }
        drop(self.requests);
        drop(self.ping);
        match soon("the end of the connection", self.task).await? {
            Ok(Ok(())) => Ok(()),
            ended => differs(format!("the connection ended with {ended:?}")),
        }
    }
}

/// Reads an answer to its end.
pub(crate) async fn finish(answer: ResponseFuture) -> Outcome<Answer> {
    match soon("the answer", read(answer)).await? {
        Ok(answer) => Ok(answer),
        Err(error) => differs(format!("instead of an answer: {error}")),
    }
}

/// Reads an answer to its end, however long it takes.
pub(crate) async fn read(answer: ResponseFuture) -> Result<Answer, h2::Error> {
    let (head, mut body) = answer.await?.into_parts();
    let data = read_body(&mut body).await?;
    let trailers = body.trailers().await?.unwrap_or_default();
    let field = |name: &str| text(&trailers, name).or_else(|| text(&head.headers, name));
    let code = field("grpc-status").and_then(|code| i32::from_str(&code).ok()).map(Code::from_i32);
    Ok(Answer { http: head.status.as_u16(), code, message: field("grpc-message").unwrap_or_default(), data })
}

async fn read_body(body: &mut RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut data = Vec::new();
    while let Some(part) = body.data().await {
        let part = part?;
        body.flow_control().release_capacity(part.len())?;
        data.extend_from_slice(&part);
    }
    Ok(data)
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// A message with its prefix.
pub(crate) fn framed(message: &impl Message) -> Bytes {
    framed_bytes(0, &message.encode_to_vec())
}

/// Bytes with the prefix of a message, whose first byte says whether they are compressed.
pub(crate) fn framed_bytes(compressed: u8, body: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(PREFIX + body.len());
    frame.put_u8(compressed);
    frame.put_u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
    frame.put_slice(body);
    frame.freeze()
}

/// The first message of an answer.
pub(crate) fn first_message<M: Message + Default>(answer: &Answer) -> Outcome<M> {
    let Some(Ok(message)) = answer.data.get(PREFIX..).map(M::decode) else {
        return differs(format!("expected one message, got {answer}"));
    };
    Ok(message)
}
