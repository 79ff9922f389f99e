//! Files that are looked at again while the server runs: now and then, and on SIGHUP.
//! Not here: which, and what is made of them (`tls`, `auth`, `tenants`).

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

/// Looks each time that `pause` is over, and on SIGHUP, which `look` is told by `true`; it may block. Whatever it finds, `take` gets. Ends with the server.
///
/// # Errors
/// Where SIGHUP cannot be listened for.
pub(crate) fn keep<Found: Send + 'static>(
    pause: Duration,
    mut look: impl FnMut(bool) -> Found + Send + 'static,
    mut take: impl FnMut(Found) + Send + 'static,
) -> io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        loop {
            let asked = tokio::select! {
                _ = hangup.recv() => true,
                () = tokio::time::sleep(pause) => false,
            };
            let looked = tokio::task::spawn_blocking(move || (look(asked), look)).await;
            // An error says that it panicked, which has been reported, or that the runtime ends.
            let Ok((found, again)) = looked else { return };
            look = again;
            take(found);
        }
    });
    Ok(())
}

/// What tells one state of a file from another without reading it: which it is, when it was changed, and how long it is. Nothing, where none is there.
pub(crate) type Stamp = Option<(u64, i64, i64, u64)>;

/// That of a file.
pub(crate) fn stamp(path: &Path) -> Stamp {
    let found = std::fs::metadata(path).ok()?;
    Some((found.ino(), found.mtime(), found.mtime_nsec(), found.size()))
}
