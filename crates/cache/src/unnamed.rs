//! A blob whose digest nobody knows before its last byte. A record begins with its key, so such a blob is cut into chunks as it comes, whose digests
//! are known in time; it is a recipe of them in the end. Nothing is written twice, nor held in memory longer than a chunk.
//! One that is given up leaves chunks, which are blobs like others: who brings it again finds them there.

use kura_store::Commit;

use crate::Cache;
use crate::artifact::{ArtifactKey, Scope};
use crate::cutting::Cutting;
use crate::digest::{Digest, DigestFunction, Verifier};
use crate::error::Error;

/// A blob on its way in whose digest is not known yet.
#[must_use]
pub struct Unnamed<'a> {
    cache: &'a Cache,
    scope: &'a Scope,
    cutting: Cutting<'a>,
    verifier: Verifier,
    received: u64,
    /// A piece was taken in part.
    torn: bool,
}

impl Cache {
    /// Starts the upload of a blob that gets its name when all of it is there.
    pub fn put_unnamed<'a>(&'a self, scope: &'a Scope, function: DigestFunction) -> Unnamed<'a> {
        let cutting = Cutting::new(self, scope, function, self.inner.settings.compress);
        Unnamed { cache: self, scope, cutting, verifier: Verifier::new(function), received: 0, torn: false }
    }
}

impl Unnamed<'_> {
    /// Takes the next piece. If the future is dropped before it is done, the upload is lost.
    ///
    /// # Errors
    /// `TooLarge`; as for storing a blob: the upload is lost.
    pub async fn write(&mut self, piece: &[u8]) -> Result<(), Error> {
        if std::mem::replace(&mut self.torn, true) {
            return Err(Error::Evicted);
        }
        self.received += piece.len() as u64;
        let limit = self.cache.max_artifact_size();
        if self.received > limit {
            return Err(Error::TooLarge { limit });
        }
        self.verifier.update(piece);
        self.cutting.push(piece).await?;
        self.torn = false;
        Ok(())
    }

    /// Ends the upload: from the answer on the blob can be read.
    ///
    /// # Errors
    /// As for storing a blob.
    pub async fn commit(self) -> Result<Digest, Error> {
        if self.torn {
            return Err(Error::Evicted);
        }
        let recipe = self.cutting.finish().await?;
        let digest = self.verifier.finish();
        // One that is a chunk is stored by now.
        if recipe.len() > 1 {
            let key = ArtifactKey::blob(self.scope, &digest)?;
            let commit = Commit { logical_len: digest.size(), sha256: digest.sha256() };
            let store = Box::pin(self.cache.store_recipe(&key, &recipe, commit));
            self.cache.store_once(&key, recipe.encoded().len() as u64, store).await?;
        }
        Ok(digest)
    }
}
