//! One keep-alive connection that speaks just enough HTTP/1.1, in the clear or under TLS, so that the client costs little.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use anyhow::{Context, bail};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// Longest head of an answer.
const MAX_HEAD: usize = 16 << 10;

/// Where a server is, and what it takes to be served.
#[derive(Clone)]
pub(crate) struct Address {
    /// Host and port.
    pub(crate) authority: String,
    /// Whom to trust, where it is under TLS.
    pub(crate) trusted: Option<Arc<ClientConfig>>,
    pub(crate) token: Option<String>,
}

/// A connection to a server.
pub(crate) struct Client {
    stream: Stream,
    /// What each request says of who makes it.
    authorization: String,
    buffer: Vec<u8>,
    request: Vec<u8>,
}

enum Stream {
    Clear(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Clear(stream) => stream.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Clear(stream) => stream.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Clear(stream) => stream.flush(),
            Stream::Tls(stream) => stream.flush(),
        }
    }
}

impl Client {
    pub(crate) fn connect(address: &Address) -> anyhow::Result<Client> {
        let Address { authority, trusted, token } = address;
        let stream = TcpStream::connect(authority).with_context(|| format!("connecting to {authority}"))?;
        stream.set_nodelay(true)?;
        let stream = match trusted {
            None => Stream::Clear(stream),
            Some(trusted) => {
                let connection = ClientConnection::new(Arc::clone(trusted), "localhost".try_into()?)?;
                Stream::Tls(Box::new(StreamOwned::new(connection, stream)))
            }
        };
        let authorization = token.iter().map(|token| format!("authorization: Bearer {token}\r\n")).collect();
        Ok(Client { stream, authorization, buffer: vec![0; 256 << 10], request: Vec::new() })
    }

    /// `GET` of what is there; returns the body's length.
    pub(crate) fn get(&mut self, path: &str) -> anyhow::Result<u64> {
        let (status, length) = self.try_get(path)?;
        if status != 200 {
            bail!("{path}: status {status}");
        }
        Ok(length)
    }

    /// `GET`; returns the status and the body's length.
    pub(crate) fn try_get(&mut self, path: &str) -> anyhow::Result<(u16, u64)> {
        self.request.clear();
        write!(self.request, "GET {path} HTTP/1.1\r\nhost: bench\r\n{}\r\n", self.authorization)?;
        self.send()?;
        self.answer()
    }

    /// `PUT`; returns the status.
    pub(crate) fn put(&mut self, path: &str, body: &[u8]) -> anyhow::Result<u16> {
        self.request.clear();
        let (length, authorization) = (body.len(), &self.authorization);
        write!(self.request, "PUT {path} HTTP/1.1\r\nhost: bench\r\n{authorization}content-length: {length}\r\n\r\n")?;
        if length <= 64 << 10 {
            self.request.extend_from_slice(body);
            self.send()?;
        } else {
            self.send()?;
            self.stream.write_all(body)?;
            self.stream.flush()?;
        }
        Ok(self.answer()?.0)
    }

    fn send(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.request)?;
        self.stream.flush()
    }

    /// `PUT` in chunks of a mebibyte, without a length.
    pub(crate) fn put_chunked(&mut self, path: &str, body: &[u8]) -> anyhow::Result<u16> {
        write!(self.stream, "PUT {path} HTTP/1.1\r\nhost: bench\r\ntransfer-encoding: chunked\r\n\r\n")?;
        for chunk in body.chunks(1 << 20) {
            write!(self.stream, "{:x}\r\n", chunk.len())?;
            self.stream.write_all(chunk)?;
            self.stream.write_all(b"\r\n")?;
        }
        self.stream.write_all(b"0\r\n\r\n")?;
        Ok(self.answer()?.0)
    }

    /// Reads one answer and throws its body away. Returns its status and the body's length.
    fn answer(&mut self) -> anyhow::Result<(u16, u64)> {
        let mut filled = 0;
        let head = loop {
            let count = self.stream.read(&mut self.buffer[filled..])?;
            if count == 0 {
                bail!("the server closed the connection");
            }
            filled += count;
            if let Some(end) = self.buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if filled > MAX_HEAD {
                bail!("an endless head");
            }
        };
        let text = std::str::from_utf8(&self.buffer[..head])?;
        let status = text.get(9..12).and_then(|status| status.parse().ok()).context("no status")?;
        let length = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        let length: u64 = length.unwrap_or(0);
        let mut left = length.saturating_sub((filled - head) as u64);
        while left > 0 {
            let most = usize::try_from(left)?.min(self.buffer.len());
            let count = self.stream.read(&mut self.buffer[..most])?;
            if count == 0 {
                bail!("a body that is cut short");
            }
            left -= count as u64;
        }
        Ok((status, length))
    }
}
