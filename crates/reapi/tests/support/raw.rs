//! A client that says exactly what a test wants said, on one connection that is never replaced by another.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::Code;

use super::{PATIENCE, Site, messages, upload};

pub const CAPABILITIES: &str = "/build.bazel.remote.execution.v2.Capabilities/GetCapabilities";
pub const WRITE: &str = "/google.bytestream.ByteStream/Write";

pub type Said = UnsyncBoxBody<Bytes, Infallible>;

pub struct Connection {
    pub client: SendRequest<Said>,
    ended: JoinHandle<Result<(), hyper::Error>>,
}

impl Connection {
    pub async fn new(site: &Site) -> Connection {
        let stream = TcpStream::connect(site.address).await.unwrap();
        let (client, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        Connection { client, ended: tokio::spawn(connection) }
    }

    /// The code of a call, with the headers and trailers of its answer.
    pub async fn exchange(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: Said,
    ) -> Result<(Code, HeaderMap), hyper::Error> {
        let mut request = Request::post(format!("http://test{path}")).header("content-type", "application/grpc");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.client.clone().send_request(request.body(body).unwrap()).await?;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/grpc");
        let mut headers = response.headers().clone();
        headers.extend(response.into_body().collect().await?.trailers().cloned().unwrap_or_default());
        Ok((Code::from_bytes(headers["grpc-status"].as_bytes()), headers))
    }

    /// The code of a call.
    pub async fn call(&self, path: &str, body: Said) -> Result<Code, hyper::Error> {
        Ok(self.exchange(path, &[], body).await?.0)
    }

    pub async fn capabilities(&self) -> Result<Code, hyper::Error> {
        self.call(CAPABILITIES, full(&[0; 5])).await
    }

    /// Breaks it off.
    pub async fn cut(self) {
        self.ended.abort();
        let _ = self.ended.await;
    }

    /// Waits until the server has closed it.
    pub async fn closed(self) -> Result<(), hyper::Error> {
        timeout(PATIENCE, self.ended).await.expect("the connection was not closed").unwrap()
    }
}

pub fn full(body: &[u8]) -> Said {
    Full::new(Bytes::copy_from_slice(body)).boxed_unsync()
}

/// Messages as they go over the wire.
pub fn framed(message: &impl Message) -> Bytes {
    let length = u32::try_from(message.encoded_len()).unwrap();
    [&[0][..], &length.to_be_bytes(), &message.encode_to_vec()].concat().into()
}

/// A body that is sent as the test wants it.
pub fn stepwise() -> (mpsc::UnboundedSender<Bytes>, Said) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let frames = tokio_stream::wrappers::UnboundedReceiverStream::new(receiver);
    let body = StreamBody::new(tokio_stream::StreamExt::map(frames, |bytes| Ok(Frame::data(bytes))));
    (sender, body.boxed_unsync())
}

/// An upload of `data`, whose messages are sent as the test wants it.
pub fn held_back(data: &[u8]) -> (mpsc::UnboundedSender<Bytes>, Vec<Bytes>, Said) {
    let all = messages(&upload(&super::digest(data)), data, 1000).iter().map(framed).collect();
    let (sender, body) = stepwise();
    (sender, all, body)
}

/// Waits until the server has received so many bytes.
pub async fn received(site: &Site, bytes: u64) {
    while site.metric("kura_grpc_received_bytes_total").await < bytes {}
}
