//! Dropping what is damaged in a segment of a stopped directory, and nothing else.
//! Segments are written once, so the file is not changed: another one takes its name, in one rename, once it is written, synced and checked. Number,
//! birth number, offsets and versions are those of before, so all that a restart goes by stays as it was.
//! In place of a damaged record stands a tombstone of its version: what the record had replaced, and may still be on the disk, stays ended. Of a
//! segment without a footer that holds, the records that hold are kept, as a start would, and it is sealed.
//! Only what was named before is dropped: where a device that errs now and then loses more meanwhile, the file stays as it was.
//! A crash on the way leaves the old file, or the new one, and a temporary name that the next start removes.
//! Not here: what is damaged (`stopped/examine`), why so (`docs/decisions/`).

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use kura_disk::File;

use crate::create::{segment_path, temporary_path};
use crate::error::{During, Error};
use crate::format::SEGMENTS_DIRECTORY;
use crate::format::footer::{Footer, FooterEntry};
use crate::format::record::{Head, Seal, Trailer};
use crate::format::segment::{SEGMENT_HEADER_LEN, SegmentHeader, SegmentKind};
use crate::key::{NamespaceId, RecordKey};
use crate::look::{Looked, OpenFile, Sort, kind};
use crate::records::{Frame, Records, WINDOW};
use crate::retire::EVERY_KEY;
use crate::scan::scan;
use crate::types::{Encoding, Kind, Offset, Ordinal, RecordType};

use super::examine::{Device, said};
use super::{Depth, Examined, Seen, SegmentFile, Stopped};

impl Stopped {
    /// Puts a file without the damage that was found in the place of one that has some. Returns how many records were dropped. Needs room for the records that hold,
    /// until the old file has gone.
    ///
    /// # Errors
    /// `Io` (`StorageFull` among them), `NewerFormat`, `Invalid` where more does not hold than was found, `Corrupt` where the new file does not
    /// hold either: the old one stays as it is.
    pub async fn repair(&self, segment: &SegmentFile, found: &Examined) -> Result<u64, Error> {
        let temporary = temporary_path(segment.number);
        let written = self.write_replacement(segment, found, &temporary).await;
        if written.is_err() {
            // What it cannot remove the next start does.
            let _ = self.disk.unlink(&temporary).await;
        }
        let dropped = written?;
        self.disk.rename(&temporary, &segment_path(segment.number)).await.during("naming a repaired segment")?;
        let named = self.disk.sync_directory(SEGMENTS_DIRECTORY, "name of a repaired segment").await;
        named.during("syncing a repaired segment's name")?;
        Ok(dropped)
    }

    async fn write_replacement(&self, segment: &SegmentFile, found: &Examined, temporary: &str) -> Result<u64, Error> {
        let looker = self.looker();
        let looked = looker.look(&segment_path(segment.number), segment.length).await?;
        let frame = looked.frame(&looker, segment.number);
        match self.disk.unlink(temporary).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).during("clearing the way for a repaired segment");
            }
            _ => {}
        }
        let file = self.disk.create(temporary).await.during("creating a repaired segment")?;
        let device = self.device(&looked, frame.birth);
        let mut replacement = Replacement { stopped: self, old: Records::new(device, frame), frame, file, dropped: 0 };
        let footer = match &looked.sort {
            Sort::Foreign(why) => return Err(Error::Invalid(why)),
            Sort::Sealed(footer) => replacement.carry_over_listed(footer, &found.damaged_at).await?,
            Sort::Unsealed { .. } => {
                let source = OpenFile { file: &looked.file, buffers: &self.buffers };
                let scanned = scan(source, frame, self.runtime.as_ref()).await?;
                if (scanned.records.len() as u64) < found.artifacts + found.tombstones {
                    return Err(MORE_THAN_WAS_NAMED);
                }
                let footer = scanned.into_footer(self.identity.store_id, frame.birth);
                replacement.carry_over_found(&footer).await?;
                footer
            }
        };
        let length = replacement.finish(&looked, &footer).await?;
        let made = SegmentFile { length, ..*segment };
        let mut bad = None;
        let mut see = |seen: Seen<'_>| {
            if let Seen::Damaged(at, what) = seen {
                bad = Some((at, what));
            }
        };
        self.examine_file(temporary, &made, Depth::Bodies, &mut see).await?;
        match bad {
            Some((offset, what)) => Err(Error::Corrupt { segment: segment.number, offset, what }),
            None => Ok(replacement.dropped),
        }
    }
}

const MORE_THAN_WAS_NAMED: Error = Error::Invalid("more of it does not hold than a moment ago: look at the device");

/// The file that is to take the place of another.
struct Replacement<'a> {
    stopped: &'a Stopped,
    old: Records<'a, Device<'a>>,
    frame: Frame<'a>,
    file: Arc<dyn File>,
    dropped: u64,
}

