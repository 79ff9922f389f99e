//! One connection: how long it may stand still, and how it ends.
//! Invariant: a connection that nothing is being done for makes progress within the idle timeout, or is closed; a request's head is complete
//! within the header timeout. While a request is being carried out the clock stands still here; its body's pace is `body`'s to watch.
//! One timer a connection, moved only when it fires: a request costs no timer of its own.
//! HTTP/2 has many requests at once and frames between them: its heads are the library's to watch, and a connection that stood still is first
//! asked to end (GOAWAY), so that a request that is just coming in is not lost; only if it stands still again it is closed. Of what moves
//! between requests, only the ends of answers count there: pings say that somebody is there, and not that there is anything to do.

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use kura_auth::Certificate;
use tokio::time::{Duration, Instant, Sleep};

use crate::http2::Window;
use crate::memory::{Held, REQUEST};
use crate::settings::ServerSettings;
use crate::site::Site;
use crate::socket::Socket;
use crate::tls::Stream;

/// A client that still sends what was refused gets this long to read why, before the connection is reset under it.
const LINGER: Duration = Duration::from_secs(2);

/// How much of what is refused is read and dropped at a time.
const LINGER_BUFFER: usize = 16 * 1024;

/// What the two sides of a connection know of each other: its bytes ([`Link`]) and its requests.
pub(crate) struct Shared {
    pub(crate) site: Arc<Site>,
    /// Where its client is, or who stands in front of it.
    pub(crate) peer: IpAddr,
    /// Whether that is whoever the server runs as.
    pub(crate) is_owners: bool,
    /// What its client has shown, where that was verified.
    pub(crate) certificate: OnceLock<Certificate>,
    /// Requests that are carried out; on HTTP/2 until their answers have been given to the connection.
    running: AtomicU64,
    /// Counts their beginnings and ends.
    turns: AtomicU64,
    /// No more requests are to come.
    retired: AtomicBool,
    /// A body was refused whose rest may still come in.
    lingers: AtomicBool,
    /// Something came in over HTTP/2 since this was last taken.
    heard: AtomicBool,
    /// Wakes the connection's task.
    pub(crate) task: AtomicWaker,
    /// What uploads over HTTP/2 may have received ahead.
    pub(crate) window: Arc<Window>,
}

impl Shared {
    pub(crate) fn new(site: Arc<Site>, peer: IpAddr, is_owners: bool) -> Arc<Shared> {
        let window = Window::new(Arc::clone(&site.memory), u64::from(site.settings.connection_window));
        Arc::new(Shared {
            site,
            peer,
            is_owners,
            certificate: OnceLock::new(),
            window,
            running: AtomicU64::new(0),
            turns: AtomicU64::new(0),
            retired: AtomicBool::new(false),
            lingers: AtomicBool::new(false),
            heard: AtomicBool::new(false),
            task: AtomicWaker::new(),
        })
    }

