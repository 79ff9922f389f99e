//! RECLAIM: empty one segment and give its bytes back: choose, rescue or promote, sync, evict.
//! Invariant: at each instant every record that is kept is durable in some segment.
//! To drop and to vouch are decided under one shard lock: what is vouched for while its neighbours move, moves too.
//! Not here: which records (`victim`), copying them (`rescue`), when, and for how many bytes (`keeper`).

use std::sync::Arc;

use crate::error::{During, Error};
use crate::index::{Entry, SegmentSlot};
use crate::log::Purpose;
use crate::publish::{Spot, record_bytes};
use crate::residents::Resident;
use crate::segment::{Segment, Writing};
use crate::store::Inner;
use crate::types::{Fingerprint, RecordType, SegmentNumber};
use crate::victim::{Candidate, Manner, choose};

/// How many rounds of rescue there are for what is vouched for meanwhile, before leases give way.
const RESCUE_ROUNDS: usize = 4;
const LAST_RESCUE: usize = RESCUE_ROUNDS - 1;

/// After this many records reclaim lets others run.
const RECORDS_BETWEEN_YIELDS: usize = 512;

/// A victim, as of which change of the lanes, and the oldest other segment in which its keys may lie.
pub(crate) type OldestSharing = ((SegmentSlot, SegmentNumber, u64), Option<SegmentNumber>);

/// What became of a record that was to be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dropped {
    Yes,
    /// The index does not lead to it any more.
    Gone,
    /// It has to be kept.
    Protected,
}

impl Inner {
    /// Whether a record of the key that the index does not know may be found by the next start.
    pub(crate) fn may_find_more(&self, key: Fingerprint) -> bool {
        self.doubtful.contains(key) || self.ring.oldest(Segment::may_hold_more).is_some()
    }

    /// Reclaims one segment. Returns the bytes that came back (a promotion: none).
    ///
    /// # Errors
    /// `Io`, or `NoPlace` for what must be kept: the segment stays as it is.
    pub(crate) async fn reclaim(self: &Arc<Self>, victim: &Arc<Segment>, manner: Manner) -> Result<u64, Error> {
        let lost_before = self.counters.lost_leases.get();
        let result = self.reclaim_any(victim, manner).await;
        let lost = self.counters.lost_leases.get() - lost_before;
        if lost > 0 {
            let shed_age = self.counters.shed_age();
            tracing::warn!(segment = %victim.number(), lost, ?shed_age, "leases could not be kept: the budget, or a tenant's quota, is too small for what clients were told is there");
        }
        result
    }

    async fn reclaim_any(self: &Arc<Self>, victim: &Arc<Segment>, manner: Manner) -> Result<u64, Error> {
        if victim.is_solo() && !victim.is_unfinished() {
            return self.reclaim_solo(victim, manner).await;
        }
        victim.condemn();
        self.quiesce(victim).await;
        if victim.is_solo() && victim.live() > 0 {
            // Its upload ended after all.
            victim.pardon();
            return Ok(0);
        }
        let result = self.empty(victim, manner).await;
        if result.is_err() {
            victim.pardon();
            self.take_back(victim).await;
        }
        result?;
        self.evict_emptied(victim).await
    }

    /// Unlinks a victim that nothing leads to any more. What was condemned while it was emptied goes first: an upload that failed may have left a record
    /// there that is older than one that was dropped here.
    async fn evict_emptied(&self, victim: &Arc<Segment>) -> Result<u64, Error> {
        let evicted = match self.evict_condemned().await {
            Ok(()) => self.evict_segment(victim).await,
            Err(error) => Err(error),
        };
        evicted.inspect_err(|_| self.condemned.lock().push(Arc::clone(victim)))
    }

    /// Waits until no commit runs in a condemned segment: none starts any more.
    async fn quiesce(&self, segment: &Segment) {
        loop {
            let listener = self.committed.listen();
            if segment.with_writing(|writing| writing.queue.is_running()) != Some(true) {
                return;
            }
            listener.await;
        }
    }

    /// Moves what has to be kept, drops the rest, and makes durable what has replaced something here.
    async fn empty(self: &Arc<Self>, victim: &Arc<Segment>, manner: Manner) -> Result<(), Error> {
        let residents = self.residents(victim).await;
        let chosen = self.choose_residents(victim, &residents, manner).await;
        let behind = victim.number();
        self.rescue(victim, &chosen, manner, Purpose::Copy { behind }).await?;
        // Tombstones last: what they end must not look alive when its turn comes.
        let (artifacts, tombstones) =
            residents.into_iter().partition(|resident| resident.record_type == RecordType::Artifact);
        self.drop_or_move(victim, artifacts, manner).await?;
        self.drop_or_move(victim, tombstones, manner).await?;
        self.sync_active("replacements before their segment is reclaimed").await
    }

