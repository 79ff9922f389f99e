//! Memory that requests take, over all connections, beside what the cache below takes: one account for all of it.
//! Invariant: what requests hold is at most what the cache leaves of the limit; who would exceed it is told to come back. The nearer the limit, the
//! fewer classes get some: uploads are told first, answers last.
//! Fairness: in the upper half, each of the tenants that hold some may hold an equal part of three quarters of it, so that there is always room for
//! one that comes new.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use kura_cache::Tenant;
use parking_lot::Mutex;

/// What a request takes beside its body, in bytes: its task, its head, and its part of the connection's buffers.
pub(crate) const REQUEST: u64 = 8 << 10;

/// What a connection takes beside its requests, in bytes. What TLS buffers is not counted.
pub(crate) const CONNECTION: u64 = 32 << 10;

/// Bodies below this many bytes are not counted: what each request is counted with covers them.
const TOO_SMALL_TO_COUNT: u64 = 4 << 10;

/// What memory is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// What a client did not ask for just now.
    Background,
    /// The body of an upload on its way to the disk.
    Upload,
    /// A request, and what it has to be read whole for.
    Request,
    /// A body on its way out: it gives back soonest, and a build waits for it.
    Answer,
}

impl Class {
    /// How much of all that requests may hold may be held once it has got some, in eighths.
    const fn eighths(self) -> u64 {
        match self {
            Class::Background => 4,
            Class::Upload => 6,
            Class::Request => 7,
            Class::Answer => 8,
        }
    }
}

/// What requests are accounted for against.
pub struct Memory {
    limit: u64,
    held: AtomicU64,
    /// Of that, what connections and requests take beside their bodies.
    overhead: AtomicU64,
    refused: AtomicU64,
    /// Of the tenants that hold some.
    tenants: Mutex<HashMap<Tenant, u64>>,
    /// Bytes that the cache takes of the same limit.
    beside: OnceLock<Box<dyn Fn() -> u64 + Send + Sync>>,
}

impl Memory {
    /// At most `limit` bytes at a time.
    #[must_use]
    pub fn new(limit: u64) -> Arc<Memory> {
        Arc::new(Memory {
            limit,
            held: AtomicU64::new(0),
            overhead: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            tenants: Mutex::default(),
            beside: OnceLock::new(),
        })
    }

    /// From here on, what `bytes` tells is taken from the same limit. Only the first call counts.
    pub(crate) fn share_with(&self, bytes: impl Fn() -> u64 + Send + Sync + 'static) {
        // The server is given one cache only.
        let _ = self.beside.set(Box::new(bytes));
    }

    /// Takes what a connection or a request takes beside its bodies.
    pub(crate) fn enter(self: &Arc<Self>, bytes: u64) -> Option<Held> {
        self.take(Class::Request, bytes)?;
        self.overhead.fetch_add(bytes, Ordering::Relaxed);
        Some(Held(Some(Holding { memory: Arc::clone(self), bytes, of: Of::Overhead })))
    }

    /// Takes `bytes` for nobody in particular until they are dropped; `None` where that would exceed what this class may hold.
    #[must_use]
    pub fn hold(self: &Arc<Self>, class: Class, bytes: u64) -> Option<Held> {
        if bytes < TOO_SMALL_TO_COUNT {
            return Some(Held(None));
        }
        self.take(class, bytes)?;
        Some(Held(Some(Holding { memory: Arc::clone(self), bytes, of: Of::Anybody })))
    }

