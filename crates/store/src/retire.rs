//! Ending artifacts: one tombstone for a key, or for all keys of a namespace. O(1), effective from the answer on, and after any crash.

use bytes::Bytes;

use crate::error::Error;
use crate::format::record::Head;
use crate::index::Entry;
use crate::key::{NamespaceId, RecordKey};
use crate::store::Store;
use crate::types::{Fingerprint, Kind, RecordType};
use crate::upload::Commit;

/// The key that the tombstone of a namespace carries, since every record has one.
pub(crate) const EVERY_KEY: &[u8] = b"*";

impl Store {
    /// Ends the artifact of a key. Returns whether there was one.
    ///
    /// # Errors
    /// `Busy` or `Full` when no room came in time; `ReadOnly`, `Closed`, `Io`: it may or may not have been ended.
    pub async fn delete(&self, key: &RecordKey) -> Result<bool, Error> {
        self.inner.check_writable()?;
        let fingerprint = self.inner.identity.seed.of(key);
        let now = self.inner.now();
        // Also what an end that failed may have ended: this is the end that it has.
        let is_there = |entry: &Entry| self.inner.is_there(entry, || self.inner.namespace_fingerprint(key));
        let there = self.inner.index.lock(&fingerprint).touch(&fingerprint, now, false, is_there).is_some();
        // What reclaim has dropped from the index would be found again if the process died before its segment is gone.
        if there || self.inner.may_find_more(fingerprint) {
            self.bury(RecordType::KeyTombstone, key.clone(), fingerprint).await?;
        }
        Ok(there)
    }

    /// Ends every artifact of a namespace that was committed before the answer.
    ///
    /// # Errors
    /// As [`Store::delete`].
    pub async fn clean(&self, namespace: &NamespaceId) -> Result<(), Error> {
        self.inner.check_writable()?;
        let key = RecordKey::new(Kind(0), namespace.tenant(), namespace.namespace(), EVERY_KEY)
            .map_err(|_| Error::Invalid("a namespace's name is too long"))?;
        let fingerprint = self.inner.identity.seed.of_namespace_id(namespace);
        self.bury(RecordType::NamespaceTombstone, key, fingerprint).await
    }

    async fn bury(&self, record_type: RecordType, key: RecordKey, fingerprint: Fingerprint) -> Result<(), Error> {
        let head = Head::tombstone(record_type, key, fingerprint);
        self.inner.commit_whole(&head, Vec::<Bytes>::new(), Vec::new(), &Commit::default()).await?;
        Ok(())
    }
}
