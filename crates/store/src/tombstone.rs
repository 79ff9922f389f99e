//! What tombstones end: the versions below which a key or a whole namespace is gone.
//! Invariant: from the moment a tombstone's version is taken, reclaim copies and promotes nothing that it ends
//! (`pending`), so a segment whose number is above that version holds nothing of it.
//! Not here: the tombstones' records and index entries; `cleans` mirrors those of namespaces for a cheap probe.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::types::{Fingerprint, Version};
use crate::version::VersionClock;

/// A tombstone that has its version and is not in the index.
struct Pending {
    version: Version,
    /// Its commit failed: it may be on the disk, or not.
    failed: bool,
}

#[derive(Default)]
pub(crate) struct Tombstones {
    /// Taken and not committed yet, by key or namespace.
    pending: Mutex<HashMap<Fingerprint, Pending>>,
    /// Whether one of them has ever failed: spares the probe its lock.
    any_failed: AtomicBool,
    /// Committed cleans by namespace, and whether there are any: spares the probe its lock.
    cleans: RwLock<HashMap<Fingerprint, Version>>,
    any_cleans: AtomicBool,
}

impl Tombstones {
    /// Takes the version of a tombstone for `ended` (a key or a namespace); it binds reclaim from here on.
    pub(crate) fn take_version(&self, ended: Fingerprint, versions: &VersionClock) -> Version {
        let mut pending = self.pending.lock();
        let version = versions.next_version();
        pending.insert(ended, Pending { version, failed: false });
        version
    }

    /// The tombstone was committed: what it binds from now on stands in the index.
    pub(crate) fn settle(&self, ended: Fingerprint, version: Version) {
        let mut pending = self.pending.lock();
        if pending.get(&ended).is_some_and(|pending| pending.version == version) {
            pending.remove(&ended);
        }
    }

    /// Its commit failed. It binds reclaim as before, for as long as this process runs.
    pub(crate) fn fail(&self, ended: Fingerprint, version: Version) {
        if let Some(pending) = self.pending.lock().get_mut(&ended).filter(|pending| pending.version == version) {
            pending.failed = true;
            self.any_failed.store(true, Ordering::SeqCst);
        }
    }

    /// A committed clean: everything of the namespace below `version` is gone.
    pub(crate) fn clean(&self, namespace: Fingerprint, version: Version) {
        let mut cleans = self.cleans.write();
        let at = cleans.entry(namespace).or_insert(version);
        *at = version.max(*at);
        self.any_cleans.store(true, Ordering::SeqCst);
    }

    /// No segment can hold anything that the clean ended: forget it.
    pub(crate) fn forget_clean(&self, namespace: Fingerprint, version: Version) {
        let mut cleans = self.cleans.write();
        if cleans.get(&namespace) == Some(&version) {
            cleans.remove(&namespace);
            self.any_cleans.store(!cleans.is_empty(), Ordering::SeqCst);
        }
    }

    /// Whether a committed clean ended this version of something in `namespace`.
    pub(crate) fn ends(&self, namespace: Fingerprint, version: Version) -> bool {
        self.cleans.read().get(&namespace).is_some_and(|at| version < *at)
    }

    /// Whether there is any clean at all: spares the probe its second hash.
    pub(crate) fn any_cleans(&self) -> bool {
        self.any_cleans.load(Ordering::SeqCst)
    }

    /// As [`Tombstones::ends`], also for tombstones that are not committed yet.
    pub(crate) fn will_end(&self, key: Fingerprint, namespace: Fingerprint, version: Version) -> bool {
        let pending = self.pending.lock();
        let bound = |ended| pending.get(&ended).is_some_and(|pending| version < pending.version);
        bound(key) || bound(namespace) || self.ends(namespace, version)
    }

    /// Whether any tombstone has failed since the start.
    pub(crate) fn any_failed(&self) -> bool {
        self.any_failed.load(Ordering::SeqCst)
    }

    /// Whether a tombstone that failed would end this version.
    pub(crate) fn may_have_ended(&self, key: Fingerprint, namespace: Fingerprint, version: Version) -> bool {
        let pending = self.pending.lock();
        let bound = |ended| pending.get(&ended).is_some_and(|pending| pending.failed && version < pending.version);
        !pending.is_empty() && (bound(key) || bound(namespace))
    }
}
