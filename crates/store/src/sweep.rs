//! The start-up sweep: what a crash left behind goes, what is not ours stays.
//! Orphans are temporary names, solo segments that were never committed, and segments that could be read and hold no valid part.
//! A failed sweep warns and does not stop the start; what it could not remove stays on the ledger.

use std::sync::Arc;

use kura_disk::{DirEntry, Disk};

use crate::error::{During, Error};
use crate::format::{SEGMENTS_DIRECTORY, TEMPORARY_PREFIX};
use crate::solo::allocated;

/// What a directory holds that is not a segment.
#[derive(Debug, Default)]
pub(crate) struct Swept {
    /// Leftovers removed.
    pub(crate) removed: u64,
    /// Bytes of what is left: files that are not ours, and leftovers that could not be removed.
    pub(crate) foreign_bytes: u64,
}

/// Removes temporary files from the segments directory. Without that directory there is nothing to do.
///
/// # Errors
/// `Io` when the directory cannot be listed.
pub(crate) async fn sweep_orphaned_segments(disk: &Arc<dyn Disk>) -> Result<Swept, Error> {
    match disk.list(SEGMENTS_DIRECTORY).await {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Swept::default()),
        Err(error) => Err(error).during("listing the segments"),
        Ok(entries) => Ok(sweep_temporary(disk, SEGMENTS_DIRECTORY, &entries).await),
    }
}

/// Removes what is under a temporary name in `directory`. No sync: what comes back after a power cut is removed again.
pub(crate) async fn sweep_temporary(disk: &Arc<dyn Disk>, directory: &str, entries: &[DirEntry]) -> Swept {
    let mut swept = Swept::default();
    for entry in entries.iter().filter(|entry| is_leftover(entry)) {
        let Some(name) = &entry.name else { continue };
        let path = if directory.is_empty() { name.clone() } else { format!("{directory}/{name}") };
        match disk.unlink(&path).await {
            Ok(()) => {
                swept.removed += 1;
                tracing::info!(path, "removed a leftover of an unclean stop");
            }
            Err(error) => {
                swept.foreign_bytes += occupied(entry);
                tracing::warn!(path, %error, "a leftover could not be removed; it stays on the ledger");
            }
        }
    }
    swept
}

/// Whether it is what a crash left of something that was not complete.
pub(crate) fn is_leftover(entry: &DirEntry) -> bool {
    entry.is_file && entry.name.as_ref().is_some_and(|name| name.starts_with(TEMPORARY_PREFIX))
}

/// Bytes that it takes of the filesystem.
pub(crate) fn occupied(entry: &DirEntry) -> u64 {
    allocated(entry.length.max(entry.allocated))
}

#[cfg(test)]
mod tests {
    use kura_disk::sim::World;

    use super::*;

    #[test]
    fn sweep_orphaned_segments_returns_zero_without_segments_dir() {
        let mut world = World::new(1);
        let disk: Arc<dyn Disk> = world.disk();
        let swept = world.block_on(async move { sweep_orphaned_segments(&disk).await });
        let swept = swept.expect("nothing to do is no error");
        assert_eq!((swept.removed, swept.foreign_bytes), (0, 0));
    }
}
