//! A connection's socket, and what is gathered to be written to it. HTTP/2 is written frame by frame; a system call for each, and a client that is woken
//! by each, would cost more than all else that a small answer takes. What many answers come to leaves in one write, once the connection's task has
//! nothing more to do. What is long is given to the system as it comes, which makes full packets of it, and holds back the last until then.
//! Invariant: bytes leave in the order in which they were taken, all of them before the task rests, or else the task is woken when the socket takes more.
//! Bounds: [`GATHERED`] bytes a connection, for as long as they wait.
//! The lock is never waited for: only the connection's one task takes it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustix::net::sockopt::set_tcp_cork;
use tokio::time::Instant;
use tokio_util::either::Either;

use crate::tls::Stream;

/// Bytes that are gathered at most. A longer write is not copied: the system is given it, behind what was gathered.
pub(crate) const GATHERED: usize = 32 * 1024;

/// The longest write that is gathered, in bytes: a frame of a few kilobytes. To copy more takes as long as the system call that it saves.
const SMALL: usize = 8 * 1024;

/// Parts of one write that are given to the system at once.
const PARTS: usize = 8;

/// A write of HTTP/2 of at most this many bytes is about the connection: pings and their answers, windows, settings.
const ABOUT_THE_CONNECTION: usize = 128;

pub(crate) struct Socket(Mutex<Inner>);

struct Inner {
    stream: TokioIo<Stream>,
    gathers: bool,
    gathered: Vec<u8>,
    /// Of what is gathered, what the system has.
    sent: usize,
    /// The system was told to hold back what fills no packet.
    corked: bool,
    /// Whether what is gathered is more than what is about the connection.
    counts: bool,
    /// When bytes that count last left.
    moved: Option<Instant>,
    /// A write failed whose writer had been told that it would leave.
    broken: bool,
}

impl Socket {
    pub(crate) fn new(stream: Stream) -> Socket {
        Socket(Mutex::new(Inner {
            stream: TokioIo::new(stream),
            gathers: false,
            gathered: Vec::new(),
            sent: 0,
            corked: false,
            counts: false,
            moved: None,
            broken: false,
        }))
    }

    /// From here on, small writes wait for [`Socket::poll_send`].
    pub(crate) fn gather(&self) {
        self.0.lock().gathers = true;
    }

    /// When bytes last left that were not about the connection, if any did since this was asked.
    pub(crate) fn take_moved(&self) -> Option<Instant> {
        self.0.lock().moved.take()
    }

    /// # Errors
    /// As the system says; `BrokenPipe` where what was taken could not be sent.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        inner.check()?;
        Pin::new(&mut inner.stream).poll_read(cx, buffer)
    }

    /// Takes bytes of `parts`: how many is returned.
    ///
    /// # Errors
    /// As for reads.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut inner = self.0.lock();
        inner.check()?;
        if inner.gathers { inner.poll_gather(cx, parts) } else { inner.poll_write(cx, parts) }
    }

    /// Whoever has their writes gathered flushes with [`Socket::poll_send`].
    ///
    /// # Errors
    /// As for reads.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        inner.check()?;
        if inner.gathers { Poll::Ready(Ok(())) } else { Pin::new(&mut inner.stream).poll_flush(cx) }
    }

    /// Whether something was gathered, and at least as much has room beside it.
    pub(crate) fn has_little(&self) -> bool {
        (1..=GATHERED / 2).contains(&self.0.lock().gathered.len())
    }

    /// Sends what was gathered. A failure is also what the next read or write meets.
    ///
    /// # Errors
    /// As the system says.
    pub(crate) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        if !inner.gathers || inner.broken {
            return Poll::Ready(Ok(()));
        }
        let sent = inner.poll_send(cx);
        inner.broken = matches!(sent, Poll::Ready(Err(_)));
        sent
    }

    /// Shuts our side, behind what was gathered.
    ///
    /// # Errors
    /// As the system says.
    pub(crate) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        inner.check()?;
        ready!(inner.poll_send(cx))?;
        Pin::new(&mut inner.stream).poll_shutdown(cx)
    }
}

