//! The scrubber: reads in the background what is stored, so that damage is found before a client asks for it.
//! A pass goes over the live records of the segments that were there when it began, oldest first; what is written or moved meanwhile is checked as it
//! is written. A damaged artifact is dropped as a damaged read drops it; a tombstone stays in force, since what it ended may still be on the disk.
//! It gives way: one read at a time, never above its rate, and after each it rests three times as long as that took. It holds no file while it
//! rests, so nothing that is evicted waits for it.
//! How far it has come is kept in `scrub`, a hint that is written without a sync: what is lost of it is checked twice.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::select;
use kura_disk::{Buffer, Disk};
use parking_lot::Mutex;

use crate::error::{During, Error};
use crate::format::scrub::ScrubFile;
use crate::format::{Damage, SCRUB, TEMPORARY_PREFIX};
use crate::index::Entry;
use crate::publish::Spot;
use crate::read::index;
use crate::records::{Frame, Records, Source, WholeRecord};
use crate::residents::Resident;
use crate::segment::Segment;
use crate::store::Inner;
use crate::types::{Offset, Place, RecordType, SegmentNumber};

/// After each read it rests this many times as long as that took: where requests keep the device busy, reads take longer, and so do its rests.
const RESTS: u32 = 3;

/// It rests no longer than this for one read, however slow the device is.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// The one task that scrubs.
struct Scrubber {
    inner: Arc<Inner>,
    pass: ScrubFile,
    /// When `scrub` was written.
    saved: Duration,
    /// The rest that is due before the next read.
    owed: Mutex<Duration>,
}

impl Inner {
    /// Runs until the store closes.
    pub(crate) async fn scrub(self: Arc<Self>) {
        let pass = match read_progress(&self.disk, self.identity.store_id).await {
            Some(pass) => pass,
            None => self.begin_pass(),
        };
        let saved = self.runtime.monotonic();
        Scrubber { inner: self, pass, saved, owed: Mutex::default() }.run().await;
    }

    fn begin_pass(&self) -> ScrubFile {
        ScrubFile {
            store_id: self.identity.store_id,
            began_unix_millis: self.runtime.unix_millis(),
            next: Place { segment: SegmentNumber(0), offset: Offset(0) },
            last: self.ring.in_order().last().map_or(SegmentNumber(0), |segment| segment.number()),
        }
    }

    /// # Errors
    /// `Closed` if the store closes meanwhile.
    async fn rest(&self, rest: Duration) -> Result<(), Error> {
        let closing = self.closing.listen();
        if !self.is_closed() {
            select(closing, self.runtime.sleep(rest)).await;
        }
        if self.is_closed() { Err(Error::Closed) } else { Ok(()) }
    }
}

impl Scrubber {
    async fn run(mut self) {
        while !self.inner.is_closed() {
            let ended = match self.next_segment() {
                Some(segment) => self.go_over(&segment).await,
                None => self.wait_for_next_pass().await,
            };
            if ended.is_err() {
                break;
            }
        }
        self.save().await;
    }

    /// # Errors
    /// `Closed`.
    async fn go_over(&mut self, segment: &Arc<Segment>) -> Result<(), Error> {
        let number = segment.number();
        if number != self.pass.next.segment {
            self.pass.next = segment.place(Offset(0));
        }
        match self.check(segment).await {
            Ok(()) | Err(Error::Evicted) => {}
            Err(Error::Closed) => return Err(Error::Closed),
            Err(error) => tracing::warn!(segment = %number, %error, "could not be checked in this pass"),
        }
        self.pass.next = Place { segment: SegmentNumber(number.0 + 1), offset: Offset(0) };
        if self.next_segment().is_none() {
            self.inner.counters.scrub_passes.add(1);
        }
        if self.inner.runtime.monotonic() >= self.saved + self.inner.settings.heat_interval {
            self.save().await;
        }
        Ok(())
    }

    fn next_segment(&self) -> Option<Arc<Segment>> {
        let mut ahead = self.inner.ring.in_order();
        ahead.retain(|segment| (self.pass.next.segment..=self.pass.last).contains(&segment.number()));
        let left = ahead.iter().map(|segment| segment.live()).sum();
        self.inner.counters.scrub_left.store(left, Ordering::Relaxed);
        ahead.into_iter().find(|segment| {
            // After a failed sync the cache shows what the device may not have; the next start looks.
            let failed = segment.has_failed();
            !failed && !segment.is_unread() && !segment.is_condemned()
        })
    }

    /// # Errors
    /// `Closed`.
    async fn wait_for_next_pass(&mut self) -> Result<(), Error> {
        self.save().await;
        // Where the clock was set back it is due now.
        let now = self.inner.runtime.unix_millis();
        let since = now.checked_sub(self.pass.began_unix_millis).map(Duration::from_millis);
        let rest = since.and_then(|since| self.inner.settings.scrub_interval.checked_sub(since));
        self.inner.rest(rest.unwrap_or_default()).await?;
        self.pass = self.inner.begin_pass();
        Ok(())
    }

