//! READ: probe, vouch, serve.
//! Whether something is there at all is `probe`'s to say. A body of up to 256 KiB is read whole with its head and trailer in one call, on the spot if
//! the page cache has it; of a longer one the head and the trailer are read first, its blocks as they are asked for.
//! Every block is checked as it leaves, and the stored key is compared, so that a colliding fingerprint is a miss.
//! A record that fails is dropped, counted, logged with its place, and answered as a miss.

use std::sync::Arc;

use bytes::Bytes;

use crate::body::Body;
use crate::error::{During, Error};
use crate::files::Handle;
use crate::format::Damage;
use crate::format::record::{Head, HeadHash, Layout, Seal, TrailerView};
use crate::index::Entry;
use crate::key::{Attributes, RecordKey};
use crate::publish::Spot;
use crate::segment::Segment;
use crate::store::{Inner, Store};
use crate::types::{Encoding, Fingerprint, Place, Version};

/// How often a reader whose segment was evicted under it probes again.
const PROBES: usize = 8;

/// A stored artifact, ready to be read.
#[derive(Debug)]
pub struct Artifact {
    /// What was kept beside the body.
    pub attributes: Attributes,
    /// How the body is encoded.
    pub encoding: Encoding,
    /// Bytes of the body as stored.
    pub stored_len: u64,
    /// Bytes of the decoded body.
    pub logical_len: u64,
    /// When it was stored.
    pub version: Version,
    /// The SHA-256 of the decoded body, where it was computed.
    pub sha256: Option<[u8; 32]>,
    /// The stored bytes.
    pub body: Body,
}

/// A live index entry and its segment, taken in one step, so that the segment was in the ring.
pub(crate) struct Found {
    pub(crate) entry: Entry,
    pub(crate) segment: Arc<Segment>,
}

