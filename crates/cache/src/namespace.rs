//! Namespaces: what can be emptied as one. One tombstone ends all of it, however much it holds.

use crate::Cache;
use crate::artifact::Scope;
use crate::error::Error;

impl Cache {
    /// Empties a namespace: from the answer on nothing that was in it is there.
    ///
    /// # Errors
    /// `Busy`, `Full`, `ReadOnly`, `Closed`.
    pub async fn clean(&self, scope: &Scope) -> Result<(), Error> {
        let id = scope.namespace_id().map_err(|_| Error::Invalid("the namespace has no valid name"))?;
        Ok(self.inner.store.clean(&id).await?)
    }
}
