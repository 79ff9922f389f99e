//! The connections: their listeners are bound before there is a cache, and they are drained before there is none.
//! Bounds: connections (here), and how long each may stand still (`link`).

use std::collections::HashMap;
use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use kura_auth::Authenticator;
use kura_cache::Cache;
use kura_disk::Runtime;
use kura_store::Progress;
use parking_lot::Mutex;
use tokio::net::UnixListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SetOnce, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::either::Either;

use crate::guest::Guest;
use crate::http2;
use crate::incoming::Incoming;
use crate::link::{Link, Protocol, Shared};
use crate::listen::{Arrival, Arrived, Listeners, listen};
use crate::memory::{CONNECTION, Held, Memory};
use crate::page;
use crate::service;
use crate::settings::ServerSettings;
use crate::site::Site;
use crate::socket::GATHERED;
use crate::tenants::Tenants;
use crate::tls::{self, Stream, Tls};

/// Where a client is that comes through a unix socket, or is gone already.
const HERE: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// The longest head of a request, in bytes: twice the longest key, and room for its headers.
pub(crate) const MAX_HEAD: usize = 64 * 1024;

/// A bound listener. Nothing is answered until [`Server::run`] runs; what comes before waits in its queue.
pub struct Server {
    listeners: Listeners,
    site: Arc<Site>,
    tls: watch::Sender<Option<Tls>>,
    drain: watch::Sender<Option<Duration>>,
    drained: watch::Sender<Option<Drained>>,
}

/// Steers a running server. Clones steer the same.
#[derive(Clone)]
pub struct Handle {
    site: Arc<Site>,
    owner: Weak<SetOnce<UnixListener>>,
    tls: watch::Sender<Option<Tls>>,
    drain: watch::Sender<Option<Duration>>,
    drained: watch::Receiver<Option<Drained>>,
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Drained {
    /// Connections that were cut off because they did not end in time.
    pub aborted: usize,
}

impl Server {
    /// Binds the listener. `progress` is what `/ready` shows until [`Handle::open`].
    ///
    /// # Errors
    /// As the system says: `AddrInUse` when the port is taken.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn bind(
        address: SocketAddr,
        settings: ServerSettings,
        runtime: Arc<dyn Runtime>,
        progress: Arc<Progress>,
    ) -> io::Result<Server> {
        Ok(Server {
            listeners: Listeners { port: listen(address)?, socket: None, owner: Arc::default() },
            site: Site::new(settings, runtime, progress),
            tls: watch::Sender::new(None),
            drain: watch::Sender::new(None),
            drained: watch::Sender::new(None),
        })
    }

    /// Where it listens: the port that was chosen, where none was given.
    ///
    /// # Errors
    /// As the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listeners.port.local_addr()
    }

    /// Serves on a unix socket too, of which its file's rights say who may connect: what comes over it does not speak TLS.
    pub fn listen_on(&mut self, socket: UnixListener) {
        self.listeners.socket = Some(socket);
    }

    /// The bytes of bodies in memory, which whatever shares the port accounts for too.
    #[must_use]
    pub fn memory(&self) -> Arc<Memory> {
        Arc::clone(&self.site.memory)
    }

    /// What each tenant may take of the server, of which whatever shares the port asks for its part too.
    #[must_use]
    pub fn tenants(&self) -> Arc<Tenants> {
        Arc::clone(&self.site.tenants)
    }

    /// Lets another protocol share the port. Only the first call counts.
    pub fn welcome(&self, guest: Arc<dyn Guest>) {
        self.site.welcome(guest);
    }

    /// From the first request on, whoever makes one is asked who they are. Without this, anyone may do everything. Only the first call counts.
    pub fn authenticate(&self, authenticator: Arc<Authenticator>) {
        self.site.authenticate(authenticator);
    }

    /// What steers it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle {
            site: Arc::clone(&self.site),
            owner: Arc::downgrade(&self.listeners.owner),
            tls: self.tls.clone(),
            drain: self.drain.clone(),
            drained: self.drained.subscribe(),
        }
    }

    /// Serves until [`Handle::drain`] has ended.
    pub async fn run(self) {
        let Server { listeners, site, tls, drain, drained } = self;
        let mut connections = Connections::new(site, tls.subscribe());
        let permits = Arc::clone(&connections.permits);
        let within = {
            let mut asked = drain.subscribe();
            let asked = async move {
                asked.wait_for(Option::is_some).await.ok().and_then(|within| *within).unwrap_or_default()
            };
            let mut asked = pin!(asked);
            loop {
                tokio::select! {
                    biased;
                    within = &mut asked => break within,
                    () = connections.reap() => {}
                    (stream, permit) = listeners.accept(&permits) => connections.add(stream, permit),
                }
            }
        };
        drop(listeners);
        drained.send_replace(Some(connections.drain(within).await));
    }
}

impl Handle {
    /// Recovery is done: the surfaces serve from `cache` from here on. Only the first call counts.
    pub fn open(&self, cache: Cache) {
        self.site.open(cache);
    }

    /// Serves on this unix socket too, whoever connects to which may do everything: its file's rights are to let in only whom the server runs as. Only
    /// the first call counts.
    pub fn listen_for_owner(&self, socket: UnixListener) {
        // Without a listener the server has ended.
        if self.owner.upgrade().is_some_and(|owner| owner.set(socket).is_err()) {
            tracing::warn!("the server was given a second socket of its owner's: it keeps the first");
        }
    }

    /// Connections that come from here on speak TLS, and are shown this.
    pub fn secure(&self, tls: Tls) {
        self.site.secure();
        self.tls.send_replace(Some(tls));
    }