    /// Takes records out of the index; what turns out to need keeping is moved after all.
    async fn drop_or_move(
        self: &Arc<Self>,
        victim: &Arc<Segment>,
        mut residents: Vec<Resident>,
        manner: Manner,
    ) -> Result<(), Error> {
        for round in 0..=RESCUE_ROUNDS {
            let patience = if round < LAST_RESCUE { manner } else { force(manner) };
            residents = self.drop_all(victim, residents, patience).await;
            if residents.is_empty() {
                return Ok(());
            }
            let behind = victim.number();
            let purpose = match round {
                0..LAST_RESCUE => Purpose::Copy { behind },
                _ => Purpose::LastCopy { behind },
            };
            if round < RESCUE_ROUNDS {
                self.rescue(victim, &residents, patience, purpose).await?;
            }
        }
        Err(Error::NoPlace)
    }

    async fn choose_residents(&self, victim: &Segment, residents: &[Resident], manner: Manner) -> Vec<Resident> {
        let mut live = Vec::new();
        let mut candidates = Vec::new();
        for (count, resident) in residents.iter().enumerate() {
            if count % RECORDS_BETWEEN_YIELDS == 0 {
                self.runtime.yield_now().await;
            }
            let entry = self.index.lock(&resident.fingerprint).get(&resident.fingerprint);
            let Some(entry) = entry.filter(|entry| Spot::of(entry) == resident.spot) else {
                continue;
            };
            if resident.namespace.is_some_and(|namespace| self.tombstones.ends(namespace, entry.version)) {
                continue;
            }
            let doomed = self.may_have_ended(resident, &entry);
            candidates.push(Candidate {
                bytes: record_bytes(&entry, victim.block),
                binding: self.is_binding(victim, &entry),
                leased: self.is_leased(&entry) && !doomed,
                uses: if doomed { 0 } else { entry.uses },
            });
            live.push(*resident);
        }
        choose(&candidates, victim.payload(), manner).into_iter().map(|at| live[at]).collect()
    }

    /// Whether dropping the record could let what it ended or replaced show again, now or after a restart.
    fn is_binding(&self, victim: &Segment, entry: &Entry) -> bool {
        let needed = || self.oldest_sharing(victim).is_some_and(|oldest| !oldest.is_above(entry.version));
        entry.shadowing
            || (entry.record_type != RecordType::Artifact && needed())
            || self.under_way.contains(entry.fingerprint)
            || self.doubtful.holds_older(entry.fingerprint, entry.version)
            || self.covers_something_active(victim, entry)
    }

    /// The number of the oldest other segment in which keys of `victim` may lie. It is looked for once for each victim, for it only rises, unless lanes
    /// are mixed meanwhile.
    fn oldest_sharing(&self, victim: &Segment) -> Option<SegmentNumber> {
        let (asked, mut known) = ((victim.slot, victim.number(), self.lanes.changes()), self.oldest_sharing.lock());
        match *known {
            Some((of, oldest)) if of == asked => oldest,
            _ => {
                let may_hold = |other: &Segment| other.slot != victim.slot && self.lanes.may_share(victim, other);
                let oldest = self.ring.oldest(may_hold).map(|oldest| oldest.number());
                *known = Some((asked, oldest));
                oldest
            }
        }
    }

    /// Whether a tombstone that failed, and may be on the disk, ends the record: it is not carried past that.
    fn may_have_ended(&self, resident: &Resident, entry: &Entry) -> bool {
        let namespace = resident.namespace.unwrap_or(resident.fingerprint);
        entry.record_type == RecordType::Artifact
            && self.tombstones.may_have_ended(resident.fingerprint, namespace, entry.version)
    }

    /// Whether an active segment, which is no victim though it may be the older one, holds an earlier record of the key.
    fn covers_something_active(&self, victim: &Segment, entry: &Entry) -> bool {
        let holds = |writing: &mut Writing| writing.entries.iter().any(|other| other.fingerprint == entry.fingerprint);
        let mut older = self.log.actives_before(victim.number()).into_iter();
        older.any(|active| self.lanes.may_share(victim, &active) && active.with_writing(holds) == Some(true))
    }

    /// Takes the records out of the index, but for those that must be kept, which are returned.
    async fn drop_all(&self, victim: &Segment, residents: Vec<Resident>, manner: Manner) -> Vec<Resident> {
        let mut kept = Vec::new();
        for (count, resident) in residents.into_iter().enumerate() {
            if count % RECORDS_BETWEEN_YIELDS == 0 {
                self.runtime.yield_now().await;
            }
            if self.drop_resident(victim, &resident, manner) == Dropped::Protected {
                kept.push(resident);
            }
        }
        kept
    }