impl Replacement<'_> {
    /// Carries over what a footer lists, and puts tombstones where that does not hold. Returns the footer that lists both.
    async fn carry_over_listed(&mut self, footer: &Footer, named: &[Offset]) -> Result<Footer, Error> {
        let mut listed: Vec<(usize, FooterEntry)> = footer.entries.iter().copied().enumerate().collect();
        listed.sort_unstable_by_key(|(_, entry)| entry.offset);
        let mut entries = footer.entries.clone();
        for (position, entry) in listed {
            match said(self.old.at(entry.offset, Some(entry.stored_len)).await, &entry)? {
                Ok(_) => self.copy(&entry).await?,
                Err(_) if !named.contains(&entry.offset) => return Err(MORE_THAN_WAS_NAMED),
                Err(_) => {
                    let namespace = footer.namespaces.get(entry.namespace as usize);
                    let namespace = namespace.ok_or(Error::Invalid("a footer that names no namespace"))?;
                    entries[position] = self.write_tombstone(&entry, namespace, position).await?;
                    self.dropped += 1;
                }
            }
        }
        Ok(Footer { entries, ..footer.clone() })
    }

    async fn carry_over_found(&mut self, footer: &Footer) -> Result<(), Error> {
        let mut entries = footer.entries.clone();
        entries.sort_unstable_by_key(|entry| entry.offset);
        for entry in &entries {
            self.copy(entry).await?;
        }
        Ok(())
    }

    async fn copy(&mut self, entry: &FooterEntry) -> Result<(), Error> {
        let end = entry.end(self.frame.block);
        let mut at = entry.offset.0;
        while at < end {
            let piece = (end - at).min(WINDOW);
            let bytes = self.old.bytes(at, piece).await?;
            self.write(at, bytes).await?;
            at += piece;
        }
        Ok(())
    }

    /// Ends what the record of `entry` had replaced, at its place and with its version. It fits: the record had a head with the same names, and more.
    async fn write_tombstone(
        &mut self,
        entry: &FooterEntry,
        namespace: &NamespaceId,
        position: usize,
    ) -> Result<FooterEntry, Error> {
        let record_type = match entry.record_type {
            RecordType::NamespaceTombstone => RecordType::NamespaceTombstone,
            RecordType::Artifact | RecordType::KeyTombstone => RecordType::KeyTombstone,
        };
        let key = RecordKey::new(Kind(0), namespace.tenant(), namespace.namespace(), EVERY_KEY);
        let key = key.map_err(|_| Error::Invalid("a namespace's name is too long"))?;
        let head = Head::tombstone(record_type, key, entry.fingerprint);
        let secret = self.frame.secret;
        let (mut bytes, hash) = head.encode(&Seal { secret, birth: self.frame.birth, offset: entry.offset });
        let trailer = Trailer {
            crcs: Vec::new(),
            stored_len: 0,
            logical_len: 0,
            sha256: None,
            version: entry.version,
            ordinal: Ordinal(u32::try_from(position).unwrap_or(u32::MAX)),
            copy: entry.copy,
        };
        bytes.extend(trailer.encode(hash, secret));
        let tombstone = FooterEntry {
            head_len: head.encoded_len(),
            stored_len: 0,
            logical_len: 0,
            record_type,
            encoding: Encoding::Identity,
            ..*entry
        };
        if tombstone.end(self.frame.block) > entry.end(self.frame.block) {
            return Err(Error::NoPlace);
        }
        self.write(entry.offset.0, bytes.into()).await?;
        Ok(tombstone)
    }

    /// Writes header and footer, and makes all of it durable. Returns the length of the file: that of a solo follows its record, of which little may
    /// be left.
    async fn finish(&self, looked: &Looked, footer: &Footer) -> Result<u64, Error> {
        let kind = kind(looked.header.as_ref(), footer);
        let encoded = footer.encode(self.frame.secret);
        let records_end = footer.entries.iter().map(|entry| entry.end(self.frame.block)).max();
        let records_end = records_end.unwrap_or(SEGMENT_HEADER_LEN);
        let length = match kind {
            SegmentKind::Solo => records_end + encoded.len() as u64,
            SegmentKind::Shared => self.frame.length,
        };
        let header = looked.header.clone().unwrap_or_else(|| SegmentHeader {
            store_id: footer.store_id,
            birth: self.frame.birth,
            kind,
            lane: 0,
            capacity: length,
            block: self.frame.block,
            created_unix_millis: self.stopped.runtime.unix_millis(),
        });
        let footer_at =
            length.checked_sub(encoded.len() as u64).filter(|at| *at >= records_end).ok_or(Error::NoPlace)?;
        self.write(0, header.encode().into()).await?;
        self.write(footer_at, encoded.into()).await?;
        self.file.sync("a repaired segment").await.during("syncing a repaired segment")?;
        Ok(length)
    }

    async fn write(&self, at: u64, bytes: Bytes) -> Result<(), Error> {
        self.file.write_at(at, vec![bytes]).await.during("writing a repaired segment")
    }
}
