//! A long path: a proxy that hands on every byte, each way, after a while. It keeps order, and has at most [`PIECES`] pieces on their way each way.
//! It runs in a thread of its own, so that the client's core is not what holds a stream up.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::process::on_both_cores;

/// Pieces that may be on their way: more than any window that is measured is cut into.
const PIECES: usize = 8192;

/// Bytes that are read at a time.
const PIECE: usize = 64 << 10;

/// What is on its way, and when it arrives.
struct Travelling {
    arrives: Instant,
    bytes: Bytes,
}

/// The address of a proxy in front of `address`, `one_way` away from it. It runs as long as the process does.
pub(crate) fn in_front_of(address: &str, one_way: Duration) -> io::Result<String> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let (here, address) = (listener.local_addr()?, address.to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        on_both_cores()?;
        runtime.block_on(serve(listener, address, one_way))
    });
    Ok(here.to_string())
}

async fn serve(listener: std::net::TcpListener, address: String, one_way: Duration) -> anyhow::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (near, _) = listener.accept().await?;
        let far = TcpStream::connect(&address).await?;
        for end in [&near, &far] {
            end.set_nodelay(true)?;
        }
        let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
        tokio::spawn(carry(from_near, to_far, one_way));
        tokio::spawn(carry(from_far, to_near, one_way));
    }
}

/// One way, until either side closes.
async fn carry(from: OwnedReadHalf, mut to: OwnedWriteHalf, one_way: Duration) {
    let (sender, mut receiver) = mpsc::channel(PIECES);
    tokio::spawn(set_out(from, sender, one_way));
    while let Some(Travelling { arrives, bytes }) = receiver.recv().await {
        sleep_until(arrives).await;
        if to.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

async fn set_out(mut from: OwnedReadHalf, sender: mpsc::Sender<Travelling>, one_way: Duration) {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(PIECE);
        let Ok(1..) = from.read_buf(&mut buffer).await else { return };
        let bytes = buffer.split().freeze();
        if sender.send(Travelling { arrives: Instant::now() + one_way, bytes }).await.is_err() {
            return;
        }
    }
}