    fn drop_resident(&self, victim: &Segment, resident: &Resident, manner: Manner) -> Dropped {
        let mut shard = self.index.lock(&resident.fingerprint);
        let entry = shard.get(&resident.fingerprint).filter(|entry| Spot::of(entry) == resident.spot);
        let Some(entry) = entry else {
            return Dropped::Gone;
        };
        let ended = resident.namespace.is_some_and(|namespace| self.tombstones.ends(namespace, entry.version));
        let leased = !ended && self.is_leased(&entry) && !self.may_have_ended(resident, &entry);
        if !ended && self.is_protected(victim, &entry, leased, manner) {
            return Dropped::Protected;
        }
        victim.hide();
        shard.remove(&resident.fingerprint);
        self.forget_bytes(&entry);
        tracing::trace!(key = %entry.fingerprint, version = %entry.version, place = %victim.place(entry.offset), "drop");
        drop(shard);
        if entry.record_type == RecordType::NamespaceTombstone {
            self.tombstones.forget_clean(entry.fingerprint, entry.version);
        }
        if !ended && entry.record_type == RecordType::Artifact {
            self.counters.shed(&entry, self.runtime.unix_millis(), leased);
        }
        Dropped::Yes
    }

    fn is_protected(&self, victim: &Segment, entry: &Entry, leased: bool, manner: Manner) -> bool {
        match manner {
            Manner::Compact => true,
            Manner::Rescue => leased || self.is_binding(victim, entry),
            Manner::Force | Manner::Shrink => self.is_binding(victim, entry),
        }
    }

    async fn reclaim_solo(self: &Arc<Self>, victim: &Arc<Segment>, manner: Manner) -> Result<u64, Error> {
        let residents = if victim.is_unread() { Vec::new() } else { self.residents(victim).await };
        for resident in residents {
            let used = matches!(manner, Manner::Rescue | Manner::Force) && self.uses(&resident) > 0;
            if used || self.drop_resident(victim, &resident, manner) == Dropped::Protected {
                if self.promote(victim, &resident).await? {
                    return Ok(0);
                }
                if self.drop_resident(victim, &resident, force(manner)) == Dropped::Protected {
                    self.bury_solo(victim, &resident).await?;
                }
            }
        }
        if victim.live() > 0 {
            return Ok(0);
        }
        if !victim.condemn() {
            // Overwritten in this moment: it is in the keeper's hands already.
            return Ok(0);
        }
        self.evict_emptied(victim).await
    }

    /// What cannot be promoted, for a tombstone that failed may have ended it, nor dropped, gives way to a tombstone of its own.
    async fn bury_solo(self: &Arc<Self>, victim: &Arc<Segment>, resident: &Resident) -> Result<(), Error> {
        let namespace = resident.namespace.unwrap_or(resident.fingerprint);
        if self.tombstones.may_have_ended(resident.fingerprint, namespace, resident.spot.version) {
            // The oldest there is: nothing that its tombstone ends lies between.
            let purpose = Purpose::LastCopy { behind: SegmentNumber(0) };
            self.rescue(victim, std::slice::from_ref(resident), Manner::Force, purpose).await?;
        }
        Ok(())
    }

    fn uses(&self, resident: &Resident) -> u8 {
        let entry = self.index.lock(&resident.fingerprint).get(&resident.fingerprint);
        entry.filter(|entry| Spot::of(entry) == resident.spot).map_or(0, |entry| entry.uses)
    }

    /// Gives a solo segment the newest place in the ring: no bytes move. Returns false if its record is not the live one any more.
    async fn promote(self: &Arc<Self>, victim: &Arc<Segment>, resident: &Resident) -> Result<bool, Error> {
        // Open while it has two names, so that readers need none.
        let handle = self.open(victim).await?;
        let namespace = match resident.namespace {
            Some(namespace) => namespace,
            None => match self.namespace_of(&handle, victim, resident).await {
                Err(error @ Error::Corrupt { .. }) => {
                    self.drop_damaged(&resident.fingerprint, resident.spot, &error);
                    return Ok(false);
                }
                namespace => namespace?,
            },
        };
        if !self.renumber_if_live(victim, resident, namespace) {
            return Ok(false);
        }
        self.rename_after_number(victim).await.during("promoting a segment")?;
        self.files.keep(&handle);
        self.counters.promotions.add(1);
        Ok(true)
    }

    /// Checked live and given its place in one step.
    fn renumber_if_live(&self, victim: &Arc<Segment>, resident: &Resident, namespace: Fingerprint) -> bool {
        let mut shard = self.index.lock(&resident.fingerprint);
        let entry = shard.get(&resident.fingerprint).filter(|entry| Spot::of(entry) == resident.spot);
        let Some(entry) = entry else { return false };
        if self.tombstones.will_end(resident.fingerprint, namespace, entry.version) {
            return false;
        }
        self.ring.renumber(victim, self.versions.next_number());
        shard.update(&resident.fingerprint, |entry| {
            entry.uses = 0;
            entry.shadowing = false;
        });
        true
    }
}

fn force(manner: Manner) -> Manner {
    match manner {
        Manner::Rescue => Manner::Force,
        other => other,
    }
}
