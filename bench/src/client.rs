//! One keep-alive connection that speaks just enough HTTP/1.1, so that the client costs little.

use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Context, bail};

/// Longest head of an answer.
const MAX_HEAD: usize = 16 << 10;

/// A connection to a server.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    request: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: &str) -> anyhow::Result<Client> {
        let stream = TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Client { stream, buffer: vec![0; 256 << 10], request: Vec::new() })
    }

    /// `GET`; returns the body's length.
    pub(crate) fn get(&mut self, path: &str) -> anyhow::Result<u64> {
        self.request.clear();
        write!(self.request, "GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n")?;
        self.stream.write_all(&self.request)?;
        let (status, length) = self.answer()?;
        if status != 200 {
            bail!("{path}: status {status}");
        }
        Ok(length)
    }

    /// `PUT`; returns the status.
    pub(crate) fn put(&mut self, path: &str, body: &[u8]) -> anyhow::Result<u16> {
        self.request.clear();
        write!(self.request, "PUT {path} HTTP/1.1\r\nhost: bench\r\ncontent-length: {}\r\n\r\n", body.len())?;
        if body.len() <= 64 << 10 {
            self.request.extend_from_slice(body);
            self.stream.write_all(&self.request)?;
        } else {
            self.stream.write_all(&self.request)?;
            self.stream.write_all(body)?;
        }
        Ok(self.answer()?.0)
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
