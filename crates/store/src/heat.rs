//! Use counters over a restart: a hint, no more. Two bytes a record by birth number and commit ordinal, written at once and then every few minutes.
//! Only a clean stop marks the file as complete, and the marked file is durably removed before anything is taken; without it, all that is
//! present counts as vouched for at the next start, since leases of the last minutes are not in it.
//! Not here: the bytes (`format::heat`).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use kura_disk::Disk;
use parking_lot::Mutex;

use crate::error::{During, Error};
use crate::format::heat::{HeatEntry, HeatFile, HeatSegment};
use crate::format::{HEAT, TEMPORARY_PREFIX};
use crate::index::{Entry, Minutes};
use crate::read::index;
use crate::segment::Segment;
use crate::store::Inner;
use crate::types::{Ordinal, SegmentNumber};

/// What was found at the start.
#[derive(Default)]
pub(crate) struct Heat {
    found: Mutex<HashMap<SegmentNumber, Vec<HeatEntry>>>,
    /// Whether it was complete when the store was opened.
    was_complete: bool,
    /// When it was written.
    pub(crate) written: Option<Minutes>,
}

impl Heat {
    /// Reads `heat`. What is absent or damaged is only a hint lost.
    pub(crate) async fn load(disk: &Arc<dyn Disk>, store_id: [u8; 16], limit: u64) -> Heat {
        match read(disk, limit).await {
            Some(file) if file.store_id == store_id => {
                let found = file.segments.into_iter().map(|segment| (segment.birth, segment.entries)).collect();
                Heat { found: Mutex::new(found), was_complete: file.clean, written: Some(file.now) }
            }
            _ => Heat::default(),
        }
    }

    /// What is known of a record, from the start: its uses, and when it was vouched for.
    pub(crate) fn of(&self, birth: SegmentNumber, ordinal: Ordinal, now: Minutes) -> (u8, Option<Minutes>) {
        let found = self.found.lock();
        let entry = found.get(&birth).and_then(|entries| entries.get(ordinal.0 as usize));
        let uses = entry.map_or(0, |entry| entry.uses);
        let vouched = if self.was_complete { entry.and_then(|entry| entry.vouched) } else { Some(now) };
        (uses, vouched)
    }

    /// The start is over.
    pub(crate) fn forget(&self) {
        let found = std::mem::take(&mut *self.found.lock());
        drop(found);
    }
}

async fn read(disk: &Arc<dyn Disk>, limit: u64) -> Option<HeatFile> {
    let file = disk.open(HEAT).await.ok()?;
    let length = file.len().await.ok().filter(|length| *length <= limit)?;
    let bytes = file.read_at(0, kura_disk::Buffer::unpooled(index(length))).await.ok()?;
    HeatFile::decode(&bytes).ok()
}

impl Inner {
    /// Before anything is taken: the mark of a clean stop goes, durably. With its file, since on a full disk there is no room to write another.
    ///
    /// # Errors
    /// `Io`: nothing may be written yet.
    pub(crate) async fn unmark_heat(&self) -> Result<(), Error> {
        if !self.heat.was_complete {
            return Ok(());
        }
        self.disk.unlink(HEAT).await.during("removing the mark of a clean stop")?;
        self.disk.sync_directory("", "unlink of the use counters").await.during("syncing the unlink of heat")
    }

    /// Writes `heat` anew, `clean` only as the last act of a clean stop.
    ///
    /// # Errors
    /// `Io`: the old one stays.
    pub(crate) async fn write_heat(&self, clean: bool) -> Result<(), Error> {
        let mut bytes = self.gather_heat(clean).encode();
        // With its successor it takes at most half of what is kept for all that is not segments.
        if bytes.len() as u64 > self.geometry().overhead() / 4 {
            tracing::debug!("use counters do not fit what is kept for them: not saved");
            bytes = self.no_heat().encode();
        }
        let temporary = format!("{TEMPORARY_PREFIX}{HEAT}");
        match self.disk.unlink(&temporary).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).during("clearing the way for heat");
            }
            _ => {}
        }
        let file = self.disk.create(&temporary).await.during("creating heat")?;
        file.write_at(0, vec![Bytes::from(bytes)]).await.during("writing heat")?;
        file.sync("use counters").await.during("syncing heat")?;
        self.disk.rename(&temporary, HEAT).await.during("naming heat")?;
        self.disk.sync_directory("", "name of the use counters").await.during("syncing heat's name")
    }

    /// Nothing is remembered, so all that is present will count as vouched for.
    fn no_heat(&self) -> HeatFile {
        let now = self.now();
        HeatFile { store_id: self.identity.store_id, clean: false, now, segments: Vec::new() }
    }

    fn gather_heat(&self, clean: bool) -> HeatFile {
        // In an order of its own: a simulation repeats from its seed.
        let mut by_slot: BTreeMap<u32, (Arc<Segment>, Vec<HeatEntry>)> = BTreeMap::new();
        for segment in self.ring.in_order() {
            by_slot.insert(segment.slot.0, (segment, Vec::new()));
        }
        self.index.for_each(|entry: &Entry| {
            let Some((_, entries)) = by_slot.get_mut(&entry.slot.0) else {
                return;
            };
            if entry.uses == 0 && entry.vouched.is_none() {
                return;
            }
            let at = entry.ordinal.0 as usize;
            if entries.len() <= at {
                entries.resize(at + 1, HeatEntry::default());
            }
            entries[at] = HeatEntry { uses: entry.uses, vouched: entry.vouched };
        });
        let segments = by_slot
            .into_values()
            .filter(|(_, entries)| !entries.is_empty())
            .map(|(segment, entries)| HeatSegment { birth: segment.birth, entries })
            .collect();
        HeatFile { clean, segments, ..self.no_heat() }
    }
}
