//! gRPC by hand over HTTP/2. Requests are made once and sent without a copy; answers are counted as they come and thrown away.

use anyhow::{Context, bail};
use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use http::Request;
use prost::Message;
use tokio::net::TcpStream;

/// What a server may send before it is read: per stream and per connection, in bytes.
pub(crate) const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 64 << 20;

/// Bytes of a frame that is sent, as most clients do.
const FRAME: u32 = 16 << 10;

/// Some connections to one server.
pub(crate) struct Client {
    connections: Vec<SendRequest<Bytes>>,
}

/// One call, ready to be sent.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) path: &'static str,
    /// All its messages, with what is in front of them.
    pub(crate) body: Vec<Bytes>,
    /// Bytes that are of use, sent or received: those of blobs.
    pub(crate) useful: u64,
    /// Bytes that an answer has at least.
    pub(crate) least: usize,
}

impl Client {
    /// `count` connections to `address`.
    pub(crate) async fn connect(address: &str, count: usize) -> anyhow::Result<Client> {
        let mut connections = Vec::new();
        for _ in 0..count {
            let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
            stream.set_nodelay(true)?;
            let mut builder = h2::client::Builder::new();
            builder.initial_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
            let (requests, connection) = builder.max_frame_size(FRAME).handshake(stream).await?;
            tokio::spawn(connection);
            connections.push(requests);
        }
        Ok(Client { connections })
    }

    /// Calls, on the connection of this number. Returns the answer's messages if `keep` says so, else nothing.
    pub(crate) async fn call(&self, connection: usize, call: &Call, keep: bool) -> anyhow::Result<Vec<u8>> {
        let request = Request::post(format!("http://bench{}", call.path))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())?;
        let mut requests = self.connections[connection].clone().ready().await?;
        let (answer, mut stream) = requests.send_request(request, false)?;
        let last = call.body.len().saturating_sub(1);
        for (number, part) in call.body.iter().enumerate() {
            stream.send_data(part.clone(), number == last)?;
        }
        let (head, mut body) = answer.await?.into_parts();
        let (mut length, mut kept) = (0, Vec::new());
        while let Some(part) = body.data().await {
            let part = part?;
            body.flow_control().release_capacity(part.len())?;
            length += part.len();
            if keep {
                kept.extend_from_slice(&part);
            }
        }
        let trailers = body.trailers().await?.unwrap_or(head.headers);
        let status = trailers.get("grpc-status").map(http::HeaderValue::as_bytes);
        if status != Some(b"0") {
            bail!("{} was answered with {:?} {:?}", call.path, status, trailers.get("grpc-message"));
        }
        if length < call.least {
            bail!("{} was answered with {length} bytes, not {}", call.path, call.least);
        }
        Ok(kept)
    }
}

/// A message with its prefix.
pub(crate) fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(PREFIX + length);
    put_prefix(&mut frame, length);
    // It has just been made large enough.
    let _ = message.encode(&mut frame);
    frame.freeze()
}

/// Bytes in front of each message: whether it is compressed, and its length.
pub(crate) const PREFIX: usize = 5;

pub(crate) fn put_prefix(frame: &mut BytesMut, length: usize) {
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
}
