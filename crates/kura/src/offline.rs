//! What `kura check` and `kura inspect` share: a stopped directory, opened for people.

use std::io;
use std::path::Path;
use std::sync::Arc;

use kura_disk::TokioRuntime;
use kura_disk::real::RealDisk;
use kura_store::Error;
use kura_store::stopped::Stopped;

/// Why a directory could not be looked at, and what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OfflineError {
    #[error("{path} is in use by {holder}: stop that process first")]
    InUse { path: String, holder: String },
    #[error("{path} holds no store: there is no STORE in it")]
    NoStore { path: String },
    #[error("{path}: {source}")]
    Store { path: String, source: Error },
    #[error("segment {segment:016x} is not there")]
    NoSegment { segment: u64 },
    #[error("the system refused a runtime: {0}")]
    Runtime(io::Error),
}

/// Opens the directory, and does `look` with it.
///
/// # Errors
/// As [`OfflineError`] says, and those of `look`.
pub(crate) fn with_stopped<T>(
    directory: &Path,
    look: impl AsyncFnOnce(Stopped) -> Result<T, OfflineError>,
) -> Result<T, OfflineError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(OfflineError::Runtime)?;
    runtime.block_on(async {
        let disk = Arc::new(RealDisk::new(directory));
        let stopped = Stopped::open(disk, Arc::new(TokioRuntime::current())).await;
        look(stopped.map_err(|error| explained(directory, error))?).await
    })
}

/// The error, as whoever named the directory understands it.
pub(crate) fn explained(directory: &Path, error: Error) -> OfflineError {
    let path = directory.display().to_string();
    match error {
        Error::Locked { pid } => {
            let holder = pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
            OfflineError::InUse { path, holder }
        }
        Error::NoStore => OfflineError::NoStore { path },
        source => OfflineError::Store { path, source },
    }
}

/// A size as people read it.
pub(crate) fn size(bytes: u64) -> String {
    bytesize::ByteSize(bytes).display().iec().to_string()
}

/// `1 artifact`, `2 artifacts`.
pub(crate) fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
