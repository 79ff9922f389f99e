//! A small origin on this machine: it answers each request with the bytes that a function makes of its path.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub, reason = "a test may fail, and each uses a part")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kura_origin::{Download, Error, Origins, Settings};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What is sent for a path, and whether the connection then ends, or stands still.
pub enum Answer {
    Ends(Vec<u8>),
    Stalls(Vec<u8>),
}

pub struct Origin {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Origin {
    pub async fn at(ip: &str, tls: Option<TlsAcceptor>, answer: fn(&str) -> Answer) -> Origin {
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let (address, connections) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                let tls = tls.clone();
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => {
                            // Whoever does not trust us goes away.
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, answer).await;
                            }
                        }
                        None => serve(stream, answer).await,
                    }
                });
            }
        });
        Origin { address, connections }
    }

    pub async fn new(answer: fn(&str) -> Answer) -> Origin {
        Origin::at("127.0.0.1", None, answer).await
    }

    pub fn uri(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: fn(&str) -> Answer) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap();
    // A client that has seen enough does not read on.
    match answer(path) {
        Answer::Ends(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Answer::Stalls(bytes) => {
            let _ = stream.write_all(&bytes).await;
            std::future::pending().await
        }
    }
}

pub fn ok(body: &[u8]) -> Answer {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    Answer::Ends([head.as_bytes(), body].concat())
}

pub fn status(status: &str) -> Answer {
    Answer::Ends(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").into_bytes())
}

pub fn elsewhere(location: &str) -> Answer {
    Answer::Ends(format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n").into_bytes())
}

/// Origins of which these networks are open.
pub fn origins(networks: &[&str]) -> Origins {
    Origins::new(settings(networks))
}

pub fn settings(networks: &[&str]) -> Settings {
    let networks = networks.iter().map(|network| network.parse().unwrap()).collect();
    Settings { networks, roots: Vec::new(), stall: Duration::from_secs(30) }
}

pub async fn fetched(origins: &Origins, uri: &str) -> Result<Vec<u8>, Error> {
    rest(&mut origins.get(uri).await?).await
}

pub async fn rest(download: &mut Download) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(piece) = download.next().await? {
        body.extend_from_slice(&piece);
    }
    Ok(body)
}
