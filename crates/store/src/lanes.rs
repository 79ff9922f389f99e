//! Lanes: a tenant with a quota has segments of its own in the ring. What it stores beyond its quota costs the oldest of those, and nobody else's. Tenants
//! without one share the common lane.
//!
//! Whose segment it is stands nowhere on the disk: it follows from whose records it holds, so that no change of the quotas can contradict it.
//!
//! Why nothing older shows again, though the oldest in the ring is not always the next to go: all records of a key lie in one lane, and of a lane the oldest
//! goes first. Where a quota came or went that does not hold for what was there before. The newest of the segments in which records of several lanes may
//! lie side by side is remembered: up to it everything goes in order of the ring, and before anything that is newer ([`Lanes::is_mixed`]).
//!
//! Locks: its own, and under it none.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::error::Error;
use crate::geometry::Geometry;
use crate::key::{FingerprintSeed, NamespaceId};
use crate::segment::Segment;
use crate::types::SegmentNumber;

/// The most tenants that have a quota: each has a segment that is being written, and that is not full.
pub const MAX_QUOTAS: usize = 16;

/// Bytes of a tenant's uploads that are not committed yet are at most this share of its quota.
const ADMITTED_DENOMINATOR: u64 = 2;

/// A store has at least this many segments' worth of budget for each tenant with a quota, so that those that are being written leave room for what is there.
const SEGMENTS_A_QUOTA: u64 = 3;

/// The bytes of segments that a tenant may have, at their full size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// Whose.
    pub tenant: String,
    /// How many.
    pub bytes: u64,
}

/// Whose records a segment holds: one tenant's, by a hash of its name, or anybody's. Also the name of a lane: that of the tenant, or the common one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Owner(pub(crate) u64);

impl Owner {
    pub(crate) const ANYBODY: Owner = Owner(0);
}

pub(crate) struct Lanes {
    seed: FingerprintSeed,
    quotas: RwLock<Vec<(Owner, Quota)>>,
    mixed: AtomicU64,
    /// How often quotas or what is mixed have changed.
    changes: AtomicU64,
    /// Bytes of uploads that are not committed yet, by owner. Bounded by these.
    admitted: Arc<Mutex<BTreeMap<Owner, u64>>>,
}

/// Bytes of one owner on their way in; over when dropped.
#[must_use]
pub(crate) struct InLane {
    admitted: Arc<Mutex<BTreeMap<Owner, u64>>>,
    owner: Owner,
    bytes: u64,
}

impl Drop for InLane {
    fn drop(&mut self) {
        let mut admitted = self.admitted.lock();
        if let Some(of_owner) = admitted.get_mut(&self.owner) {
            *of_owner -= self.bytes;
            if *of_owner == 0 {
                admitted.remove(&self.owner);
            }
        }
    }
}

/// Checks quotas against what a store can keep to.
///
/// # Errors
/// `Quotas`: too many, too small, or two of one tenant.
pub(crate) fn check(quotas: &[Quota], geometry: &Geometry) -> Result<(), Error> {
    let segments = (geometry.budget() - geometry.overhead()) / geometry.segment();
    let most = usize::try_from(segments / SEGMENTS_A_QUOTA).unwrap_or(MAX_QUOTAS).min(MAX_QUOTAS);
    if quotas.len() > most {
        return Err(Error::Quotas(format!("at most {most} tenants of a store of this capacity have one")));
    }
    for (at, Quota { tenant, bytes }) in quotas.iter().enumerate() {
        let least = geometry.least_quota();
        if *bytes < least {
            let (found, least) = (bytes >> 20, least >> 20);
            return Err(Error::Quotas(format!(
                "{found} MiB for {tenant}, and {least} MiB is the least of this capacity"
            )));
        }
        if quotas[..at].iter().any(|other| other.tenant == *tenant) {
            return Err(Error::Quotas(format!("two for {tenant}")));
        }
    }
    Ok(())
}

