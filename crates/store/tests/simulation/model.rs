//! What may be read: the plain model that the store is held against.
//! Each key is written by one client only, so the order of its writes is known; every body tells which write it came from.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use kura_store::key::{NamespaceId, RecordKey};
use kura_store::types::Kind;

/// A write's number: later ones are higher.
pub(crate) type Write = u64;

/// The namespaces of a history, and whose they are.
pub(crate) const NAMESPACES: [&str; 4] = ["one", "two", "three", "four"];
pub(crate) const TENANTS: [&str; 4] = ["tenant", "tenant", "another", "third"];

#[derive(Default)]
pub(crate) struct Model {
    next: Write,
    lengths: HashMap<Write, (RecordKey, usize)>,
    keys: HashMap<RecordKey, KeyState>,
    /// Uploads whose client went away.
    abandoned: HashSet<Write>,
    /// Cleans under way and cleans begun, by namespace: a put that they overlap may end on either side of them.
    cleaning: HashMap<String, (usize, u64)>,
    /// Live records that the store said it dropped to make room, or found damaged.
    pub(crate) lost: u64,
    /// Those of them that explain nothing any more: what is found missing from now on was lost since.
    pub(crate) settled: u64,
}

#[derive(Default, Clone, Copy)]
struct KeyState {
    /// No read may show a lower write.
    least: Write,
    /// The last write that is over, acknowledged or not: what ends the key from now on ends that too.
    over: Write,
    /// The last write that was begun.
    begun: Write,
    /// The last acknowledged write, until something was begun that may end it.
    certain: Option<Write>,
    /// Cleans of its namespace that had begun when its last put did.
    cleans: u64,
}

pub(crate) fn key(namespace: usize, name: usize) -> RecordKey {
    RecordKey::new(Kind(1), TENANTS[namespace], NAMESPACES[namespace], format!("key {name}").as_bytes()).unwrap()
}

/// The body of a write: its number, then bytes that follow from it.
pub(crate) fn body(write: Write, length: usize) -> Bytes {
    let mut random = fastrand::Rng::with_seed(write);
    let mut bytes = write.to_le_bytes().to_vec();
    bytes.resize_with(length.max(8), || random.u8(..));
    bytes.into()
}

impl Model {
    pub(crate) fn begin_put(&mut self, key: &RecordKey, length: usize) -> (Write, Bytes) {
        self.next += 1;
        self.lengths.insert(self.next, (key.clone(), length));
        let cleans =
            self.cleaning.get(key.namespace()).map_or(0, |(now, begun)| if *now > 0 { u64::MAX } else { *begun });
        let state = self.keys.entry(key.clone()).or_default();
        (state.certain, state.cleans, state.begun) = (None, cleans, self.next);
        (self.next, body(self.next, length))
    }

    /// A put was answered. One that failed may show, now or after the next start, or never.
    pub(crate) fn answered_put(&mut self, key: &RecordKey, write: Write, acknowledged: bool) {
        let state = self.keys.entry(key.clone()).or_default();
        state.over = write;
        if acknowledged {
            state.least = state.least.max(write);
            let overlapped =
                self.cleaning.get(key.namespace()).is_some_and(|(now, begun)| *now > 0 || *begun != state.cleans);
            state.certain = (!overlapped).then_some(write);
        }
    }

    /// The client of an upload goes away before its end: it never was.
    pub(crate) fn abandoned(&mut self, key: &RecordKey, write: Write) {
        self.abandoned.insert(write);
        self.keys.entry(key.clone()).or_default().over = write;
    }

    pub(crate) fn begin_clean(&mut self, namespace: &str) -> Vec<(RecordKey, Write)> {
        let cleaning = self.cleaning.entry(namespace.to_owned()).or_default();
        *cleaning = (cleaning.0 + 1, cleaning.1 + 1);
        self.begin_end(|key| key.namespace() == namespace)
    }

    pub(crate) fn end_clean(&mut self, namespace: &str) {
        self.cleaning.entry(namespace.to_owned()).or_default().0 -= 1;
    }

    /// The clients have gone with the process, and what they had begun is over.
    pub(crate) fn crashed(&mut self) {
        self.cleaning.values_mut().for_each(|(now, _)| *now = 0);
        self.keys.values_mut().for_each(|state| state.over = state.begun);
    }

    /// A delete of one key, or a clean of a namespace, was asked for: returns the lowest write that may show once it is acknowledged. A write that is
    /// under way may end up on either side.
    pub(crate) fn begin_end(&mut self, ends: impl Fn(&RecordKey) -> bool) -> Vec<(RecordKey, Write)> {
        let ended = self.keys.iter_mut().filter(|(key, _)| ends(key));
        ended
            .map(|(key, state)| {
                state.certain = None;
                (key.clone(), state.over + 1)
            })
            .collect()
    }

    pub(crate) fn ended(&mut self, ended: Vec<(RecordKey, Write)>) {
        for (key, least) in ended {
            let state = self.keys.entry(key).or_default();
            state.least = state.least.max(least);
        }
    }

    /// The lowest write that a read which begins now may show.
    pub(crate) fn least(&self, key: &RecordKey) -> Write {
        self.keys.get(key).map_or(0, |state| state.least)
    }

    /// A read that began when `least` held has shown `bytes`.
    pub(crate) fn shown(&mut self, key: &RecordKey, least: Write, bytes: &Bytes) {
        let write = Write::from_le_bytes(bytes[..8].try_into().unwrap());
        let (of, length) =
            self.lengths.get(&write).unwrap_or_else(|| panic!("{key:?} shows bytes that were never written"));
        assert_eq!(of, key, "{key:?} shows another key's write {write}");
        assert_eq!(*bytes, body(write, *length), "{key:?} shows write {write} with other bytes");
        assert!(!self.abandoned.contains(&write), "{key:?} shows write {write}, whose client went away");
        assert!(write >= least, "{key:?} shows write {write}, which is older than {least}, shown or ended before");
        let state = self.keys.entry(key.clone()).or_default();
        state.least = state.least.max(write);
    }

    /// Keys whose last write was acknowledged and must be there unless it was evicted.
    pub(crate) fn certain(&self) -> Vec<(RecordKey, Write)> {
        let mut certain: Vec<_> =
            self.keys.iter().filter_map(|(key, state)| Some((key.clone(), state.certain?))).collect();
        certain.sort_by(|a, b| a.0.encoded().cmp(b.0.encoded()));
        certain
    }

    /// These keys were found missing, which is explained; so many had been lost before the search for them began.
    pub(crate) fn settle(&mut self, lost: u64, missing: &[RecordKey]) {
        self.settled = lost;
        for key in missing {
            self.keys.entry(key.clone()).or_default().certain = None;
        }
    }

    /// The same of the keys that the store does not say are there: what it dropped as damaged is among them.
    pub(crate) fn forget_but(&mut self, is_there: impl Fn(&RecordKey) -> bool) {
        for (_, state) in self.keys.iter_mut().filter(|(key, _)| !is_there(key)) {
            (state.least, state.certain) = (0, None);
        }
    }

    /// What was acknowledged, shown or ended may be gone, and something older may show: see where this is called for what excuses it.
    pub(crate) fn forget(&mut self) {
        for state in self.keys.values_mut() {
            (state.least, state.certain) = (0, None);
        }
    }
}

pub(crate) fn namespace(at: usize) -> NamespaceId {
    NamespaceId::new(TENANTS[at], NAMESPACES[at]).unwrap()
}