    /// A request begins; it ends when the guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Turn {
        self.running.fetch_add(1, Ordering::Relaxed);
        self.turns.fetch_add(1, Ordering::Relaxed);
        Turn { shared: Arc::clone(self), held: self.site.memory.enter(REQUEST) }
    }

    /// The connection is to end once what runs has ended.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
        self.task.wake();
    }

    /// Whether anything came in over HTTP/2 since this was asked last.
    pub(crate) fn take_heard(&self) -> bool {
        self.heard.swap(false, Ordering::Relaxed)
    }

    /// Whether the connection is to end, for a reason of its own or because all are.
    fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed) || self.site.is_draining()
    }

    /// Does `work` to its end, and sends what it has written whenever it rests; calls `tell` with it once, when the connection is to end. While more requests
    /// are carried out, their tasks run once more before what is little is sent: their answers may leave with it.
    pub(crate) async fn drive<F: Future>(
        &self,
        socket: &Socket,
        mut work: Pin<&mut F>,
        tell: impl Fn(Pin<&mut F>),
    ) -> F::Output {
        let (mut told, mut has_waited) = (false, false);
        std::future::poll_fn(|cx| {
            self.task.register(cx.waker());
            if !told && self.is_retired() {
                told = true;
                tell(work.as_mut());
            }
            let done = work.as_mut().poll(cx);
            if done.is_pending() && !has_waited && socket.has_little() && self.running.load(Ordering::Relaxed) > 0 {
                has_waited = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            has_waited = false;
            // Of what has ended, the last that was written may still be there: it leaves if it can.
            if let Poll::Ready(Err(error)) = socket.poll_send(cx)
                && done.is_pending()
            {
                tracing::debug!(%error, "what was written cannot be sent");
                // Which it learns by asking the socket for anything.
                return work.as_mut().poll(cx);
            }
            done
        })
        .await
    }

    /// Completes when the connection is to end.
    pub(crate) async fn retired(&self) {
        std::future::poll_fn(|cx| {
            self.task.register(cx.waker());
            if self.is_retired() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// The connection ends with this answer, though its client may still be sending.
    pub(crate) fn linger(&self) {
        self.lingers.store(true, Ordering::Relaxed);
    }
}

/// A request that is carried out.
pub(crate) struct Turn {
    pub(crate) shared: Arc<Shared>,
    held: Option<Held>,
}

impl Turn {
    /// Whether there is memory for it.
    pub(crate) fn has_room(&self) -> bool {
        self.held.is_some()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.shared.running.fetch_sub(1, Ordering::Relaxed);
        self.shared.turns.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// What a client that speaks HTTP/2 says first.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection's bytes.
pub(crate) struct Link {
    socket: Arc<Socket>,
    shared: Arc<Shared>,
    protocol: Protocol,
    /// Read to tell the protocol, and not given on yet.
    unread: Bytes,
    idle_timeout: Duration,
    header_timeout: Duration,
    /// When a byte that counts last went either way, or a request last began or ended.
    moved: Instant,
    /// When the first byte of a head that is not complete came in.
    head_since: Option<Instant>,
    /// `Shared::turns` as last seen.
    turns: u64,
    timer: Option<Pin<Box<Sleep>>>,
    /// Our side is shut, and what still comes in is dropped.
    lingering: bool,
}

impl Link {
    pub(crate) fn new(stream: Stream, shared: Arc<Shared>, settings: &ServerSettings) -> Link {
        Link {
            socket: Arc::new(Socket::new(stream)),
            shared,
            protocol: Protocol::Http1,
            unread: Bytes::new(),
            idle_timeout: settings.idle_timeout,
            header_timeout: settings.header_timeout,
            moved: Instant::now(),
            head_since: None,
            turns: 0,
            timer: None,
            lingering: false,
        }
    }

    /// What the client speaks, by what it says first. HTTP/1 where it ends before that can be told.
    ///
    /// # Errors
    /// As the system says; `TimedOut` for one that says too little for too long.
    pub(crate) async fn protocol(&mut self) -> io::Result<Protocol> {
        let mut first = [0; PREFACE.len()];
        let mut told = 0;
        while told < first.len() && first[..told] == PREFACE[..told] {
            let read = std::future::poll_fn(|cx| {
                let mut buffer = ReadBuf::new(&mut first[told..]);
                let read = Pin::new(&mut *self).poll_read(cx, buffer.unfilled());
                read.map_ok(|()| buffer.filled().len())
            });
            match read.await? {
                0 => break,
                more => told += more,
            }
        }
        self.unread = Bytes::copy_from_slice(&first[..told]);
        if first == *PREFACE {
            self.protocol = Protocol::Http2;
            self.socket.gather();
            self.head_since = None;
        }
        Ok(self.protocol)
    }

    /// Where its bytes go.
    pub(crate) fn socket(&self) -> Arc<Socket> {
        Arc::clone(&self.socket)
    }

    /// Passes on what a read came to, and keeps the time.
    fn watch_read(&mut self, cx: &mut Context<'_>, read: Poll<io::Result<()>>) -> Poll<io::Result<()>> {
        match read {
            Poll::Pending => self.check_patience(cx)?,
            Poll::Ready(_) if self.protocol == Protocol::Http1 => self.moved = Instant::now(),
            Poll::Ready(_) => self.shared.heard.store(true, Ordering::Relaxed),
        }
        read
    }

    /// The same for a write.
    fn watch_write(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_pending() {
            self.check_patience(cx)?;
        }
        written
    }

    /// Called when nothing can be read or written now: fails once it has been so for too long.
    fn check_patience(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        loop {
            let turns = self.shared.turns.load(Ordering::Relaxed);
            if turns != self.turns {
                self.turns = turns;
                self.head_since = None;
                self.moved = Instant::now();
            }
            self.moved = self.socket.take_moved().map_or(self.moved, |moved| moved.max(self.moved));
            let busy = self.shared.running.load(Ordering::Relaxed) > 0;
            let idle_deadline = self.moved + self.idle_timeout;
            let head_deadline = self.head_since.map_or(idle_deadline, |since| since + self.header_timeout);
            let deadline = idle_deadline.min(head_deadline);
            if !busy && Instant::now() >= deadline {
                if self.protocol == Protocol::Http1 || self.shared.is_retired() {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                self.shared.retire();
                self.moved = Instant::now();
                continue;
            }
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
            // The head may have begun after the timer was set for the idle timeout.
            if timer.deadline() > deadline && self.head_since.is_some() {
                timer.as_mut().reset(deadline);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Ok(());
            }
            let next = if busy { Instant::now() + self.idle_timeout } else { deadline };
            timer.as_mut().reset(next);
        }
    }

    /// Reads and drops what still comes in, until the client closes or [`LINGER`] is over.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [0; LINGER_BUFFER];
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            match self.socket.poll_read(cx, buffer.unfilled()) {
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Ok(())),
                Poll::Pending => break,
            }
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        timer.as_mut().poll(cx).map(|()| Ok(()))
    }
}

impl Read for Link {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.unread.is_empty() {
            let given = this.unread.split_to(this.unread.len().min(buffer.remaining()));
            buffer.put_slice(&given);
            return Poll::Ready(Ok(()));
        }
        let read = this.socket.poll_read(cx, buffer);
        if read.is_ready() && this.head_since.is_none() && this.protocol == Protocol::Http1 {
            this.head_since = Some(Instant::now());
        }
        this.watch_read(cx, read)
    }
}

impl Write for Link {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = this.socket.poll_write(cx, parts);
        this.watch_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.lingering {
            if this.socket.poll_shutdown(cx)?.is_pending() {
                // What was written has to leave first.
                this.check_patience(cx)?;
                return Poll::Pending;
            }
            if !this.shared.lingers.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
            this.lingering = true;
            this.timer = None;
        }
        this.poll_linger(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use kura_disk::TokioRuntime;
    use tokio::io::AsyncWriteExt;
    use tokio::net::UnixStream;
    use tokio_util::either::Either;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_ends_while_its_client_takes_nothing_is_cut_off() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let settings = ServerSettings::default();
        let site = Site::new(settings.clone(), Arc::new(TokioRuntime::current()), Arc::default());
        let here = IpAddr::from([127, 0, 0, 1]);
        let mut link = Link::new(Either::Left(Either::Right(ours)), Shared::new(site, here, false), &settings);
        theirs.write_all(PREFACE).await.unwrap();
        assert_eq!(link.protocol().await.unwrap(), Protocol::Http2);
        let fill = |cx: &mut Context<'_>| loop {
            match Pin::new(&mut link).poll_write(cx, &[0; 4096]) {
                Poll::Pending => return Poll::Ready(()),
                Poll::Ready(taken) => assert_eq!(taken.unwrap(), 4096),
            }
        };
        poll_fn(fill).await;
        let since = Instant::now();
        let ended = poll_fn(|cx| Pin::new(&mut link).poll_shutdown(cx));
        let ended = tokio::time::timeout(10 * settings.idle_timeout, ended).await.expect("it ends");
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
        // Asked to end, and then cut off.
        assert!(since.elapsed() <= 2 * settings.idle_timeout + Duration::from_secs(1), "{:?}", since.elapsed());
    }
}
