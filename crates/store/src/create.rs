//! New segments: their space is allocated, their header durable and their name durable before anything uses them.
//! Each is made in a task of its own, so that a caller who goes away leaves no file that nobody knows.
//! On any failure the file is unlinked, at once or by the keeper; its bytes stay on the ledger until it is, durably.

use std::sync::Arc;

use crate::sync::Mutex;
use bytes::Bytes;
use futures_channel::oneshot;
use kura_disk::File;

use crate::budget::Reservation;
use crate::error::{During, Error};
use crate::files::{Handle, Space};
use crate::format::segment::{SEGMENT_HEADER_LEN, SegmentHeader, SegmentKind, file_name};
use crate::format::{SEGMENTS_DIRECTORY, TEMPORARY_PREFIX};
use crate::lanes::Owner;
use crate::segment::{Segment, Shape, Writing};
use crate::store::Inner;
use crate::types::SegmentNumber;

/// How many zeros are written at a time where the filesystem cannot allocate.
const ZEROS: usize = 1 << 20;

pub(crate) fn segment_path(number: SegmentNumber) -> String {
    format!("{SEGMENTS_DIRECTORY}/{}", file_name(number))
}

pub(crate) fn temporary_path(number: SegmentNumber) -> String {
    format!("{SEGMENTS_DIRECTORY}/{TEMPORARY_PREFIX}{}", file_name(number))
}

impl Inner {
    /// Makes a segment of `length` bytes in the ring, for records of `owner`, for which `reservation` pays.
    ///
    /// # Errors
    /// `Io`, with `StorageFull` where neighbours have filled the filesystem. `Busy` where there are as many segments as the index can name.
    pub(crate) async fn create_segment(
        self: &Arc<Self>,
        kind: SegmentKind,
        owner: Owner,
        length: u64,
        reservation: Reservation,
    ) -> Result<Created, NotMade> {
        let (answer, created) = oneshot::channel();
        let inner = Arc::clone(self);
        self.spawn("create segment", async move {
            // If nobody listens any more, the guard in the answer condemns the segment.
            let _ = answer.send(inner.make_segment(kind, owner, length, reservation).await);
        });
        created.await.unwrap_or(Err(NotMade { why: Error::Closed, reservation: None }))
    }

    async fn make_segment(
        self: &Arc<Self>,
        kind: SegmentKind,
        owner: Owner,
        length: u64,
        reservation: Reservation,
    ) -> Result<Created, NotMade> {
        let number = self.versions.next_number();
        let temporary = temporary_path(number);
        let file = match self.disk.create(&temporary).await.during("creating a segment") {
            Ok(file) => file,
            Err(why) => return Err(NotMade { why, reservation: Some(reservation) }),
        };
        let space: Space = Arc::new(Mutex::new(reservation));
        if let Err(why) = self.prepare(&file, &temporary, number, kind, length).await {
            // A failed close has closed all the same.
            let _ = file.close().await;
            let removed = self.remove_stray(Stray::new(number, &space)).await;
            return Err(NotMade { why, reservation: removed.then(|| space.lock().take()) });
        }
        let handle = Handle::new(file, Arc::clone(&space), Arc::clone(&self.graveyard));
        self.log.made(length, (kind == SegmentKind::Solo).then(|| self.lanes.lane(owner)));
        let shape = Shape { birth: number, number, kind, owner, block: self.geometry().block(), length };
        let writing = Writing::new(handle, SEGMENT_HEADER_LEN);
        let segment = self.ring.add(|slot| Segment::new(slot, shape, Arc::clone(&space), Some(writing)));
        match segment {
            Some(segment) => Ok(Created { inner: Arc::clone(self), segment: Some(segment) }),
            None => {
                self.remove_stray(Stray::new(number, &space)).await;
                Err(NotMade { why: self.no_room(), reservation: None })
            }
        }
    }

