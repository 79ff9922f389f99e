//! Recipes: blobs that are made of others. A recipe is verified before it exists, by reading its parts: their bytes, one after another, have
//! the digest of the whole.

use kura_store::types::Encoding;
use kura_store::{Commit, PutRequest};

use crate::artifact::{ArtifactKey, Scope};
use crate::cas::BlobCheck;
use crate::chunker::Chunking;
use crate::digest::Digest;
use crate::error::Error;
use crate::presence::Probe;
use crate::recipe::{Draft, Recipe};
use crate::{Attributes, Cache, Form, Stored, Version};

impl Cache {
    /// Makes a blob of others, its chunks, in that order. They keep their bytes, and the blob is there as long as they all are. One that is
    /// there already stays what it is. `chunking` is how its client says that it was cut; nobody checks that.
    ///
    /// # Errors
    /// `Absent` for a chunk that is not there; `DigestMismatch` or `LengthMismatch` where they are not that blob; `Invalid` for digests of
    /// unknown size or another function, and more chunks than [`crate::limits::MAX_PARTS`]; `TooLarge`, and as for reading and storing a blob.
    pub async fn splice(
        &self,
        scope: &Scope,
        blob: &Digest,
        chunks: &[Digest],
        chunking: Chunking,
    ) -> Result<Stored, Error> {
        let key = ArtifactKey::blob(scope, blob)?;
        let mut probe = Probe::new(self, scope);
        if let Some(found) = probe.find(blob).await? {
            self.inner.counters.known(key.kind());
            return Ok(Stored { version: found.version, known: true });
        }
        let recipe = self.draft(blob, chunks, chunking)?;
        for chunk in recipe.parts() {
            if probe.find(&chunk).await?.is_none() {
                return Err(Error::Absent(Box::new(chunk)));
            }
        }
        let commit = self.verify(scope, blob, &recipe).await?;
        let length = recipe.encoded().len() as u64;
        self.store_once(&key, length, Box::pin(self.store_recipe(&key, &recipe, commit))).await
    }

    /// The chunks that a blob is made of; nothing if it is not made of chunks, or they are not all there.
    ///
    /// # Errors
    /// As for reading a blob.
    pub async fn chunks_of(&self, scope: &Scope, blob: &Digest) -> Result<Option<Vec<Digest>>, Error> {
        let mut probe = Probe::new(self, scope);
        match probe.look(blob).await? {
            Some(found) if found.encoding == Encoding::Recipe => {
                Ok(probe.whole(blob, found).await?.map(|recipe| recipe.parts().collect()))
            }
            _ => Ok(None),
        }
    }

    /// What the chunks come to, as far as their digests tell.
    fn draft(&self, blob: &Digest, chunks: &[Digest], chunking: Chunking) -> Result<Recipe, Error> {
        let unknown = Error::Invalid("a blob is spliced by digests of known size");
        let Some(size) = blob.size() else {
            return Err(unknown);
        };
        let limit = self.max_artifact_size();
        if size > limit {
            return Err(Error::TooLarge { limit });
        }
        let (mut draft, mut sum) = (Draft::new(blob.function(), chunking), 0_u64);
        for chunk in chunks {
            if chunk.function() != blob.function() {
                return Err(Error::Invalid("a blob and its chunks have digests of one function"));
            }
            let Some(size) = chunk.size() else {
                return Err(unknown);
            };
            if chunk.is_empty_blob() {
                continue;
            }
            if size == 0 || chunk == blob {
                return Err(Error::Absent(Box::new(*chunk)));
            }
            sum = sum.saturating_add(size);
            draft.push(chunk)?;
        }
        if sum != size {
            return Err(Error::LengthMismatch { declared: size, received: sum });
        }
        Ok(draft.finish())
    }

    /// Reads the parts.
    async fn verify(&self, scope: &Scope, blob: &Digest, recipe: &Recipe) -> Result<Commit, Error> {
        let mut check = BlobCheck::of_content(*blob);
        for part in recipe.parts() {
            let key = ArtifactKey::blob(scope, &part)?;
            let found = self.get_blob(&key, &part, Form::Identity).await?;
            let mut content = found.ok_or_else(|| Error::Absent(Box::new(part)))?.body.into_pieces();
            while let Some(piece) = content.next().await? {
                check.update(&piece).await?;
                self.inner.runtime.yield_now().await;
            }
        }
        check.finish().await
    }

    pub(crate) async fn store_recipe(
        &self,
        key: &ArtifactKey,
        recipe: &Recipe,
        commit: Commit,
    ) -> Result<Version, Error> {
        let list = recipe.encoded();
        let request = PutRequest {
            key: key.record.clone(),
            attributes: Attributes::default(),
            encoding: Encoding::Recipe,
            length: Some(list.len() as u64),
        };
        let mut upload = self.store(request).await?;
        upload.write(list).await?;
        Ok(upload.commit(commit).await?)
    }
}