impl Inner {
    fn check(&self) -> io::Result<()> {
        if self.broken { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, parts))?;
        self.moved = Some(Instant::now());
        Poll::Ready(Ok(written))
    }

    fn poll_gather(&mut self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let length = parts.iter().map(|part| part.len()).sum();
        self.counts |= length > ABOUT_THE_CONNECTION;
        if length > SMALL {
            return self.poll_write_behind(cx, parts);
        }
        if self.gathered.len() + length > GATHERED {
            ready!(self.poll_send_gathered(cx))?;
        }
        if self.gathered.capacity() == 0 {
            self.gathered.reserve_exact(GATHERED);
        }
        parts.iter().for_each(|part| self.gathered.extend_from_slice(part));
        Poll::Ready(Ok(length))
    }

    /// Writes what was gathered and these in one go.
    fn poll_write_behind(&mut self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.cork(true)?;
        loop {
            let waiting = &self.gathered[self.sent..];
            let mut all = [IoSlice::new(&[]); PARTS];
            let given = std::iter::once(waiting).chain(parts.iter().map(|part| &**part));
            all.iter_mut().zip(given).for_each(|(slot, part)| *slot = IoSlice::new(part));
            let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, &all))?;
            let beyond = written.checked_sub(waiting.len());
            self.has_left(written);
            match beyond {
                Some(beyond) if beyond > 0 || written == 0 => return Poll::Ready(Ok(beyond)),
                _ if written == 0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                _ => {}
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send_gathered(cx))?;
        self.cork(false)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_send_gathered(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.gathered.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.gathered[self.sent..]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.has_left(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Has the system hold back what fills no packet, or send it. A flag of each write does not do: what the other side acknowledges meanwhile lets the
    /// rest go.
    fn cork(&mut self, corked: bool) -> io::Result<()> {
        if let Either::Left(Either::Left(tcp)) = self.stream.inner()
            && self.corked != corked
        {
            set_tcp_cork(tcp, corked)?;
            self.corked = corked;
        }
        Ok(())
    }

    /// Keeps the time, and gives the memory back once all that was gathered has left.
    fn has_left(&mut self, written: usize) {
        if self.counts && written > 0 {
            self.moved = Some(Instant::now());
        }
        self.sent += written;
        if self.sent >= self.gathered.len() {
            self.gathered = Vec::new();
            self.sent = 0;
            self.counts = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream, UnixStream};

    use super::*;

    /// A socket that gathers, and its other side.
    fn gathering() -> (Socket, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let socket = Socket::new(Either::Left(Either::Right(ours)));
        socket.gather();
        (socket, theirs)
    }

    /// The same over TCP.
    async fn gathering_tcp() -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let theirs = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let socket = Socket::new(Either::Left(Either::Left(listener.accept().await.unwrap().0)));
        socket.gather();
        (socket, theirs)
    }

    async fn write(socket: &Socket, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            // As HTTP/2 writes a frame: its head, then its payload.
            let (head, payload) = bytes.split_at(bytes.len().min(9));
            let parts = [IoSlice::new(head), IoSlice::new(payload)];
            let taken = poll_fn(|cx| socket.poll_write(cx, &parts)).await.unwrap();
            bytes = &bytes[taken..];
        }
    }

    #[tokio::test]
    async fn what_is_small_waits_for_more_and_leaves_when_the_task_rests() {
        let (socket, mut theirs) = gathering();
        write(&socket, b"one answer, ").await;
        write(&socket, b"and another").await;
        poll_fn(|cx| socket.poll_flush(cx)).await.unwrap();
        assert_eq!(theirs.try_read(&mut [0; 1]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert!(socket.has_little());
        poll_fn(|cx| socket.poll_send(cx)).await.unwrap();
        assert!(!socket.has_little());
        let mut said = [0; 23];
        theirs.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"one answer, and another");
        assert_eq!(socket.0.lock().gathered.capacity(), 0, "its memory is given back");
    }

    #[tokio::test]
    async fn what_is_long_is_not_held_back_once_the_task_rests() {
        let (socket, mut theirs) = gathering_tcp().await;
        let (long, short) = ([7; 3 * SMALL], b"short");
        write(&socket, &long).await;
        write(&socket, short).await;
        assert!(socket.0.lock().corked);
        poll_fn(|cx| socket.poll_send(cx)).await.unwrap();
        assert!(!socket.0.lock().corked);
        write(&socket, &long).await;
        poll_fn(|cx| socket.poll_send(cx)).await.unwrap();
        assert!(!socket.0.lock().corked);
        let mut said = vec![0; 2 * long.len() + short.len()];
        theirs.read_exact(&mut said).await.unwrap();
        assert!(said == [&long[..], short, &long].concat());
    }

    #[tokio::test]
    async fn nothing_is_kept_back_when_our_side_is_shut() {
        let (socket, mut theirs) = gathering();
        write(&socket, b"the last").await;
        poll_fn(|cx| socket.poll_shutdown(cx)).await.unwrap();
        let mut said = Vec::new();
        theirs.read_to_end(&mut said).await.unwrap();
        assert_eq!(said, b"the last");
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_not_written_for_without_end() {
        let (socket, _theirs) = gathering();
        let frame = [7; SMALL];
        let full = |cx: &mut Context<'_>| loop {
            match socket.poll_write(cx, &[IoSlice::new(&frame)]) {
                Poll::Pending => return Poll::Ready(()),
                Poll::Ready(taken) => assert_eq!(taken.unwrap(), SMALL),
            }
        };
        poll_fn(full).await;
        assert!(socket.0.lock().gathered.len() <= GATHERED);
        assert!(poll_fn(|cx| Poll::Ready(socket.poll_send(cx).is_pending())).await);
    }

    #[tokio::test]
    async fn that_a_client_is_gone_is_heard_by_whoever_asks_next() {
        let (socket, theirs) = gathering();
        write(&socket, b"to nobody").await;
        drop(theirs);
        poll_fn(|cx| socket.poll_send(cx)).await.unwrap_err();
        let again = poll_fn(|cx| socket.poll_write(cx, &[IoSlice::new(b"more")])).await;
        assert_eq!(again.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        // It has been told, and is not told again and again.
        poll_fn(|cx| socket.poll_send(cx)).await.unwrap();
    }

    #[tokio::test]
    async fn only_what_is_more_than_about_the_connection_counts_as_progress() {
        let (socket, _theirs) = gathering();
        write(&socket, &[0; ABOUT_THE_CONNECTION]).await;
        poll_fn(|cx| socket.poll_send(cx)).await.unwrap();
        assert_eq!(socket.take_moved(), None);
        write(&socket, &[0; ABOUT_THE_CONNECTION + 10]).await;
        assert_eq!(socket.take_moved(), None, "it has not left");
        poll_fn(|cx| socket.poll_send(cx)).await.unwrap();
        assert!(socket.take_moved().is_some());
        assert_eq!(socket.take_moved(), None);
    }

    proptest! {
        #[test]
        fn bytes_leave_as_they_came_whatever_their_lengths(
            lengths in prop::collection::vec(prop_oneof![1..300usize, SMALL - 9..SMALL + 30, 1..200_000usize], 1..30),
            rests in prop::collection::vec(any::<bool>(), 30),
            reads in 1..100_000usize,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (socket, mut theirs) = gathering_tcp().await;
                let bytes: Vec<u8> = (0..lengths.iter().sum()).map(|at: usize| (at % 251) as u8).collect();
                let sending = async {
                    let mut from = 0;
                    for (length, rests) in lengths.iter().zip(rests) {
                        write(&socket, &bytes[from..from + length]).await;
                        from += length;
                        if rests {
                            poll_fn(|cx| socket.poll_send(cx)).await.unwrap();
                        }
                    }
                    poll_fn(|cx| socket.poll_shutdown(cx)).await.unwrap();
                };
                let receiving = async {
                    let (mut said, mut buffer) = (Vec::new(), vec![0; reads]);
                    loop {
                        let read = theirs.read(&mut buffer).await.unwrap();
                        if read == 0 {
                            return said;
                        }
                        said.extend_from_slice(&buffer[..read]);
                    }
                };
                let ((), said) = tokio::join!(sending, receiving);
                assert!(said == bytes);
                theirs.shutdown().await.unwrap();
            });
        }
    }
}
