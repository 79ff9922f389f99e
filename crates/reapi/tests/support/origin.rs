//! A small origin on this machine: it answers each request with the bytes that a function makes of its path.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

pub struct Origin {
    pub address: SocketAddr,
    requests: Arc<AtomicUsize>,
    /// Nothing is answered while it is closed.
    gate: Arc<Semaphore>,
}

impl Origin {
    pub async fn open(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Origin {
        let origin = Origin::closed(answer).await;
        origin.let_answer();
        origin
    }

    /// One that takes requests and does not answer.
    pub async fn closed(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, requests, gate) =
            (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default(), Arc::new(Semaphore::new(0)));
        let (counted, opened, answer) = (Arc::clone(&requests), Arc::clone(&gate), Arc::new(answer));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                let (opened, answer) = (Arc::clone(&opened), Arc::clone(&answer));
                tokio::spawn(async move {
                    let (mut stream, path) = asked(stream).await;
                    let _open = opened.acquire().await.unwrap();
                    // A client that has seen enough does not read on.
                    let _ = stream.write_all(&answer(&path)).await;
                });
            }
        });
        Origin { address, requests, gate }
    }

    pub fn let_answer(&self) {
        self.gate.add_permits(1000);
    }

    pub fn uri(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn asked(mut stream: TcpStream) -> (TcpStream, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    (stream, head.split(' ').nth(1).unwrap().to_owned())
}

/// An answer that has this body.
pub fn ok(body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

/// An answer without a body.
pub fn status(status: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}
