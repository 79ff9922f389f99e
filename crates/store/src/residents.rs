//! What a segment holds, as reclaim walks it: from memory while it is written, from its footer once sealed, and from the index
//! where the footer cannot be read.

use std::sync::Arc;

use crate::error::Error;
use crate::files::Handle;
use crate::format::Damage;
use crate::format::footer::{Footer, FooterEntry, LOCATOR_LEN, Locator};
use crate::format::record::{Head, Seal};
use crate::key::NamespaceId;
use crate::publish::Spot;
use crate::segment::Segment;
use crate::store::Inner;
use crate::types::{Fingerprint, Offset, Ordinal, RecordType};

/// One committed record of a segment, live or not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resident {
    pub(crate) fingerprint: Fingerprint,
    /// Its namespace, where the footer told it.
    pub(crate) namespace: Option<Fingerprint>,
    pub(crate) spot: Spot,
    pub(crate) ordinal: Ordinal,
    pub(crate) head_len: u64,
    pub(crate) stored_len: u64,
    pub(crate) record_type: RecordType,
}

impl Inner {
    pub(crate) async fn residents(&self, segment: &Arc<Segment>) -> Vec<Resident> {
        let in_memory = segment.with_writing(|writing| (writing.entries.clone(), writing.namespaces.names()));
        if let Some((entries, names)) = in_memory {
            return self.as_residents(segment, &entries, &names);
        }
        match self.read_footer(segment).await {
            Ok(footer) => self.as_residents(segment, &footer.entries, &footer.namespaces),
            Err(error) => {
                tracing::warn!(segment = %segment.number(), %error, "its footer cannot be read: asking the index what it holds");
                self.residents_by_index(segment)
            }
        }
    }

    fn as_residents(&self, segment: &Segment, entries: &[FooterEntry], names: &[NamespaceId]) -> Vec<Resident> {
        let namespaces: Vec<Fingerprint> = names.iter().map(|name| self.identity.seed.of_namespace_id(name)).collect();
        let resident = |(ordinal, entry): (u32, &FooterEntry)| Resident {
            fingerprint: entry.fingerprint,
            namespace: namespaces.get(entry.namespace as usize).copied(),
            spot: Spot { slot: segment.slot, offset: entry.offset, version: entry.version },
            ordinal: Ordinal(ordinal),
            head_len: entry.head_len,
            stored_len: entry.stored_len,
            record_type: entry.record_type,
        };
        (0..).zip(entries).map(resident).collect()
    }

    async fn read_footer(&self, segment: &Arc<Segment>) -> Result<Footer, Error> {
        let place = segment.place(Offset(segment.length()));
        let damaged = |what| Error::Corrupt { segment: place.segment, offset: place.offset, what };
        let handle = self.open(segment).await?;
        let length = segment.length();
        let locator = self.fetch(&handle, place, length - LOCATOR_LEN, LOCATOR_LEN).await?;
        let locator = Locator::decode(&locator).map_err(|damage| damaged(damage.0))?;
        if locator.len > length {
            return Err(damaged("a footer longer than its segment"));
        }
        let footer = self.fetch(&handle, place, length - locator.len, locator.len).await?;
        Footer::decode(&footer, &self.identity.secret).map_err(|damage| damaged(damage.0))
    }

    /// The namespace of a record whose footer could not tell it.
    pub(crate) async fn namespace_of(
        &self,
        handle: &Handle,
        segment: &Segment,
        resident: &Resident,
    ) -> Result<Fingerprint, Error> {
        let offset = resident.spot.offset;
        let place = segment.place(offset);
        let seal = Seal { secret: &self.identity.secret, birth: segment.birth, offset };
        let head = self.fetch(handle, place, offset.0, resident.head_len).await?;
        let corrupt = |Damage(what)| Error::Corrupt { segment: place.segment, offset, what };
        let (head, _) = Head::decode(&head, &seal).map_err(corrupt)?;
        Ok(self.namespace_fingerprint(&head.key))
    }

    fn residents_by_index(&self, segment: &Segment) -> Vec<Resident> {
        let mut residents = Vec::new();
        self.index.for_each(|entry| {
            if entry.slot == segment.slot {
                residents.push(Resident {
                    fingerprint: entry.fingerprint,
                    namespace: None,
                    spot: Spot::of(entry),
                    ordinal: entry.ordinal,
                    head_len: entry.head_len,
                    stored_len: entry.stored_len.0,
                    record_type: entry.record_type,
                });
            }
        });
        residents
    }
}
