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

/// A file that a person writes, and may be writing while it is looked at: the first half of one can mean something else than the whole.
pub(crate) struct Seen {
    taken: Stamp,
    last: Stamp,
}

impl Seen {
    /// It is read as it is.
    pub(crate) fn of(stamp: Stamp) -> Seen {
        Seen { taken: stamp, last: stamp }
    }

    /// Whether it is to be read: it is not as it was read last, and has not changed since it was looked at last. If somebody asked, it is in any case.
    pub(crate) fn look(&mut self, stamp: Stamp, asked: bool) -> bool {
        let still = std::mem::replace(&mut self.last, stamp) == stamp;
        let take = asked || (still && self.taken != stamp);
        if take {
            self.taken = stamp;
        }
        take
    }
}