    /// The same for a tenant; `None` also where it has its part.
    #[must_use]
    pub fn hold_for(self: &Arc<Self>, tenant: &Tenant, class: Class, bytes: u64) -> Option<Held> {
        if bytes < TOO_SMALL_TO_COUNT {
            return Some(Held(None));
        }
        let before = self.take(class, bytes)?;
        if !self.book(tenant, class, bytes, before) {
            self.held.fetch_sub(bytes, Ordering::Relaxed);
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(Held(Some(Holding { memory: Arc::clone(self), bytes, of: Of::Tenant(tenant.clone()) })))
    }

    /// What was held before.
    fn take(&self, class: Class, bytes: u64) -> Option<u64> {
        let most = self.most(class);
        let room = |held: u64| held.checked_add(bytes).filter(|sum| *sum <= most);
        let taken = self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room);
        if taken.is_err() {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        taken.ok()
    }

    /// Puts it down to the tenant, unless it has its part of what the class may hold.
    fn book(&self, tenant: &Tenant, class: Class, bytes: u64, before: u64) -> bool {
        let most = self.most(class);
        let mut tenants = self.tenants.lock();
        let has = tenants.get(tenant).copied().unwrap_or_default();
        let sharing = tenants.len() as u64 + u64::from(has == 0);
        if before + bytes > most / 2 && has + bytes > most / 4 * 3 / sharing {
            return false;
        }
        match tenants.get_mut(tenant) {
            Some(has) => *has += bytes,
            None => drop(tenants.insert(tenant.clone(), bytes)),
        }
        true
    }

    fn give_back(&self, tenant: &Tenant, bytes: u64) {
        let mut tenants = self.tenants.lock();
        if let Some(has) = tenants.get_mut(tenant) {
            *has -= bytes;
            if *has == 0 {
                tenants.remove(tenant);
            }
        }
    }

    /// Bytes that may be held once this class has got some.
    fn most(&self, class: Class) -> u64 {
        self.limit.saturating_sub(self.beside()) / 8 * class.eighths()
    }

    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Of that, what connections and requests take beside their bodies.
    pub(crate) fn overhead(&self) -> u64 {
        self.overhead.load(Ordering::Relaxed)
    }

    /// What the cache takes.
    pub(crate) fn beside(&self) -> u64 {
        self.beside.get().map_or(0, |bytes| bytes())
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// How often somebody was told to come back.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

/// Gives the bytes back when dropped.
#[must_use]
#[derive(Default)]
pub struct Held(Option<Holding>);

struct Holding {
    memory: Arc<Memory>,
    bytes: u64,
    of: Of,
}

/// What some bytes are put down to.
enum Of {
    Overhead,
    Anybody,
    Tenant(Tenant),
}

impl Held {
    /// Whether it stands for no bytes at all.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.0.is_none()
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.memory.held.fetch_sub(self.bytes, Ordering::Relaxed);
        match &self.of {
            Of::Overhead => drop(self.memory.overhead.fetch_sub(self.bytes, Ordering::Relaxed)),
            Of::Anybody => {}
            Of::Tenant(tenant) => self.memory.give_back(tenant, self.bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tenant(name: &str) -> Tenant {
        Tenant::parse(name.to_owned()).unwrap()
    }

    #[test]
    fn what_would_exceed_the_limit_is_refused_until_some_is_given_back() {
        let memory = Memory::new(800_000);
        let first = memory.hold(Class::Answer, 500_000).unwrap();
        assert!(memory.hold(Class::Answer, 500_000).is_none());
        assert!(memory.hold(Class::Answer, u64::MAX).is_none());
        let second = memory.hold(Class::Answer, 300_000).unwrap();
        assert_eq!((memory.held(), memory.refused()), (800_000, 2));
        drop(first);
        assert!(memory.hold(Class::Answer, 500_000).is_some());
        drop(second);
        assert_eq!(memory.held(), 0);
    }

    #[test]
    fn uploads_are_told_to_come_back_before_requests_and_answers_are() {
        let memory = Memory::new(80_000);
        let gets = |class| memory.hold(class, 5_000).is_some();
        for (held, expected) in [
            (30_000, [true, true, true, true]),
            (40_000, [false, true, true, true]),
            (60_000, [false, false, true, true]),
            (70_000, [false, false, false, true]),
            (80_000, [false; 4]),
        ] {
            let _held = memory.hold(Class::Answer, held).unwrap();
            let got = [Class::Background, Class::Upload, Class::Request, Class::Answer].map(gets);
            assert_eq!(got, expected, "{held} held");
        }
    }

    #[test]
    fn what_the_cache_takes_is_taken_from_requests() {
        let memory = Memory::new(80_000);
        let index = Arc::new(AtomicU64::new(0));
        let bytes = Arc::clone(&index);
        memory.share_with(move || bytes.load(Ordering::Relaxed));
        assert!(memory.hold(Class::Answer, 80_000).is_some());
        index.store(40_000, Ordering::Relaxed);
        assert!(memory.hold(Class::Answer, 40_001).is_none() && memory.hold(Class::Answer, 40_000).is_some());
        index.store(90_000, Ordering::Relaxed);
        assert!(memory.hold(Class::Answer, 5_000).is_none());
    }

    #[test]
    fn one_tenant_leaves_room_for_another_and_then_each_has_its_part() {
        let memory = Memory::new(800_000);
        let (busy, other) = (tenant("busy"), tenant("other"));
        let hold = |of, bytes| memory.hold_for(of, Class::Answer, bytes);
        let first = hold(&busy, 600_000).unwrap();
        assert!(hold(&busy, 10_000).is_none(), "a quarter is left for who comes new");
        let second = hold(&other, 200_000).unwrap();
        drop(first);
        let _first = hold(&busy, 300_000).unwrap();
        assert!(hold(&busy, 10_000).is_none(), "it has its part");
        let third = hold(&other, 100_000).unwrap();
        assert!(hold(&other, 10_000).is_none(), "so has the other");
        drop((second, third));
        assert!(hold(&busy, 300_000).is_some(), "it is alone again");
    }

    proptest! {
        #[test]
        fn what_is_held_is_the_sum_of_what_was_given_and_never_above_the_limit(
            steps in prop::collection::vec((0..4_usize, 0..4_usize, 0..40_000_u64, any::<bool>()), 0..100),
        ) {
            let memory = Memory::new(100_000);
            let tenants = ["a", "b", "c"].map(tenant);
            let classes = [Class::Background, Class::Upload, Class::Request, Class::Answer];
            let mut given = Vec::new();
            for (who, class, bytes, give_back) in steps {
                if give_back && !given.is_empty() {
                    drop(given.swap_remove(who % given.len()));
                    continue;
                }
                let held = match tenants.get(who) {
                    Some(tenant) => memory.hold_for(tenant, classes[class], bytes),
                    None => memory.hold(classes[class], bytes),
                };
                given.extend(held.filter(|held| !held.is_nothing()));
                let sum: u64 = given.iter().flat_map(|held| &held.0).map(|holding| holding.bytes).sum();
                prop_assert!(memory.held() == sum && sum <= memory.limit());
                let booked: u64 = memory.tenants.lock().values().sum();
                prop_assert!(booked <= sum);
            }
            drop(given);
            prop_assert!(memory.held() == 0 && memory.tenants.lock().is_empty());
        }
    }
}
