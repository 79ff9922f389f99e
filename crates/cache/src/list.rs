//! Which keyed values a namespace holds, in order of key; an overlay also those of what it lies over. Keys have to be read from the disk, all of them for
//! each look, so a look takes as many as fit its memory, a [`Window`], and whoever goes on behind its last key finds the rest of it remembered.
//! Promise: what is there from a window's first question to its last is in it. What was deleted since is left out where it is told; what was stored
//! since is in the next window. Being listed vouches for nothing.
//! Memory: that of one window while it is looked for, one at a time, and of those that are remembered.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kura_store::key::RecordKey;
use kura_store::types::Kind as StoreKind;

use crate::artifact::{InvalidKey, Kind, Scope, record_key};
use crate::error::Error;
use crate::limits::{COME_BACK, LIST_WAIT, WINDOW_AGE};
use crate::memory::Weigh;
use crate::{Cache, Presence};

/// Bytes that a key takes beside its own, about: in the tree that orders it, and on the heap.
const KEY: u64 = 64;

/// Keys of one kind in one namespace, all of those between two.
#[derive(Debug)]
pub struct Window {
    keys: Vec<Box<[u8]>>,
    /// Whether nothing lies behind the last one.
    ends: bool,
    taken: Duration,
    /// Bytes of what it was asked for by.
    asked: u64,
}

/// A key that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed<'a> {
    /// As its client called it.
    pub key: &'a [u8],
    /// What is there.
    pub presence: Presence,
}

/// Where a list goes on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    scope: Scope,
    kind: Kind,
    prefix: Box<[u8]>,
    id: u64,
}

impl Weigh for Window {
    fn weight(&self) -> u64 {
        self.asked + self.keys.iter().map(|key| KEY + key.len() as u64).sum::<u64>()
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Listing<'a> {
    /// Where.
    pub scope: &'a Scope,
    /// Of which sort.
    pub kind: Kind,
    /// What the keys begin with.
    pub prefix: &'a [u8],
}

impl Listing<'_> {
    fn place(&self, id: u64) -> Place {
        Place { scope: self.scope.clone(), kind: self.kind, prefix: self.prefix.into(), id }
    }
}

/// The lowest keys behind one, as many as there is memory for.
struct Lowest {
    keys: BTreeSet<Box<[u8]>>,
    bytes: u64,
    limit: u64,
    /// The lowest that there was no memory for.
    bound: Option<Box<[u8]>>,
}

impl Lowest {
    fn take(&mut self, key: &[u8]) {
        if self.bound.as_deref().is_some_and(|bound| key >= bound) || self.keys.contains(key) {
            return;
        }
        self.bytes += KEY + key.len() as u64;
        self.keys.insert(key.into());
        while self.bytes > self.limit {
            let Some(last) = self.keys.pop_last() else { break };
            self.bytes -= KEY + last.len() as u64;
            self.bound = Some(last);
        }
    }
}

impl Cache {
    /// The keys behind `after` as they are now, and what they can be asked for again by.
    ///
    /// # Errors
    /// `Busy` while others are looked for; as for reading an artifact.
    pub async fn list(&self, of: Listing<'_>, after: &[u8]) -> Result<(Arc<Window>, u64), Error> {
        let inner = &self.inner;
        let pass = inner.lister.enter_within(1, inner.runtime.as_ref(), LIST_WAIT).await;
        let _pass = pass.ok_or(Error::Busy { retry_after: COME_BACK })?;
        let taken = inner.runtime.monotonic();
        let limit = inner.settings.workspace.window();
        let mut lowest = Lowest { keys: BTreeSet::new(), bytes: 0, limit, bound: None };
        let mut visit = |key: &[u8]| {
            if key > after && key.starts_with(of.prefix) {
                lowest.take(key);
            }
        };
        for scope in [Some(of.scope), of.scope.trusted().as_ref()].into_iter().flatten() {
            let namespace = scope.namespace_id().map_err(|_| InvalidKey::Name)?;
            inner.store.visit_keys(&namespace, StoreKind(of.kind as u8), &mut visit).await?;
        }
        let asked = (of.prefix.len() + of.scope.tenant.as_str().len() + of.scope.namespace.as_str().len()) as u64;
        let window = Window { ends: lowest.bound.is_none(), keys: lowest.keys.into_iter().collect(), taken, asked };
        let (window, id) = (Arc::new(window), inner.runtime.random());
        inner.windows.put(of.place(id), Arc::clone(&window));
        Ok((window, id))
    }

    /// The window of that list, if it is remembered and goes on behind `after`.
    #[must_use]
    pub fn list_again(&self, of: Listing<'_>, id: u64, after: &[u8]) -> Option<Arc<Window>> {
        let window = self.inner.windows.get(&of.place(id))?;
        let is_fresh = self.inner.runtime.monotonic().saturating_sub(window.taken) < WINDOW_AGE;
        let goes_on = window.ends || window.keys.last().is_some_and(|last| after < &last[..]);
        (is_fresh && goes_on).then_some(window)
    }

    /// What is there of a window behind `after`, in order.
    pub fn listed<'a>(
        &'a self,
        of: Listing<'a>,
        window: &'a Window,
        after: &'a [u8],
    ) -> impl Iterator<Item = Listed<'a>> + 'a {
        let from = window.keys.partition_point(|key| &key[..] <= after);
        window.keys[from..].iter().filter_map(move |key| {
            let record = record_key(of.scope, of.kind, key).ok()?;
            let fresh = |record: &RecordKey| {
                let found = self.inner.store.peek(record);
                found.filter(|found| self.is_fresh(of.scope, record, found.version))
            };
            let below = of.scope.below(&record).ok()?;
            let found = fresh(&record).or_else(|| fresh(&below?))?;
            Some(Listed { key, presence: Presence { length: found.logical_len, version: found.version } })
        })
    }
}

impl Window {
    /// Whether nothing lies behind its last key.
    #[must_use]
    pub fn ends(&self) -> bool {
        self.ends
    }

    /// Its last key.
    #[must_use]
    pub fn last(&self) -> Option<&[u8]> {
        self.keys.last().map(|key| &key[..])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_lowest_keys_are_kept_as_long_as_they_fit(
            keys in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..60),
            limit in 0_u64..4000,
        ) {
            let mut lowest = Lowest { keys: BTreeSet::new(), bytes: 0, limit, bound: None };
            keys.iter().for_each(|key| lowest.take(key));
            let all: BTreeSet<_> = keys.iter().map(|key| key.clone().into_boxed_slice()).collect();
            let sum: u64 = lowest.keys.iter().map(|key| KEY + key.len() as u64).sum();
            prop_assert!(sum == lowest.bytes && sum <= limit);
            let kept: Vec<_> = all.iter().take(lowest.keys.len()).collect();
            prop_assert_eq!(lowest.keys.iter().collect::<Vec<_>>(), kept);
            prop_assert_eq!(lowest.bound.as_ref(), all.iter().nth(lowest.keys.len()));
        }
    }
}
