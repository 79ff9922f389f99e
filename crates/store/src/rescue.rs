//! Copying live records to the active segment: the bytes that reclaim moves.
//! A copy keeps its version. It is checked live once its place is fixed, so that a tombstone taken before is seen, and one taken
//! after has a version above the number of the segment that the copy lies in.
//! Bounded: copies under way hold at most `IN_FLIGHT` bytes, longer bodies pass through in pieces.

use std::sync::Arc;

use bytes::Bytes;
use futures_channel::oneshot;

use crate::commit::{Pending, Record};
use crate::error::{During, Error};
use crate::files::Handle;
use crate::format::Damage;
use crate::format::record::{BlockSums, Head, Layout, Seal, TrailerView};
use crate::key::{Attributes, RecordKey};
use crate::log::{Purpose, Ticket};
use crate::publish::Spot;
use crate::read::index;
use crate::residents::Resident;
use crate::segment::Segment;
use crate::settings::Durability;
use crate::store::Inner;
use crate::types::{Encoding, Fingerprint, Place, RecordType, Version};
use crate::victim::Manner;

/// Bytes of copies that wait for their commit at once.
const IN_FLIGHT: u64 = 4 << 20;

/// How much of a long body is copied at a time.
const PIECE: u64 = 1 << 20;

type Answer = oneshot::Receiver<Result<Version, Error>>;

impl Inner {
    /// Copies records of `victim` forward. One that is damaged is dropped; one that finds no place stays where it is.
    ///
    /// # Errors
    /// `Io` when copies could not be written. `Corrupt` where everything has to move, and something is damaged: as long as the victim is there, what the
    /// damaged record has replaced shows at no start.
    pub(crate) async fn rescue(
        self: &Arc<Self>,
        victim: &Arc<Segment>,
        residents: &[Resident],
        manner: Manner,
        purpose: Purpose,
    ) -> Result<(), Error> {
        if residents.is_empty() {
            return Ok(());
        }
        let handle = self.open(victim).await?;
        let mut answers: Vec<Answer> = Vec::new();
        let mut in_flight = 0;
        for resident in residents {
            let bytes = Layout::new(resident.head_len, resident.stored_len, victim.block).total;
            if in_flight + bytes > IN_FLIGHT {
                settle(std::mem::take(&mut answers)).await?;
                in_flight = 0;
            }
            match self.copy(victim, &handle, resident, purpose).await {
                Ok(Some(answer)) => {
                    answers.push(answer);
                    in_flight += bytes;
                }
                Ok(None) => {}
                Err(error @ Error::Corrupt { .. }) => {
                    self.drop_damaged(&resident.fingerprint, resident.spot, &error);
                    if manner == Manner::Compact {
                        settle(answers).await?;
                        return Err(error);
                    }
                }
                Err(error) => {
                    settle(answers).await?;
                    return Err(error);
                }
            }
        }
        settle(answers).await
    }

    /// Starts one copy; `None` if there is no place for it, or no need any more.
    async fn copy(
        self: &Arc<Self>,
        victim: &Arc<Segment>,
        handle: &Handle,
        resident: &Resident,
        purpose: Purpose,
    ) -> Result<Option<Answer>, Error> {
        let corrupt = |Damage(what)| Error::Corrupt { segment: victim.number(), offset: resident.spot.offset, what };
        let layout = Layout::new(resident.head_len, resident.stored_len, victim.block);
        let seal = Seal { secret: &self.identity.secret, birth: victim.birth, offset: resident.spot.offset };
        let at = resident.spot.offset.0;
        let place = victim.place(resident.spot.offset);
        let head_bytes = self.fetch(handle, place, at, resident.head_len).await?;
        let (head, old_hash) = Head::decode(&head_bytes, &seal).map_err(corrupt)?;
        let trailer_bytes = self.fetch(handle, place, at + layout.trailer, layout.trailer_len).await?;
        let trailer = TrailerView::decode(&trailer_bytes, &layout, old_hash, &self.identity.secret).map_err(corrupt)?;

        let namespace = self.namespace_fingerprint(&head.key);
        if head.record_type == RecordType::Artifact
            && self.tombstones.may_have_ended(head.fingerprint, namespace, trailer.version)
        {
            return self.bury_in_place(resident, head, purpose).await;
        }
        let Some(ticket) = self.place_copy(layout.total, &head.key, purpose).await? else { return Ok(None) };
        if !self.is_live(resident.spot, &head, namespace) {
            return Ok(None);
        }
        let seal = Seal { secret: &self.identity.secret, birth: ticket.segment.birth, offset: ticket.at.offset };
        let (bytes, head_hash) = head.encode(&seal);
        let mut record = Record {
            fingerprint: head.fingerprint,
            namespace,
            record_type: head.record_type,
            encoding: head.encoding,
            layout,
            head_hash,
            crcs: Vec::new(),
            logical_len: trailer.logical_len,
            sha256: trailer.sha256,
            copy_of: Some(resident.spot),
        };
        let blocks = index(layout.stored_len.div_ceil(u64::from(victim.block)));
        let (crcs, gathered) = if layout.stored_len <= PIECE {
            let body = self.fetch(handle, place, at + layout.body, layout.stored_len).await?;
            trailer.check_blocks(&body, 0, victim.block).map_err(corrupt)?;
            (trailer.crcs(blocks), Some(vec![Bytes::from(bytes), body]))
        } else {
            let crcs = self.stream_copy((handle, place), at + layout.body, &layout, &ticket, bytes.into()).await?;
            if crcs != trailer.crcs(blocks) {
                return Err(corrupt(Damage("a block's checksum")));
            }
            (crcs, None)
        };
        record.crcs = crcs;
        let (answer, committed) = oneshot::channel();
        self.enqueue(Pending { ticket, record, gathered, answer });
        Ok(Some(committed))
    }