    /// Checks the live records of a segment from where the pass stands, which moves along.
    ///
    /// # Errors
    /// `Evicted` when it is gone, `Closed`, `Io`.
    async fn check(&mut self, segment: &Arc<Segment>) -> Result<(), Error> {
        let inner = Arc::clone(&self.inner);
        let mut residents = inner.residents(segment).await;
        residents.retain(|resident| resident.spot.offset >= self.pass.next.offset);
        residents.sort_unstable_by_key(|resident| resident.spot.offset);
        if segment.is_sealed() && !residents.is_empty() {
            // The device is asked, and not the memory of an earlier read.
            inner.open(segment).await?.file()?.forget_cached().await.during("letting go of cached pages")?;
        }
        let source = Slowly { inner: &inner, segment, owed: &self.owed };
        let (birth, secret) = (segment.birth, &inner.identity.secret);
        let frame = Frame { length: segment.length(), block: segment.block, birth, secret };
        let mut records = Records::new(source, frame);
        for resident in &residents {
            self.pass.next.offset = resident.spot.offset;
            if inner.live(resident).is_none() {
                continue;
            }
            match records.at(resident.spot.offset, Some(resident.stored_len)).await {
                Ok(found) => {
                    if let Err(Damage(what)) = found.if_it_is(|whole| is_of(whole, resident)) {
                        let (segment, offset) = (segment.number(), resident.spot.offset);
                        inner.scrub_away(resident, &Error::Corrupt { segment, offset, what });
                    }
                }
                Err(error @ Error::Corrupt { .. }) => inner.scrub_away(resident, &error),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Only a hint: what cannot be written is checked again.
    async fn save(&mut self) {
        self.saved = self.inner.runtime.monotonic();
        if let Err(error) = write_progress(&self.inner.disk, &self.pass).await {
            tracing::debug!(%error, "how far the check has come was not saved");
        }
    }
}

impl Inner {
    fn live(&self, resident: &Resident) -> Option<Entry> {
        let entry = self.index.lock(&resident.fingerprint).get(&resident.fingerprint);
        entry.filter(|entry| Spot::of(entry) == resident.spot)
    }

    fn scrub_away(&self, resident: &Resident, error: &Error) {
        let Some(entry) = self.live(resident) else { return };
        self.counters.scrub_damaged.add(1);
        if entry.record_type == RecordType::Artifact {
            self.drop_damaged(&resident.fingerprint, resident.spot, error);
        } else {
            tracing::error!(%error, "a tombstone is damaged: it stays in force as long as its segment is there");
        }
    }
}

async fn write_progress(disk: &Arc<dyn Disk>, pass: &ScrubFile) -> Result<(), Error> {
    let temporary = format!("{TEMPORARY_PREFIX}{SCRUB}");
    match disk.unlink(&temporary).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).during("clearing the way for scrub");
        }
        _ => {}
    }
    let file = disk.create(&temporary).await.during("creating scrub")?;
    file.write_at(0, vec![Bytes::from(pass.encode())]).await.during("writing scrub")?;
    disk.rename(&temporary, SCRUB).await.during("naming scrub")
}

async fn read_progress(disk: &Arc<dyn Disk>, store_id: [u8; 16]) -> Option<ScrubFile> {
    let file = disk.open(SCRUB).await.ok()?;
    let bytes = file.read_at(0, Buffer::unpooled(index(ScrubFile::ENCODED_LEN))).await.ok()?;
    ScrubFile::decode(&bytes).ok().filter(|pass| pass.store_id == store_id)
}

fn is_of(whole: &WholeRecord, resident: &Resident) -> bool {
    whole.entry.fingerprint == resident.fingerprint && whole.entry.version == resident.spot.version
}

/// Reads a segment at the scrubber's pace.
struct Slowly<'a> {
    inner: &'a Arc<Inner>,
    segment: &'a Arc<Segment>,
    owed: &'a Mutex<Duration>,
}

impl Source for Slowly<'_> {
    async fn read(&self, at: u64, length: u64) -> Result<Bytes, Error> {
        let owed = std::mem::take(&mut *self.owed.lock());
        self.inner.rest(owed).await?;
        let began = self.inner.runtime.monotonic();
        let handle = self.inner.open(self.segment).await?;
        let read = self.inner.fetch(&handle, self.segment.place(Offset(at)), at, length).await;
        drop(handle);
        let took = self.inner.runtime.monotonic() - began;
        *self.owed.lock() = rest_after(length, took, self.inner.settings.scrub_rate);
        self.inner.counters.scrub_bytes.add(length);
        read
    }
}

/// How long to rest after a read of `length` bytes, at `rate` bytes a second.
fn rest_after(length: u64, took: Duration, rate: u64) -> Duration {
    let paced = Duration::from_micros(length.saturating_mul(1_000_000) / rate.max(1));
    paced.saturating_sub(took).max(took * RESTS).min(LONGEST_REST.max(paced))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn reads_keep_to_the_rate_and_rest_longer_where_the_device_is_busy() {
        let rest = |millis| rest_after(MIB, Duration::from_millis(millis), 4 * MIB);
        assert_eq!(rest(0), Duration::from_millis(250));
        assert_eq!(rest(10), Duration::from_millis(240));
        assert_eq!(rest(100), Duration::from_millis(300));
        assert_eq!(rest(60_000), LONGEST_REST);
        assert_eq!(rest_after(MIB, Duration::ZERO, 1024), Duration::from_secs(1024), "a low rate is kept");
    }
}