    async fn prepare(
        &self,
        file: &Arc<dyn File>,
        temporary: &str,
        number: SegmentNumber,
        kind: SegmentKind,
        length: u64,
    ) -> Result<(), Error> {
        self.allocate(file, length).await?;
        let header = SegmentHeader {
            store_id: self.identity.store_id,
            birth: number,
            kind,
            lane: 0,
            capacity: length,
            block: self.geometry().block(),
            created_unix_millis: self.runtime.unix_millis(),
        };
        file.write_at(0, vec![Bytes::from(header.encode())]).await.during("writing a segment header")?;
        file.sync("header of a new segment").await.during("syncing a segment header")?;
        self.disk.rename(temporary, &segment_path(number)).await.during("naming a segment")?;
        self.disk.sync_directory(SEGMENTS_DIRECTORY, "name of a new segment").await.during("syncing a segment's name")
    }

    /// Makes the file `length` bytes long with blocks of its own, by writing them where the filesystem cannot do better.
    pub(crate) async fn allocate(&self, file: &Arc<dyn File>, length: u64) -> Result<(), Error> {
        match file.allocate(length).await {
            Err(error) if error.kind() == std::io::ErrorKind::Unsupported => {
                self.say_once_that_nothing_allocates();
                let mut from = file.len().await.during("measuring a segment")?;
                let zeros = Bytes::from(vec![0; ZEROS]);
                while from < length {
                    let piece = zeros.len().min(usize::try_from(length - from).unwrap_or(usize::MAX));
                    file.write_at(from, vec![zeros.slice(..piece)]).await.during("writing out a segment")?;
                    from += piece as u64;
                    self.runtime.yield_now().await;
                }
                Ok(())
            }
            other => other.during("allocating a segment"),
        }
    }

    /// Unlinks a file that did not become a segment. What fails is left to the keeper, on the ledger: then it returns false.
    async fn remove_stray(&self, stray: Stray) -> bool {
        let removed = self.unlink_stray(&stray).await;
        if !removed {
            self.strays.lock().push(stray);
        }
        removed
    }

    /// Tries again to unlink files that did not become segments.
    pub(crate) async fn remove_strays(&self) {
        let strays = std::mem::take(&mut *self.strays.lock());
        for stray in strays {
            self.remove_stray(stray).await;
        }
    }

    /// Whether neither of its names is there, nor comes back by a power cut, which would bring its bytes back too.
    async fn unlink_stray(&self, stray: &Stray) -> bool {
        for name in [temporary_path(stray.number), segment_path(stray.number)] {
            match self.disk.unlink(&name).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return false,
                _ => {}
            }
        }
        self.disk.sync_directory(SEGMENTS_DIRECTORY, "unlink of what is no segment").await.is_ok()
    }
}

/// A file that did not become a segment, and its bytes on the ledger.
pub(crate) struct Stray {
    number: SegmentNumber,
    _space: Space,
}

impl Stray {
    fn new(number: SegmentNumber, space: &Space) -> Stray {
        Stray { number, _space: Arc::clone(space) }
    }
}

/// Why a segment was not made, and the bytes that were to pay for it, where nothing is left that needs them: whoever keeps them ahead for what must
/// be written goes on keeping them.
pub(crate) struct NotMade {
    pub(crate) why: Error,
    pub(crate) reservation: Option<Reservation>,
}

impl From<NotMade> for Error {
    fn from(not_made: NotMade) -> Error {
        not_made.why
    }
}

/// A new segment that belongs to whoever takes it; dropped untaken, it is evicted.
#[must_use]
pub(crate) struct Created {
    inner: Arc<Inner>,
    segment: Option<Arc<Segment>>,
}

impl Created {
    pub(crate) fn segment(&self) -> &Arc<Segment> {
        self.segment.as_ref().expect("taken only by value")
    }

    pub(crate) fn take(mut self) -> Arc<Segment> {
        self.segment.take().expect("taken only by value")
    }
}

impl Drop for Created {
    fn drop(&mut self) {
        if let Some(segment) = self.segment.take() {
            self.inner.condemn(segment);
        }
    }
}
