//! The only way out of the ring: unlink, make that durable, give the bytes back.
//! Used by reclaim, by the start-up sweep and by shrinking. Only the keeper (or the start, before it) calls it, one segment at a time, so no two unlinks are
//! ever without a directory sync between them; but where that failed, and then only what something durable has replaced goes before it succeeds.
//! Invariant: what replaces a record is synced before the segment of the replaced one is unlinked.

use std::sync::Arc;

use kura_disk::SyncReason;

use crate::error::{During, Error};
use crate::format::SEGMENTS_DIRECTORY;
use crate::segment::{Mode, Segment};
use crate::store::Inner;

impl Inner {
    /// Hands a segment that holds nothing live, or was never finished, to the keeper. Bounded by the number of segments.
    pub(crate) fn condemn(&self, segment: Arc<Segment>) {
        if segment.condemn() {
            self.condemned.lock().push(segment);
            self.wake_keeper();
        }
    }

    /// Unlinks a condemned segment, to which no index entry leads any more. Returns the bytes that come back with it, now or when its last reader lets go.
    ///
    /// # Errors
    /// `Io`: it stays in the ring and on the ledger, and is tried again.
    pub(crate) async fn evict_segment(&self, segment: &Arc<Segment>) -> Result<u64, Error> {
        match self.disk.unlink(&segment.path()).await {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            other => other.during("unlinking a segment")?,
        }
        self.disk.sync_directory(SEGMENTS_DIRECTORY, "unlink of a segment").await.during("syncing an unlink")?;
        // Its slot is free for another segment from then on.
        self.doubtful.forget(segment.slot);
        self.ring.remove(segment);
        let Some(space) = self.files.evict(&self.unlinked, segment) else {
            return Ok(0);
        };
        let bytes = space.lock().bytes();
        // What was kept to write it holds its file open.
        segment.set_sealed();
        drop(space);
        self.graveyard.clear().await;
        self.counters.evictions.add(1);
        self.room.notify(usize::MAX);
        Ok(bytes)
    }

    /// Evicts what was condemned. What cannot be unlinked now stays condemned, and nothing is reclaimed until it is gone: a start would find what it
    /// holds, and show it where what came later had been dropped.
    ///
    /// # Errors
    /// That of the first that failed.
    pub(crate) async fn evict_condemned(&self) -> Result<(), Error> {
        loop {
            let condemned = std::mem::take(&mut *self.condemned.lock());
            if condemned.is_empty() {
                return Ok(());
            }
            // What replaced an overwritten artifact may not be synced yet.
            if let Err(error) = self.sync_active("replacements before an unlink").await {
                tracing::warn!(%error, "what replaces evicted segments could not be synced");
                self.condemned.lock().extend(condemned);
                return Err(error);
            }
            let mut evicted = Ok(());
            for segment in condemned {
                if let Err(error) = self.evict_segment(&segment).await {
                    tracing::warn!(segment = %segment.number(), %error, "could not be unlinked; it stays on the ledger");
                    self.condemned.lock().push(segment);
                    evicted = evicted.and(Err(error));
                }
            }
            evicted?;
        }
    }

    /// Makes durable what the segments that are still written hold. One that fails keeps none of the others waiting.
    ///
    /// # Errors
    /// That of the first that failed.
    pub(crate) async fn sync_active(&self, why: SyncReason) -> Result<(), Error> {
        let mut synced = Ok(());
        for segment in self.ring.in_order() {
            let dirty = segment.with_writing(|writing| {
                writing.written > writing.synced && writing.mode != Mode::Failed && !segment.is_condemned()
            });
            if dirty == Some(true) {
                synced = synced.and(self.sync_segment(&segment, why).await);
            }
        }
        synced
    }
}
