//! LIST: which keys of one namespace are there. The index knows fingerprints only, so the heads of its records are read, segment after segment.
//! Vouches for nothing, and counts as no use.
//! Promise: what is there from the first call to the last is seen, at least once, also where reclaim moves it meanwhile. Segments are gone through from
//! the oldest on and records move to newer ones, so what has moved is still to come; those that were added meanwhile are gone through as well. The
//! ways back are from a copy whose segment failed to its original, and to the only place that there was: where that happened, all are gone through
//! again.
//! Memory: what one segment's footer lists.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::stream::{self, StreamExt};

use crate::error::Error;
use crate::files::Handle;
use crate::format::Damage;
use crate::format::record::{Head, Seal};
use crate::index::Entry;
use crate::key::{NamespaceId, RecordKey};
use crate::probe::Presence;
use crate::publish::Spot;
use crate::residents::Resident;
use crate::segment::Segment;
use crate::store::{Inner, Store};
use crate::types::{Fingerprint, Kind, RecordType};

/// How many heads are read at a time.
const HEADS_IN_FLIGHT: usize = 16;

/// Other tasks run after this many records of other namespaces.
const RECORDS_BETWEEN_YIELDS: usize = 4096;

impl Store {
    /// Visits the keys of that kind in that namespace, in no order, some perhaps more than once.
    ///
    /// # Errors
    /// `Io` when the device fails, `Busy` when too many files are open, `Closed`. What is damaged is left out.
    pub async fn visit_keys(
        &self,
        namespace: &NamespaceId,
        kind: Kind,
        mut visit: impl FnMut(&[u8]) + Send,
    ) -> Result<(), Error> {
        let inner = &self.inner;
        let wanted = inner.identity.seed.of_namespace_id(namespace);
        let mut seen = HashSet::new();
        let mut taken_back = inner.taken_back.load(Ordering::Relaxed);
        loop {
            let unseen = inner.ring.in_order().into_iter().filter(|segment| seen.insert(segment.number()));
            let segments: Vec<_> = unseen.collect();
            if segments.is_empty() {
                // A record's entry was looked up under the lock that it was taken back under.
                let now = inner.taken_back.load(Ordering::Relaxed);
                if now == taken_back {
                    return Ok(());
                }
                taken_back = now;
                seen.clear();
                continue;
            }
            for segment in segments {
                if inner.is_closed() {
                    return Err(Error::Closed);
                }
                match inner.visit_segment(&segment, namespace, wanted, kind, &mut visit).await {
                    // What was still there has moved to one that is to come.
                    Ok(()) | Err(Error::Evicted) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// What [`Store::contains`] says, and vouches for nothing.
    #[must_use]
    pub fn peek(&self, key: &RecordKey) -> Option<Presence> {
        let inner = &self.inner;
        let fingerprint = inner.identity.seed.of(key);
        let entry = inner.index.lock(&fingerprint).get(&fingerprint)?;
        let is_there = inner.is_there(&entry, || inner.namespace_fingerprint(key));
        let Entry { version, logical_len, encoding, .. } = entry;
        is_there.then_some(Presence { logical_len: logical_len.0, version, encoding })
    }
}

impl Inner {
    async fn visit_segment(
        &self,
        segment: &Arc<Segment>,
        namespace: &NamespaceId,
        wanted: Fingerprint,
        kind: Kind,
        visit: &mut (impl FnMut(&[u8]) + Send),
    ) -> Result<(), Error> {
        if segment.is_unread() {
            return Ok(());
        }
        let mut live = Vec::new();
        for (at, resident) in self.residents(segment).await.into_iter().enumerate() {
            if at % RECORDS_BETWEEN_YIELDS == 0 {
                self.runtime.yield_now().await;
            }
            if resident.record_type == RecordType::Artifact
                && resident.namespace.is_none_or(|namespace| namespace == wanted)
                && self.is_found(&resident, wanted)
            {
                live.push(resident);
            }
        }
        if live.is_empty() {
            return Ok(());
        }
        let handle = self.open(segment).await?;
        let read = |resident| self.key_of(&handle, segment, resident);
        let mut keys = stream::iter(live).map(read).buffer_unordered(HEADS_IN_FLIGHT);
        while let Some(key) = keys.next().await {
            if let Some(key) = key?
                && key.kind() == kind
                && (key.tenant(), key.namespace()) == (namespace.tenant(), namespace.namespace())
            {
                visit(key.key());
            }
        }
        Ok(())
    }

    fn is_found(&self, resident: &Resident, namespace: Fingerprint) -> bool {
        let entry = self.index.lock(&resident.fingerprint).get(&resident.fingerprint);
        entry.is_some_and(|entry| Spot::of(&entry) == resident.spot && self.is_there(&entry, || namespace))
    }

    /// The key of a record; nothing, where its head cannot be read back.
    async fn key_of(&self, handle: &Handle, segment: &Segment, resident: Resident) -> Result<Option<RecordKey>, Error> {
        let offset = resident.spot.offset;
        let seal = Seal { secret: &self.identity.secret, birth: segment.birth, offset };
        match self.fetch(handle, segment.place(offset), offset.0, resident.head_len).await {
            Ok(head) => match Head::decode(&head, &seal) {
                Ok((head, _)) => Ok(Some(head.key)),
                Err(Damage(what)) => {
                    tracing::warn!(place = %segment.place(offset), what, "left out of a list: its head is damaged");
                    Ok(None)
                }
            },
            Err(Error::Corrupt { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