impl Lanes {
    pub(crate) fn new(seed: FingerprintSeed, quotas: Vec<Quota>) -> Lanes {
        let lanes = Lanes {
            seed,
            quotas: RwLock::default(),
            mixed: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            admitted: Arc::default(),
        };
        lanes.replace(quotas);
        lanes
    }

    /// Only where the same tenants have one as before, or where nothing takes its place meanwhile: see [`crate::log::Log::begin_anew`].
    pub(crate) fn replace(&self, quotas: Vec<Quota>) {
        let quotas = quotas.into_iter().map(|quota| (self.owner(&quota.tenant), quota)).collect();
        *self.quotas.write() = quotas;
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether these are quotas of the same tenants as now.
    pub(crate) fn are_of(&self, quotas: &[Quota]) -> bool {
        let now = self.quotas.read();
        now.len() == quotas.len() && now.iter().all(|(_, old)| quotas.iter().any(|new| new.tenant == old.tenant))
    }

    /// The owner of a segment in which only this tenant has records.
    pub(crate) fn owner(&self, tenant: &str) -> Owner {
        Owner(self.seed.of_tenant(tenant))
    }

    /// The lane that a tenant's records go to.
    pub(crate) fn of_tenant(&self, tenant: &str) -> Owner {
        let quotas = self.quotas.read();
        let own = quotas.iter().find(|(_, quota)| quota.tenant == tenant);
        own.map_or(Owner::ANYBODY, |(owner, _)| *owner)
    }

    /// The lane of a segment.
    pub(crate) fn of(&self, segment: &Segment) -> Owner {
        self.lane(segment.owner())
    }

    /// The lane of segments of that owner.
    pub(crate) fn lane(&self, owner: Owner) -> Owner {
        if self.quotas.read().iter().any(|(other, _)| *other == owner) { owner } else { Owner::ANYBODY }
    }

    /// Who has how many bytes.
    pub(crate) fn quotas(&self) -> Vec<(Owner, Quota)> {
        self.quotas.read().clone()
    }

    pub(crate) fn quota(&self, lane: Owner) -> Option<u64> {
        self.quotas.read().iter().find(|(owner, _)| *owner == lane).map(|(_, quota)| quota.bytes)
    }

    /// Admits bytes that are on their way in, if their owner has no quota, or they are together with others of that owner at most half of it.
    pub(crate) fn try_admit(&self, owner: Owner, bytes: u64) -> Option<InLane> {
        let most = self.quota(owner).map_or(u64::MAX, |quota| quota / ADMITTED_DENOMINATOR);
        let mut admitted = self.admitted.lock();
        let of_owner = admitted.entry(owner).or_default();
        if most.saturating_sub(*of_owner) < bytes {
            return None;
        }
        *of_owner += bytes;
        Some(InLane { admitted: Arc::clone(&self.admitted), owner, bytes })
    }

    /// Whether there is more than one.
    pub(crate) fn are_several(&self) -> bool {
        !self.quotas.read().is_empty()
    }

    /// The lane of a segment that holds records of these, and whether they lie in it side by side with those of another.
    pub(crate) fn of_names(&self, names: &[NamespaceId]) -> (Owner, bool) {
        let mut lanes = names.iter().map(|name| self.of_tenant(name.tenant()));
        let first = lanes.next().unwrap_or(Owner::ANYBODY);
        if lanes.all(|lane| lane == first) { (first, false) } else { (Owner::ANYBODY, true) }
    }

    /// A segment of that number holds records of several lanes, or may.
    pub(crate) fn mix(&self, number: SegmentNumber) {
        self.mixed.fetch_max(number.0, Ordering::SeqCst);
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Whether a segment of that number goes in order of the ring, whatever its lane.
    pub(crate) fn is_mixed(&self, number: SegmentNumber) -> bool {
        number.0 <= self.mixed.load(Ordering::SeqCst)
    }

    /// Whether both may hold records of one key.
    pub(crate) fn may_share(&self, one: &Segment, other: &Segment) -> bool {
        !self.are_several()
            || self.is_mixed(one.number())
            || self.is_mixed(other.number())
            || self.of(one) == self.of(other)
    }

    /// The lane that is furthest over its share, given the bytes of each. `common` is the share of those who have no quota.
    pub(crate) fn furthest_over(&self, used: &BTreeMap<Owner, u64>, common: u64) -> Option<Owner> {
        let share = |lane: Owner| u128::from(self.quota(lane).unwrap_or(common).max(1));
        let worse = |(one, of_one): &(&Owner, &u64), (other, of_other): &(&Owner, &u64)| {
            (u128::from(**of_one) * share(**other)).cmp(&(u128::from(**of_other) * share(**one)))
        };
        used.iter().max_by(worse).map(|(lane, _)| *lane)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: u64 = 64 << 10;

    fn quota(tenant: &str, bytes: u64) -> Quota {
        Quota { tenant: tenant.to_owned(), bytes }
    }

    fn lanes() -> Lanes {
        Lanes::new(FingerprintSeed([7; 16]), vec![quota("small", 2 * SEGMENT), quota("large", 20 * SEGMENT)])
    }

    fn names(tenants: &[&str]) -> Vec<NamespaceId> {
        tenants.iter().map(|tenant| NamespaceId::new(tenant, "main").unwrap()).collect()
    }

    #[test]
    fn a_segment_is_of_whom_all_its_records_are() {
        let lanes = lanes();
        let (small, large) = (lanes.owner("small"), lanes.owner("large"));
        assert_ne!(small, large);
        assert_eq!(lanes.of_names(&names(&["small", "small"])), (small, false));
        assert_eq!(lanes.of_names(&names(&["other", "another"])), (Owner::ANYBODY, false));
        assert_eq!(lanes.of_names(&names(&["other", "large"])), (Owner::ANYBODY, true));
        assert_eq!(lanes.of_names(&[]), (Owner::ANYBODY, false));
    }

    #[test]
    fn who_is_furthest_over_is_so_by_their_share() {
        let lanes = lanes();
        let (small, large) = (lanes.owner("small"), lanes.owner("large"));
        let furthest = |of_small, of_large, of_all| {
            let used = [(small, of_small), (large, of_large), (Owner::ANYBODY, of_all)];
            lanes.furthest_over(&used.map(|(lane, segments)| (lane, segments * SEGMENT)).into(), 10 * SEGMENT)
        };
        assert_eq!(furthest(3, 21, 11), Some(small));
        assert_eq!(furthest(1, 21, 10), Some(large));
        assert_eq!(furthest(1, 21, 11), Some(Owner::ANYBODY));
        assert_eq!(lanes.furthest_over(&BTreeMap::new(), SEGMENT), None);
    }

    #[test]
    fn quotas_that_cannot_be_kept_to_are_refused() {
        let geometry = Geometry::standard(1 << 30);
        let says = |quotas: &[Quota]| check(quotas, &geometry).map_err(|error| error.to_string());
        assert_eq!(says(&[quota("a", 128 << 20), quota("b", 1 << 40)]), Ok(()));
        assert!(says(&[quota("a", (128 << 20) - 1)]).unwrap_err().contains("127 MiB for a, and 128 MiB"));
        assert!(says(&[quota("a", 1 << 30), quota("a", 1 << 31)]).unwrap_err().contains("two for a"));
        let few = Geometry::standard(136 << 20);
        assert!(check(&[quota("a", 1 << 30), quota("b", 1 << 30)], &few).is_ok());
        let three = [quota("a", 1 << 30), quota("b", 1 << 30), quota("c", 1 << 30)];
        assert!(check(&three, &few).unwrap_err().to_string().contains("at most 2"));
        let many: Vec<Quota> = (0..=MAX_QUOTAS).map(|at| quota(&at.to_string(), 1 << 30)).collect();
        assert!(says(&many).unwrap_err().contains("at most 16"));
    }
}
