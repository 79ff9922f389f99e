//! A long path: a proxy that hands on every byte, each way, after a while. It keeps order, and at most [`BUFFER`] bytes each way.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep_until};

/// More than any window that is measured: the path itself never is what holds a stream up.
const BUFFER: usize = 64 << 20;

/// Bytes that are read at a time.
const PIECE: usize = 64 << 10;

/// What is on its way, and when it arrives.
struct Travelling {
    arrives: Instant,
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

/// The address of a proxy in front of `address`, `one_way` away from it. It runs as long as the runtime does.
pub(crate) async fn in_front_of(address: &str, one_way: Duration) -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (here, address) = (listener.local_addr()?.to_string(), address.to_owned());
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let Ok(far) = TcpStream::connect(&address).await else { return };
            for end in [&near, &far] {
                // A hint: without it the path would only be longer.
                let _ = end.set_nodelay(true);
            }
            let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
            tokio::spawn(carry(from_near, to_far, one_way));
            tokio::spawn(carry(from_far, to_near, one_way));
        }
    });
    Ok(here)
}

/// One way, until either side closes.
async fn carry(from: OwnedReadHalf, mut to: OwnedWriteHalf, one_way: Duration) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    tokio::spawn(set_out(from, sender, one_way));
    while let Some(next) = receiver.recv().await {
        sleep_until(next.arrives).await;
        if to.write_all(&next.bytes).await.is_err() {
            return;
        }
    }
}

async fn set_out(mut from: OwnedReadHalf, sender: mpsc::UnboundedSender<Travelling>, one_way: Duration) {
    let room = Arc::new(Semaphore::new(BUFFER));
    let mut buffer = BytesMut::new();
    loop {
        let Ok(mut taken) = Arc::clone(&room).acquire_many_owned(PIECE as u32).await else { return };
        buffer.reserve(PIECE);
        let Ok(count @ 1..) = (&mut from).take(PIECE as u64).read_buf(&mut buffer).await else { return };
        drop(taken.split(PIECE - count));
        let bytes = buffer.split().freeze();
        if sender.send(Travelling { arrives: Instant::now() + one_way, bytes, _room: taken }).is_err() {
            return;
        }
    }
}
