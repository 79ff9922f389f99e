//! WRITE 4: trailer, group commit, index, answer.
//! Per segment one committer runs while records wait: it takes all of them, gives each its version, writes what is
//! adjacent in one call, syncs once, and then publishes them in that order.
//! Invariant: what is published or answered is covered by the sync that the durability setting asks for; a failed sync fails all who
//! waited for it and closes the segment for good.

use std::sync::Arc;

use bytes::Bytes;
use futures_channel::oneshot;
use kura_disk::SyncReason;

use crate::error::{During, Error};
use crate::format::footer::FooterEntry;
use crate::format::record::{HeadHash, Layout, Trailer};
use crate::index::Entry;
use crate::log::Ticket;
use crate::publish::Spot;
use crate::segment::{Mode, Segment};
use crate::settings::Durability;
use crate::store::Inner;
use crate::types::{Encoding, Fingerprint, Offset, Ordinal, RecordType, Version};

/// The most records that share a sync: bounds the memory of a batch, and the time that the first one waits.
const MAX_BATCH: usize = 1024;

/// A complete record that waits for its commit.
pub(crate) struct Pending {
    pub(crate) ticket: Ticket,
    pub(crate) record: Record,
    /// Head and body, unless they were streamed to their place already.
    pub(crate) gathered: Option<Vec<Bytes>>,
    pub(crate) answer: oneshot::Sender<Result<Version, Error>>,
}

impl Pending {
    /// Its segment takes nothing more.
    fn refuse(self) {
        // Whoever asked may be gone.
        let _ = self.answer.send(Err(Error::Evicted));
    }
}

/// What a trailer, a footer entry and an index entry say of a record.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) namespace: Fingerprint,
    pub(crate) record_type: RecordType,
    pub(crate) encoding: Encoding,
    pub(crate) layout: Layout,
    pub(crate) head_hash: HeadHash,
    pub(crate) crcs: Vec<u32>,
    pub(crate) logical_len: u64,
    pub(crate) sha256: Option<[u8; 32]>,
    /// Where this was copied from, if it is a copy: it keeps its version.
    pub(crate) copy_of: Option<Spot>,
}

impl Record {
    pub(crate) fn trailer(&self, version: Version, ordinal: Ordinal) -> Trailer {
        Trailer {
            crcs: self.crcs.clone(),
            stored_len: self.layout.stored_len,
            logical_len: self.logical_len,
            sha256: self.sha256,
            version,
            ordinal,
            copy: self.copy_of.is_some(),
        }
    }

    pub(crate) fn footer_entry(&self, offset: Offset, namespace: u32, version: Version) -> FooterEntry {
        FooterEntry {
            fingerprint: self.fingerprint,
            offset,
            head_len: self.layout.head_len,
            stored_len: self.layout.stored_len,
            logical_len: self.logical_len,
            version,
            namespace,
            record_type: self.record_type,
            copy: self.copy_of.is_some(),
            encoding: self.encoding,
        }
    }
}

/// A record that has its version.
struct Versioned {
    pending: Pending,
    version: Version,
    ordinal: Ordinal,
}

impl Inner {
    /// Queues a record; the answer comes when it is committed as the durability setting says.
    pub(crate) fn enqueue(self: &Arc<Self>, pending: Pending) {
        let segment = Arc::clone(&pending.ticket.segment);
        let mut pending = Some(pending);
        let start = segment.with_writing(|writing| {
            if segment.is_condemned() || writing.mode == Mode::Failed {
                return false;
            }
            pending.take().is_some_and(|pending| writing.queue.push(pending))
        });
        if let Some(refused) = pending {
            refused.refuse();
        }
        if start == Some(true) {
            let inner = Arc::clone(self);
            self.spawn("commit", async move { inner.commit_queue(&segment).await });
        }
    }

