//! A solo segment: one record, a file of its own, reclaimed alone.
//! Of known length it has its exact size before the first byte. A growing one takes steps that double, each reserved and
//! allocated before it is used; at its end the unused tail is cut, the one truncation there is:
//! trailer, sync, footer, cut behind the footer, sync, answer. Without a valid footer it never was.
//! Not here: promotion (`reclaim`).

use std::sync::Arc;

use bytes::Bytes;
use futures_channel::oneshot;

use crate::budget::Reservation;
use crate::commit::Record;
use crate::create::Created;
use crate::error::{During, Error};
use crate::files::Handle;
use crate::format::footer::{Footer, NamespaceTable};
use crate::format::record::{Head, Layout, Trailer};
use crate::format::segment::{SEGMENT_HEADER_LEN, SegmentKind};
use crate::room::Admitted;
use crate::segment::{Mode, Segment};
use crate::settings::Durability;
use crate::store::Inner;
use crate::types::{Offset, Ordinal, Version, align_up};
use crate::upload::{Commit, Stream};

/// What a filesystem allocates at a time.
const PAGE: u64 = 4096;

/// The only record of a solo segment is its first.
const ORDINAL: Ordinal = Ordinal(0);

/// A solo segment whose record is not committed yet. Dropped, it is evicted.
#[must_use]
pub(crate) struct Solo {
    created: Created,
    growing: bool,
    /// Bytes of the footer that will end the file.
    footer: u64,
}

fn footer_len(head: &Head) -> u64 {
    Footer::encoded_len(1, NamespaceTable::default().encoded_len_with(&head.key.namespace_id()))
}

/// Bytes of the blocks of a file of `length`.
pub(crate) fn allocated(length: u64) -> u64 {
    length.div_ceil(PAGE) * PAGE
}

impl Solo {
    /// One for a record of exactly this layout.
    pub(crate) async fn of_size(inner: &Arc<Inner>, head: &Head, layout: Layout) -> Result<Solo, Error> {
        let length = SEGMENT_HEADER_LEN + layout.total + footer_len(head);
        let reservation = inner.reserve_solo(allocated(length), inner.lanes.owner(head.key.tenant())).await?;
        Solo::create(inner, head, length, reservation, false).await
    }

    /// One that grows with its body.
    pub(crate) async fn growing(inner: &Arc<Inner>, head: &Head) -> Result<Solo, Error> {
        let length = inner.geometry().solo_step_min();
        let reservation = inner.reserve_solo(length, inner.lanes.owner(head.key.tenant())).await?;
        Solo::create(inner, head, length, reservation, true).await
    }

    async fn create(
        inner: &Arc<Inner>,
        head: &Head,
        length: u64,
        reservation: Reservation,
        growing: bool,
    ) -> Result<Solo, Error> {
        let owner = inner.lanes.owner(head.key.tenant());
        let created = inner.create_segment(SegmentKind::Solo, owner, length, reservation).await?;
        created.segment().with_writing(|writing| writing.outstanding = 1);
        Ok(Solo { created, growing, footer: footer_len(head) })
    }

    fn segment(&self) -> &Arc<Segment> {
        self.created.segment()
    }

    fn handle(&self) -> Result<Arc<Handle>, Error> {
        self.segment().with_writing(|writing| Arc::clone(&writing.handle)).ok_or(Error::Evicted)
    }

    /// The stream that fills it.
    pub(crate) fn stream(self, inner: &Inner, head: &Head) -> Result<Stream<Solo>, Error> {
        let (birth, handle) = (self.segment().birth, self.handle()?);
        Ok(Stream::new(inner, head, self, birth, Offset(SEGMENT_HEADER_LEN), handle))
    }

    /// Whether a body that ended with `written` bytes stays here, rather than going to the active segment.
    pub(crate) fn is_worth_keeping(&self, inner: &Inner, written: u64) -> bool {
        !self.growing || written >= inner.geometry().copy_below()
    }

    /// Makes room for a record whose body ends `end` bytes behind its start, with its trailer and the footer behind it.
    pub(crate) async fn grow_to(&mut self, inner: &Arc<Inner>, end: u64) -> Result<Option<Admitted>, Error> {
        if self.segment().is_condemned() {
            return Err(Error::Evicted);
        }
        if !self.growing {
            return Ok(None);
        }
        let trailer = Trailer::encoded_len(end, inner.geometry().block());
        let needed = align_up(SEGMENT_HEADER_LEN + align_up(end) + trailer) + self.footer;
        let length = self.segment().length();
        let mut wanted = length;
        while wanted < needed {
            wanted += wanted.clamp(inner.geometry().solo_step_min(), inner.geometry().solo_step_max());
        }
        if wanted == length {
            return Ok(None);
        }
        let owner = self.segment().owner();
        let admission = inner.admit(wanted - length, owner).await?;
        let step = inner.reserve_solo(wanted - length, owner).await?;
        let space = self.segment().space().ok_or(Error::Evicted)?;
        space.lock().absorb(step);
        inner.allocate(&self.handle()?.file()?, wanted).await?;
        inner.ring.resize(self.segment(), wanted);
        Ok(Some(admission))
    }
}

