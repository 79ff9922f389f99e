//! Keys whose commit has taken its version and is not published yet.
//! Invariant: reclaim drops no record of such a key: the commit may hold an older version, which would then show where a newer one had been.
//! Not here: tombstones under way, which bind reclaim harder (`tombstone`).

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::types::Fingerprint;

#[derive(Default)]
pub(crate) struct UnderWay {
    /// Commits by key. Bounded by the batches of the segments that are written.
    commits: Mutex<HashMap<Fingerprint, u32>>,
}

impl UnderWay {
    /// Before the version is taken.
    pub(crate) fn enter(&self, key: Fingerprint) {
        *self.commits.lock().entry(key).or_default() += 1;
    }

    /// Once it is published, or failed.
    pub(crate) fn leave(&self, key: Fingerprint) {
        let mut commits = self.commits.lock();
        if let Some(count) = commits.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                commits.remove(&key);
            }
        }
    }

    pub(crate) fn contains(&self, key: Fingerprint) -> bool {
        self.commits.lock().contains_key(&key)
    }
}
