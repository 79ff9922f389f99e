//! `kura serve`: bind, recover, serve, drain. The listener answers from before recovery until the drain has ended.

use std::io::{self, Write, stdout};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use kura_auth::Authenticator;
use kura_cache::Cache;
use kura_disk::real::RealDisk;
use kura_disk::{Disk, Runtime, TokioRuntime};
use kura_http::{Handle, Server};
use kura_reapi::{Reapi, ReapiSettings};
use kura_store::budget::most_of_filesystem;
use kura_store::geometry::Geometry;
use kura_store::{Progress, Store};

use crate::announce;
use crate::auth::{AuthFileError, Watch};
use crate::config::Config;
use crate::memory::{self, Plan};
use crate::s3::S3SecretError;
use crate::signals::Signals;
use crate::socket::{self, SocketError, SocketFile};
use crate::telemetry;
use crate::tenants::{TenantsFile, TenantsFileError, Terms};
use crate::tls::TlsFilesError;
use crate::value::Share;

/// What a long request takes at a time, in bytes.
const LONG_REQUEST: usize = 4 << 20;

/// Why it could not be served, and what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error("{address} is taken: stop what listens there, or choose another with --listen (port 0 takes a free one)")]
    PortTaken { address: SocketAddr },
    #[error("cannot listen on {address}: {source}; choose another with --listen")]
    Listen { address: SocketAddr, source: io::Error },
    #[error(
        "the data directory {path} cannot be written: {source}; give this user the right to, or choose another with --data-dir"
    )]
    NotWritable { path: String, source: io::Error },
    #[error("{path}: {source}")]
    Store { path: String, source: kura_store::Error },
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error(transparent)]
    Tls(#[from] TlsFilesError),
    #[error(transparent)]
    S3(#[from] S3SecretError),
    #[error(transparent)]
    Auth(#[from] AuthFileError),
    #[error(transparent)]
    Tenants(#[from] TenantsFileError),
    #[error("the system refused a runtime: {0}")]
    Runtime(io::Error),
    #[error("stopped, but the last sync failed: {0}")]
    LastSync(kura_store::Error),
}

/// Serves until told to stop.
///
/// # Errors
/// Each says what to do.
pub(crate) fn serve(mut config: Config, remarks: &[String]) -> Result<(), ServeError> {
    telemetry::log_to_stderr(config.log_format, &config.log_level);
    for remark in remarks {
        tracing::warn!("{remark}");
    }
    raise_open_files();
    keep_freed_memory();
    if let Some(fetch) = &mut config.fetch {
        fetch.origins.roots = kura_origin::system_roots();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(ServeError::Runtime)?;
    let served = runtime.block_on(run(config));
    // Nothing that blocks is left but what a second signal would cut off too.
    runtime.shutdown_background();
    served
}

async fn run(mut config: Config) -> Result<(), ServeError> {
    let plan = planned(config.memory);
    config.server.memory = plan.shared;
    config.cache.workspace = plan.workspace;
    config.server.s3 = config.s3.as_ref().map(|pair| pair.load()).transpose()?;
    let mut signals = Signals::install().map_err(ServeError::Runtime)?;
    let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::current());
    let progress = Arc::new(Progress::default());
    let mut server = bind(&config, &runtime, &progress).await?;
    // Its file is removed when this ends, however it does.
    let _socket = match &config.unix_socket {
        Some(path) => Some(listen_on(path, &mut server).await?),
        None => None,
    };
    secure(&config, &server.handle())?;
    authenticate(&config, &server)?;
    let terms = config.tenants.clone().map(TenantsFile::load).transpose()?;
    let address = announce::reachable(server.local_addr().map_err(ServeError::Runtime)?, config.tls.is_some());
    server.welcome(Reapi::new(reapi_settings(&config), server.memory(), server.tenants(), Arc::clone(&runtime)));
    let (handle, tenants) = (server.handle(), server.tenants());
    let serving = tokio::spawn(server.run());
    say(&announce::listening(&address));

    let admin = config.data_dir.join(socket::ADMIN);
    socket::remove_dead(&admin).await;
    let store = tokio::select! {
        opened = open(&config, &plan, terms.as_ref().map(|(terms, _)| terms), &runtime, progress) => opened?,
        // Recovery can be cut off at any point: the next start goes on.
        signal = signals.next() => {
            tracing::info!(signal, "stopped during recovery");
            return Ok(());
        }
    };
    let cache = Cache::with_settings(store.clone(), runtime, config.cache);
    if let Some((terms, watch)) = terms {
        watch.keep(terms, tenants, cache.clone(), store.clone()).map_err(ServeError::Runtime)?;
    }
    handle.open(cache);
    let _admin = listen_for_owner(&admin, &handle);
    say(&announce::serving(&address, &config.data_dir, store.stats().budget, &plan));

    let signal = signals.next().await;
    tracing::info!(signal, within = ?config.drain_timeout, "draining: one more signal stops at once");
    signals.exit_on_next();
    stop(&config, &handle, &store).await?;
    // An error says that it panicked, which has been reported.
    let _ = serving.await;
    Ok(())
}

/// What of the memory is for what. It is said where it is less than was asked for.
fn planned(wanted: Share) -> Plan {
    let available = memory::available();
    let plan = Plan::of(wanted.of(available));
    if plan.total > available {
        tracing::warn!(plan.total, available, "this process may use less memory than the least that it is made for");
    }
    plan
}

async fn bind(config: &Config, runtime: &Arc<dyn Runtime>, progress: &Arc<Progress>) -> Result<Server, ServeError> {
    let address = config.listen;
    let bound = Server::bind(address, config.server.clone(), Arc::clone(runtime), Arc::clone(progress));
    bound.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::PortTaken { address },
        _ => ServeError::Listen { address, source },
    })
}

async fn listen_on(path: &Path, server: &mut Server) -> Result<SocketFile, ServeError> {
    let (listener, file) = socket::listen(path).await?;
    server.listen_on(listener);
    tracing::info!(path = %path.display(), "listens on a unix socket too");
    Ok(file)
}

/// Not before the directory is this server's alone.
fn listen_for_owner(path: &Path, handle: &Handle) -> Option<SocketFile> {
    match socket::listen_for_owner(path) {
        Ok((listener, file)) => {
            handle.listen_for_owner(listener);
            Some(file)
        }
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "no socket for commands: they reach this server by its address only");
            None
        }
    }
}