    async fn commit_queue(self: &Arc<Self>, segment: &Arc<Segment>) {
        loop {
            let next = segment.with_writing(|writing| (writing.queue.take(MAX_BATCH), writing.mode == Mode::Failed));
            let Some((batch, failed)) = next.filter(|(batch, _)| !batch.is_empty()) else {
                break;
            };
            if failed {
                batch.into_iter().for_each(Pending::refuse);
            } else {
                self.commit_batch(segment, batch).await;
            }
        }
        self.committed.notify(usize::MAX);
    }

    async fn commit_batch(self: &Arc<Self>, segment: &Arc<Segment>, batch: Vec<Pending>) {
        let began = self.runtime.monotonic();
        let batch = self.give_versions(segment, batch);
        match self.write_and_sync(segment, &batch).await {
            Ok(()) => self.publish_batch(segment, batch),
            Err(error) => self.fail_batch(segment, batch, &error),
        }
        self.counters.commit_latency.record(self.runtime.monotonic() - began);
    }

    fn give_versions(&self, segment: &Segment, batch: Vec<Pending>) -> Vec<Versioned> {
        let first = segment.with_writing(|writing| writing.entries.len()).unwrap_or(0);
        let give = |(position, pending): (usize, Pending)| {
            let record = &pending.record;
            self.under_way.enter(record.fingerprint);
            let version = match (record.copy_of, record.record_type) {
                (Some(from), _) => from.version,
                (None, RecordType::Artifact) => self.versions.next_version(),
                (None, _) => self.tombstones.take_version(record.fingerprint, &self.versions),
            };
            let ordinal = Ordinal(u32::try_from(first + position).expect("a segment holds fewer records than 2^32"));
            Versioned { pending, version, ordinal }
        };
        batch.into_iter().enumerate().map(give).collect()
    }

    async fn write_and_sync(&self, segment: &Segment, batch: &[Versioned]) -> Result<(), Error> {
        let handle = segment.with_writing(|writing| Arc::clone(&writing.handle)).ok_or(Error::Evicted)?;
        let file = handle.file()?;
        for (offset, bytes) in self.runs(batch) {
            segment.check_sound()?;
            file.write_at(offset, bytes).await.during("writing records")?;
        }
        segment.with_writing(|writing| writing.written += 1);
        // Where nobody waits for a sync, one that has failed meanwhile must still be heard of.
        segment.check_sound()?;
        // Whatever the durability, a copy takes the place of its original only once it is as durable as that may be.
        if batch.iter().any(|versioned| versioned.pending.record.copy_of.is_some()) {
            self.sync_segment(segment, "copies before they take their place").await?;
        } else if self.settings.durability == Durability::Always {
            self.sync_segment(segment, "records of a commit").await?;
        }
        Ok(())
    }

    /// What has to be written, adjacent pieces joined.
    fn runs(&self, batch: &[Versioned]) -> Vec<(u64, Vec<Bytes>)> {
        let mut pieces: Vec<(u64, Vec<Bytes>, u64)> = batch.iter().map(|versioned| self.piece(versioned)).collect();
        pieces.sort_by_key(|(offset, ..)| *offset);
        let mut runs: Vec<(u64, Vec<Bytes>)> = Vec::new();
        let mut end = None;
        for (offset, bytes, length) in pieces {
            match runs.last_mut().filter(|_| end == Some(offset)) {
                Some((_, run)) => run.extend(bytes),
                None => runs.push((offset, bytes)),
            }
            end = Some(offset + length);
        }
        runs
    }

    /// A record's bytes that are not on disk yet: all of it, or its trailer.
    fn piece(&self, versioned: &Versioned) -> (u64, Vec<Bytes>, u64) {
        let record = &versioned.pending.record;
        let layout = &record.layout;
        let start = versioned.pending.ticket.at.offset.0;
        let trailer =
            record.trailer(versioned.version, versioned.ordinal).encode(record.head_hash, &self.identity.secret);
        let mut tail = Vec::new();
        let from = match &versioned.pending.gathered {
            Some(_) => layout.body + layout.stored_len,
            None => layout.trailer,
        };
        tail.resize(usize::try_from(layout.trailer - from).expect("padding is small"), 0);
        tail.extend_from_slice(&trailer);
        tail.resize(usize::try_from(layout.total - from).expect("a trailer fits memory"), 0);
        match &versioned.pending.gathered {
            Some(gathered) => {
                let mut bytes = gathered.clone();
                bytes.push(tail.into());
                (start, bytes, layout.total)
            }
            None => (start + from, vec![tail.into()], layout.total - from),
        }
    }