impl Inner {
    /// Commits the record of a solo segment, in a task of its own: its steps must not stop where a caller goes away.
    pub(crate) async fn commit_solo(
        self: &Arc<Self>,
        stream: Stream<Solo>,
        head: Head,
        commit: Commit,
    ) -> Result<Version, Error> {
        let (answer, committed) = oneshot::channel();
        let inner = Arc::clone(self);
        self.spawn("commit solo", async move {
            let segment = Arc::clone(stream.target.segment());
            let began = segment.with_writing(|writing| {
                writing.queue.set_running(!segment.is_condemned());
                writing.queue.is_running()
            });
            let result = match began {
                Some(true) => {
                    let began = inner.runtime.monotonic();
                    inner.under_way.enter(head.fingerprint);
                    let result = inner.finish_solo(stream, &head, &commit).await;
                    inner.under_way.leave(head.fingerprint);
                    inner.counters.commit_latency.record(inner.runtime.monotonic() - began);
                    result
                }
                _ => Err(Error::Evicted),
            };
            segment.with_writing(|writing| writing.queue.set_running(false));
            inner.committed.notify(usize::MAX);
            let _ = answer.send(result);
        });
        committed.await.unwrap_or(Err(Error::Closed))
    }

    async fn finish_solo(
        self: &Arc<Self>,
        stream: Stream<Solo>,
        head: &Head,
        commit: &Commit,
    ) -> Result<Version, Error> {
        let (solo, handle, offset, record) = stream.into_record(self, head, commit);
        let segment = Arc::clone(solo.segment());
        let version = self.versions.next_version();
        let layout = record.layout;
        let mut tail = vec![0; usize::try_from(layout.trailer - layout.body - layout.stored_len).unwrap_or(0)];
        tail.extend(record.trailer(version, ORDINAL).encode(record.head_hash, &self.identity.secret));
        let file = handle.file()?;
        let at = offset.0 + layout.body + layout.stored_len;
        file.write_at(at, vec![Bytes::from(tail)]).await.during("writing a trailer")?;
        segment.with_writing(|writing| {
            let namespace = writing.namespaces.intern(&head.key.namespace_id());
            writing.entries.push(record.footer_entry(offset, namespace, version));
            writing.written += 1;
            writing.mode = Mode::Draining;
        });
        if solo.growing {
            self.sync_segment(&segment, "record of a growing solo before its footer").await?;
            let end = align_up(offset.0 + layout.total) + solo.footer;
            self.ring.resize(&segment, end);
            self.write_footer(&segment).await?;
            file.truncate(end).await.during("cutting a segment behind its footer")?;
            // Not without a look at whether somebody else's sync has failed meanwhile, and taken the footer with it.
            self.sync_segment(&segment, "a cut segment").await?;
            if let Some(space) = segment.space() {
                space.lock().shrink_to(allocated(end));
            }
        } else if self.settings.durability == Durability::Always {
            self.sync_segment(&segment, "record of a solo").await?;
        }
        self.publish_solo(solo, &handle, &record, version, offset);
        Ok(version)
    }

    fn publish_solo(
        self: &Arc<Self>,
        solo: Solo,
        handle: &Arc<Handle>,
        record: &Record,
        version: Version,
        offset: Offset,
    ) {
        let (segment, has_footer) = (solo.created.take(), solo.growing);
        self.files.keep(handle);
        debug_assert!(segment.is_unfinished(), "the keeper evicts what is finished and not in the index");
        let entry = record.footer_entry(offset, 0, version).index_entry(segment.slot, ORDINAL);
        self.publish(entry, &segment, record.namespace);
        segment.with_writing(|writing| writing.outstanding = 0);
        if segment.live() == 0 {
            // Lost against a later version at once.
            self.condemn(Arc::clone(&segment));
        }
        if has_footer {
            segment.set_sealed();
        } else {
            self.seal_in_background(&segment);
        }
        self.counters.solos.add(1);
    }
}