    /// A place for a copy, if there is one. Where writers took the spare while its victim is emptied, what is reserved for another becomes one.
    async fn place_copy(
        self: &Arc<Self>,
        total: u64,
        key: &RecordKey,
        purpose: Purpose,
    ) -> Result<Option<Ticket>, Error> {
        loop {
            let ticket = self.allot(total, &key.namespace_id(), purpose);
            if ticket.is_some() || !self.log.may_have_spare() || !self.spare_from_successor().await? {
                return Ok(ticket);
            }
        }
    }

    /// Whether the record may be carried on, now that its copy's place is fixed. A tombstone always may: it ends nothing that a later one does not.
    fn is_live(&self, spot: Spot, head: &Head, namespace: Fingerprint) -> bool {
        let shard = self.index.lock(&head.fingerprint);
        let live = shard.get(&head.fingerprint).is_some_and(|entry| Spot::of(&entry) == spot);
        live && (head.record_type != RecordType::Artifact
            || !self.tombstones.will_end(head.fingerprint, namespace, spot.version))
    }

    /// An artifact must not be dropped, for it covers something older, nor carried past a tombstone that failed and may be on the disk: in its place goes
    /// a tombstone of its own version. Its client was told that it may have been ended.
    async fn bury_in_place(
        self: &Arc<Self>,
        resident: &Resident,
        artifact: Head,
        purpose: Purpose,
    ) -> Result<Option<Answer>, Error> {
        let head = Head {
            record_type: RecordType::KeyTombstone,
            encoding: Encoding::Identity,
            attributes: Attributes::default(),
            stored_len: Some(0),
            ..artifact
        };
        let layout = Layout::new(head.encoded_len(), 0, self.geometry().block());
        let Some(ticket) = self.place_copy(layout.total, &head.key, purpose).await? else { return Ok(None) };
        let seal = Seal { secret: &self.identity.secret, birth: ticket.segment.birth, offset: ticket.at.offset };
        let (bytes, head_hash) = head.encode(&seal);
        let record = Record {
            fingerprint: head.fingerprint,
            namespace: self.namespace_fingerprint(&head.key),
            record_type: head.record_type,
            encoding: head.encoding,
            layout,
            head_hash,
            crcs: Vec::new(),
            logical_len: 0,
            sha256: None,
            copy_of: Some(resident.spot),
        };
        let (answer, committed) = oneshot::channel();
        self.enqueue(Pending { ticket, record, gathered: Some(vec![Bytes::from(bytes)]), answer });
        Ok(Some(committed))
    }

    /// Lets the originals in `victim`, which was not emptied, take the places of their copies in segments whose sync has failed: these can go then.
    pub(crate) async fn take_back(&self, victim: &Arc<Segment>) {
        let none_failed = self.ring.oldest(Segment::has_failed).is_none();
        // What an unsynced segment showed under a lesser durability may be durable in the copy only.
        if none_failed || (victim.has_failed() && self.settings.durability != Durability::Always) {
            return;
        }
        for resident in self.residents(victim).await {
            self.publish_original(&resident, victim);
        }
    }

    /// Copies a long body to the place of `ticket`. Returns the checksums of what was read.
    async fn stream_copy(
        &self,
        (from, record): (&Handle, Place),
        at: u64,
        layout: &Layout,
        ticket: &Ticket,
        head: Bytes,
    ) -> Result<Vec<u32>, Error> {
        let to = ticket.segment.with_writing(|writing| Arc::clone(&writing.handle)).ok_or(Error::Evicted)?;
        let mut sums = BlockSums::new(ticket.segment.block);
        let mut done = 0;
        let mut place = ticket.at.offset.0;
        let mut pieces = vec![head];
        while done < layout.stored_len {
            let length = (layout.stored_len - done).min(PIECE);
            let piece = self.fetch(from, record, at + done, length).await?;
            sums.update(&piece);
            pieces.push(piece);
            let written: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
            ticket.segment.check_sound()?;
            to.file()?.write_at(place, std::mem::take(&mut pieces)).await.during("copying a body")?;
            place += written;
            done += length;
        }
        debug_assert_eq!(index(place - ticket.at.offset.0), index(layout.body + layout.stored_len));
        Ok(sums.finish())
    }
}

/// Waits for copies to be committed.
async fn settle(answers: Vec<Answer>) -> Result<(), Error> {
    for answer in answers {
        answer.await.unwrap_or(Err(Error::Closed))?;
    }
    Ok(())
}