    fn publish_batch(&self, segment: &Arc<Segment>, batch: Vec<Versioned>) {
        segment.with_writing(|writing| {
            for versioned in &batch {
                let at = versioned.pending.ticket.at;
                writing.entries.push(versioned.pending.record.footer_entry(at.offset, at.namespace, versioned.version));
            }
        });
        for Versioned { pending, version, ordinal } in batch {
            let Pending { ticket, record, answer, .. } = pending;
            let entry =
                record.footer_entry(ticket.at.offset, ticket.at.namespace, version).index_entry(segment.slot, ordinal);
            match record.copy_of {
                Some(from) => {
                    self.publish_copy(from, entry, segment);
                }
                None => self.publish_new(entry, segment, record.namespace),
            }
            self.under_way.leave(entry.fingerprint);
            // Whoever asked may be gone: the record stays.
            let _ = answer.send(Ok(version));
        }
    }

    /// Puts a record, or what a tombstone ends, into force.
    pub(crate) fn publish_new(&self, entry: Entry, segment: &Arc<Segment>, namespace: Fingerprint) {
        self.publish(entry, segment, namespace);
        if entry.record_type == RecordType::NamespaceTombstone {
            self.tombstones.clean(entry.fingerprint, entry.version);
        }
        if entry.record_type != RecordType::Artifact {
            self.tombstones.settle(entry.fingerprint, entry.version);
        }
    }

    fn fail_batch(&self, segment: &Segment, batch: Vec<Versioned>, error: &Error) {
        for Versioned { pending, version, .. } in batch {
            let record = &pending.record;
            // A copy of a tombstone is no harm wherever it is found.
            match (record.record_type, record.copy_of) {
                (RecordType::Artifact, _) => {
                    let at = Spot { slot: segment.slot, offset: pending.ticket.at.offset, version };
                    self.doubtful.add(record.fingerprint, at);
                }
                (_, None) => self.tombstones.fail(record.fingerprint, version),
                (_, Some(_)) => {}
            }
            self.under_way.leave(record.fingerprint);
            let _ = pending.answer.send(Err(error.again()));
        }
    }

    /// Makes everything written to an unsealed segment durable. One sync of a segment runs at a time: the system tells a failure to one of those who
    /// wait for it, and the others would take it for success.
    ///
    /// # Errors
    /// `Io`, `Evicted`: the segment is closed for good.
    pub(crate) async fn sync_segment(&self, segment: &Segment, why: SyncReason) -> Result<(), Error> {
        let _turn = segment.turn_to_sync().await;
        segment.check_sound()?;
        let Some((handle, written)) = segment.with_writing(|writing| (Arc::clone(&writing.handle), writing.written))
        else {
            return Ok(());
        };
        match handle.file()?.sync(why).await.during("syncing records") {
            Ok(()) => {
                segment.with_writing(|writing| writing.synced = writing.synced.max(written));
                Ok(())
            }
            Err(error) => {
                self.fail_segment(segment, &error);
                Err(error)
            }
        }
    }

    /// After a failed sync nobody knows what is on the disk: the segment is never written, synced or sealed again.
    pub(crate) fn fail_segment(&self, segment: &Segment, error: &Error) {
        segment.with_writing(|writing| writing.mode = Mode::Failed);
        self.counters.failed_segments.add(1);
        tracing::error!(segment = %segment.number(), %error, "a sync failed: the segment takes nothing more");
        if self.log.failed(segment) {
            self.stop_writing();
        }
        self.wake_keeper();
    }
}