impl Store {
    /// The artifact, if it is there and sound. Counts as a use, and vouches for it.
    ///
    /// # Errors
    /// `Io` when the device fails, `Busy` when too many files are open. What is damaged is a miss.
    pub async fn get(&self, key: &RecordKey) -> Result<Option<Artifact>, Error> {
        for _ in 0..PROBES {
            let Some(found) = self.inner.find(key) else {
                return Ok(None);
            };
            match self.inner.read(&found, key).await {
                Ok(artifact) => return Ok(artifact),
                Err(Error::Evicted) => {}
                Err(error @ Error::Corrupt { .. }) => {
                    self.inner.drop_damaged(&found.entry.fingerprint, Spot::of(&found.entry), &error);
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
        // It moves faster than it can be read: to a cache that is a miss.
        Ok(None)
    }
}

impl Inner {
    /// Probes the index, and marks what is found as vouched for and used.
    fn find(&self, key: &RecordKey) -> Option<Found> {
        let fingerprint = self.identity.seed.of(key);
        let now = self.now();
        let mut shard = self.index.lock(&fingerprint);
        let is_there = |entry: &Entry| self.is_there(entry, || self.namespace_fingerprint(key));
        let entry = shard.touch(&fingerprint, now, true, is_there)?;
        let segment = self.ring.get(entry.slot)?;
        Some(Found { entry, segment })
    }

    /// The segment's open file.
    ///
    /// # Errors
    /// `Evicted` if it is gone, `Busy` if no file can be opened, `Io`.
    pub(crate) async fn open(&self, segment: &Arc<Segment>) -> Result<Arc<Handle>, Error> {
        if let Some(handle) = segment.open_handle() {
            handle.mark_used();
            return Ok(handle);
        }
        let space = segment.space().ok_or(Error::Evicted)?;
        let file = match self.disk.open(&segment.path()).await {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::Evicted);
            }
            Err(error) if is_out_of_files(&error) => {
                self.files.let_go_of_all();
                return Err(self.no_room());
            }
            opened => opened.during("opening a segment")?,
        };
        let handle = Handle::new(file, space, Arc::clone(&self.graveyard));
        Ok(self.files.adopt(&self.unlinked, segment, handle))
    }

    async fn read(self: &Arc<Self>, found: &Found, key: &RecordKey) -> Result<Option<Artifact>, Error> {
        let Found { entry, segment } = found;
        let handle = self.open(segment).await?;
        let layout = Layout::new(entry.head_len, entry.stored_len.0, segment.block);
        let corrupt = |Damage(what)| Error::Corrupt { segment: segment.number(), offset: entry.offset, what };
        let seal = Seal { secret: &self.identity.secret, birth: segment.birth, offset: entry.offset };
        let whole = layout.stored_len <= self.geometry().whole_read();
        let place = segment.place(entry.offset);
        let length = if whole { layout.total } else { entry.head_len };
        let record = self.fetch(&handle, place, entry.offset.0, length).await?;
        let (head, head_hash) = Head::decode(&record, &seal).map_err(corrupt)?;
        if head.key != *key {
            // Another key of the same fingerprint.
            return Ok(None);
        }
        let trailer_bytes = if whole {
            record.slice(index(layout.trailer)..)
        } else {
            self.fetch(&handle, place, entry.offset.0 + layout.trailer, layout.trailer_len).await?
        };
        let trailer = self.checked_trailer(&trailer_bytes, head_hash, entry, &layout).map_err(corrupt)?;
        let (version, sha256) = (trailer.version, trailer.sha256);
        let body = if whole {
            let body = record.slice(index(layout.body)..index(layout.body + layout.stored_len));
            trailer.check_blocks(&body, 0, segment.block).map_err(corrupt)?;
            Body::whole(body)
        } else {
            Body::streamed(self, segment, handle, entry, &layout, trailer_bytes)
        };
        Ok(Some(Artifact {
            attributes: head.attributes,
            encoding: head.encoding,
            stored_len: entry.stored_len.0,
            logical_len: entry.logical_len.0,
            version,
            sha256,
            body,
        }))
    }

    /// The trailer, if it is whole and belongs to what the index entry says.
    fn checked_trailer<'a>(
        &self,
        bytes: &'a [u8],
        head: HeadHash,
        entry: &Entry,
        layout: &Layout,
    ) -> Result<TrailerView<'a>, Damage> {
        let trailer = TrailerView::decode(bytes, layout, head, &self.identity.secret)?;
        if trailer.version != entry.version {
            return Err(Damage("another record's trailer"));
        }
        Ok(trailer)
    }

    /// Bytes of the record at `record`: on the spot if the page cache has them, else through the read pool.
    ///
    /// # Errors
    /// `Corrupt` where the device cannot give them back: they are as lost as damaged ones. `Evicted`, `Io`.
    pub(crate) async fn fetch(&self, handle: &Handle, record: Place, offset: u64, length: u64) -> Result<Bytes, Error> {
        let file = handle.file()?;
        let mut buffer = self.buffers.take(index(length));
        let cached = file.read_cached(offset, &mut buffer);
        if !matches!(cached, Ok(true)) {
            buffer = match file.read_at(offset, buffer).await {
                Err(error) if is_lost(&error) => {
                    tracing::error!(%error, place = %record, "the device cannot read it");
                    return Err(Error::Corrupt {
                        segment: record.segment,
                        offset: record.offset,
                        what: "what the device cannot read",
                    });
                }
                read => read.during("reading a segment")?,
            };
        }
        Ok(buffer.into_bytes())
    }

    /// Drops a record that does not hold, and says where it lay.
    pub(crate) fn drop_damaged(&self, key: &Fingerprint, at: Spot, error: &Error) {
        if self.unpublish(key, at) {
            self.counters.damaged.add(1);
            tracing::error!(%error, "a record is damaged: dropped, and answered as a miss");
        }
    }
}

/// A length that was bounded by a segment's fits memory.
pub(crate) fn index(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

/// Bytes that are gone for good, and not only for now.
pub(crate) fn is_lost(error: &std::io::Error) -> bool {
    const EIO: i32 = 5;
    kura_disk::errno(error) == Some(EIO) || error.kind() == std::io::ErrorKind::UnexpectedEof
}

/// This process, or the system, has as many files open as it may.
pub(crate) fn is_out_of_files(error: &std::io::Error) -> bool {
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    matches!(kura_disk::errno(error), Some(EMFILE | ENFILE))
}