    /// Stops accepting, answers `/ready` with 503, closes idle connections, lets requests in flight end within `timeout`, and cuts off the rest.
    pub async fn drain(&self, timeout: Duration) -> Drained {
        self.site.start_draining();
        self.drain.send_replace(Some(timeout));
        let mut drained = self.drained.clone();
        let ended = drained.wait_for(Option::is_some).await;
        // An error says that the server has been dropped: nothing is left to cut off.
        ended.ok().and_then(|drained| *drained).unwrap_or_default()
    }
}

/// The connections that are open.
struct Connections {
    site: Arc<Site>,
    pages: Router,
    tls: watch::Receiver<Option<Tls>>,
    permits: Arc<Semaphore>,
    tasks: JoinSet<()>,
    /// What wakes each for a drain, by a number of its own.
    open: Arc<Mutex<HashMap<u64, Arc<Shared>>>>,
    next: u64,
}

impl Connections {
    fn new(site: Arc<Site>, tls: watch::Receiver<Option<Tls>>) -> Connections {
        let permits = Arc::new(Semaphore::new(site.settings.max_connections.clamp(1, Semaphore::MAX_PERMITS)));
        Connections {
            pages: page::routes(Arc::clone(&site)),
            tls,
            permits,
            tasks: JoinSet::new(),
            open: Arc::default(),
            next: 0,
            site,
        }
    }

    /// Completes when a connection has ended; never, if there is none.
    async fn reap(&mut self) {
        if self.tasks.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    fn add(&mut self, Arrival { stream, is_owners }: Arrival, permit: OwnedSemaphorePermit) {
        if let Either::Left(stream) = &stream {
            // Small answers leave at once. It is a hint: a socket that refuses it works all the same.
            let _ = stream.set_nodelay(true);
        }
        let peer = match &stream {
            Either::Left(stream) => stream.peer_addr().map_or(HERE, |peer| peer.ip()),
            Either::Right(_) => HERE,
        };
        let Some(held) = self.site.memory.enter(CONNECTION) else {
            tracing::warn!("a connection is closed: there is no memory for it");
            return;
        };
        let shared = Shared::new(Arc::clone(&self.site), peer, is_owners);
        let number = self.next;
        self.next += 1;
        self.open.lock().insert(number, Arc::clone(&shared));
        self.site.metrics.connections.fetch_add(1, Ordering::Relaxed);
        let entry =
            Entry { number, open: Arc::clone(&self.open), site: Arc::clone(&self.site), _held: held, _permit: permit };
        let (pages, tls) = (self.pages.clone(), self.tls.borrow().clone());
        self.tasks.spawn(async move {
            let _entry = entry;
            match secured(stream, &shared, tls).await {
                Ok(stream) => {
                    tls::shown(&stream).into_iter().for_each(|shown| drop(shared.certificate.set(shown)));
                    converse(stream, shared, pages).await;
                }
                Err(error) => tracing::debug!(%error, "a connection ended before it was secure"),
            }
        });
    }

    async fn drain(mut self, within: Duration) -> Drained {
        for shared in self.open.lock().values() {
            shared.task.wake();
        }
        let ended = timeout(within, async { while self.tasks.join_next().await.is_some() {} }).await;
        let aborted = if ended.is_ok() { 0 } else { self.tasks.len() };
        self.tasks.shutdown().await;
        Drained { aborted }
    }
}

/// Takes a connection off the books when it ends, however it ends.
struct Entry {
    number: u64,
    open: Arc<Mutex<HashMap<u64, Arc<Shared>>>>,
    site: Arc<Site>,
    _held: Held,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.open.lock().remove(&self.number);
        self.site.metrics.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The connection, once what is said on it is secret if it is to be.
async fn secured(stream: Arrived, shared: &Shared, tls: Option<Tls>) -> io::Result<Stream> {
    let (stream, tls) = match (stream, tls) {
        (Either::Left(stream), Some(tls)) => (stream, tls),
        (stream, _) => return Ok(Either::Left(stream)),
    };
    tokio::select! {
        stream = tls.accept(stream, shared.site.settings.header_timeout) => stream,
        () = shared.retired() => Err(io::ErrorKind::ConnectionAborted.into()),
    }
}

/// One connection from its first request to its last.
async fn converse(stream: Stream, shared: Arc<Shared>, pages: Router) {
    let mut link = Link::new(stream, Arc::clone(&shared), &shared.site.settings);
    let protocol = tokio::select! {
        protocol = link.protocol() => protocol,
        // It has not asked for anything.
        () = shared.retired() => return,
    };
    let ended: Result<(), Box<dyn Error>> = match protocol {
        Ok(Protocol::Http1) => http1(link, &shared, pages).await.map_err(Into::into),
        Ok(Protocol::Http2) => {
            let Some(_held) = shared.site.memory.enter(GATHERED as u64) else {
                tracing::warn!("a connection is closed: there is no memory for what is gathered on it");
                return;
            };
            http2::serve(link, &shared, pages).await.map_err(Into::into)
        }
        Err(error) => Err(error.into()),
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn http1(link: Link, shared: &Arc<Shared>, pages: Router) -> hyper::Result<()> {
    let socket = link.socket();
    let requests = service_fn(|request: Request<_>| {
        let (turn, pages) = (shared.begin(), pages.clone());
        async move { Ok::<_, Infallible>(service::serve(&turn, pages, request.map(Incoming::from)).await) }
    });
    let mut builder = http1::Builder::new();
    let connection = builder.half_close(true).max_header_size(MAX_HEAD).serve_connection(link, requests);
    shared.drive(&socket, pin!(connection), |connection| connection.graceful_shutdown()).await
}