/// Before the first connection is taken.
fn secure(config: &Config, handle: &Handle) -> Result<(), ServeError> {
    let Some(files) = config.tls.clone() else { return Ok(()) };
    let (tls, watch) = files.load()?;
    handle.secure(tls);
    watch.keep(handle.clone()).map_err(ServeError::Runtime)
}

/// Before the first request is answered.
fn authenticate(config: &Config, server: &Server) -> Result<(), ServeError> {
    let Some(files) = config.auth.clone() else { return Ok(()) };
    let authenticator = Arc::new(Authenticator::default());
    let (watch, fetcher) = Watch::begin(files, &authenticator)?;
    server.authenticate(Arc::clone(&authenticator));
    watch.keep(fetcher, authenticator).map_err(ServeError::Runtime)
}

/// gRPC's clients are given as much time as HTTP's.
fn reapi_settings(config: &Config) -> ReapiSettings {
    ReapiSettings {
        idle_timeout: config.server.idle_timeout,
        upload_pace: config.server.upload_pace,
        pace_window: config.server.pace_window,
        resumable_uploads: config.resumable_uploads,
        fetch: config.fetch.clone(),
        ..ReapiSettings::default()
    }
}

async fn open(
    config: &Config,
    plan: &Plan,
    terms: Option<&Terms>,
    runtime: &Arc<dyn Runtime>,
    progress: Arc<Progress>,
) -> Result<Store, ServeError> {
    let path = config.data_dir.display().to_string();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(&config.data_dir));
    let refused = |source: io::Error| ServeError::NotWritable { path: path.clone(), source };
    disk.create_directory("").await.map_err(refused)?;
    let filesystem = disk.space().await.map_err(refused)?;
    let settings = store_settings(config, plan, terms, filesystem.total);
    Store::open(disk, Arc::clone(runtime), settings, progress).await.map_err(|source| match source {
        kura_store::Error::Io { source, .. } if is_refusal(&source) => refused(source),
        source => ServeError::Store { path: path.clone(), source },
    })
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

fn store_settings(config: &Config, plan: &Plan, terms: Option<&Terms>, filesystem: u64) -> kura_store::Settings {
    let (wanted, most) = (config.capacity.of(filesystem), most_of_filesystem(filesystem));
    if wanted > most {
        tracing::warn!(wanted, most, "the capacity is more than 80 % of the filesystem: that is what is used");
    }
    let capacity = wanted.min(most);
    kura_store::Settings {
        quotas: terms.map_or_else(Vec::new, |terms| terms.bytes_of(capacity)),
        durability: config.durability,
        lease: config.lease,
        scrub_rate: config.scrub_rate,
        min_free: config.min_free.of(filesystem),
        max_artifact_size: config.max_artifact_size,
        room_wait: config.room_wait,
        index_limit: plan.index,
        open_files: config.open_files,
        fingerprint_seed: config.fingerprint_seed,
        ..kura_store::Settings::new(Geometry::standard(capacity))
    }
}

async fn stop(config: &Config, handle: &Handle, store: &Store) -> Result<(), ServeError> {
    let drained = handle.drain(config.drain_timeout).await;
    if drained.aborted > 0 {
        tracing::warn!(connections = drained.aborted, "cut off: they did not end in time");
    }
    store.shutdown().await.map_err(ServeError::LastSync)?;
    tracing::info!("stopped");
    Ok(())
}

/// Connections and segments need more files than the customary soft limit.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, "the limit of open files stays as it was");
    }
}

/// glibc gives memory back to the system where 128 KiB of it are free, and the next call pays for its pages anew. How much may be free follows the
/// longest block that was ever freed: one as long as a client has freed sooner or later.
fn keep_freed_memory() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(LONG_REQUEST)));
}

/// For people and scripts: a closed standard output is no reason to stop.
fn say(text: &str) {
    let mut out = stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}
