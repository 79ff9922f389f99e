//! A blob that is stored in one piece is cut into chunks that others may share. They become blobs, and it a recipe of them: its bytes are stored
//! once, and what it is made of is known from then on.

use kura_store::types::Encoding;

use crate::artifact::{ArtifactKey, Scope};
use crate::cas::BlobCheck;
use crate::chunker::{Chunking, MAX_CHUNK_SIZE};
use crate::cutting::Cutting;
use crate::digest::Digest;
use crate::error::Error;
use crate::limits::{COME_BACK, TURN_WAIT};
use crate::presence::Probe;
use crate::recipe::Recipe;
use crate::{Cache, Form};

/// What a blob is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunks {
    /// Whose contents, one after another, are the blob's.
    pub digests: Vec<Digest>,
    /// How it was cut into them.
    pub chunking: Chunking,
}

impl Chunks {
    fn of(recipe: &Recipe) -> Chunks {
        Chunks { digests: recipe.parts().collect(), chunking: recipe.chunking() }
    }

    /// Of a blob that is not cut.
    fn whole(blob: Digest) -> Chunks {
        Chunks { digests: vec![blob; usize::from(!blob.is_empty_blob())], chunking: Chunking::FastCdc2020 }
    }
}

impl Cache {
    /// The chunks of a blob, all of which are there then: those that it is made of, or those that it is cut into now. Nothing, if it is not
    /// there.
    ///
    /// # Errors
    /// As for reading a blob, and storing one; `Busy` while too many others are cut.
    pub async fn chunk(&self, scope: &Scope, blob: &Digest) -> Result<Option<Chunks>, Error> {
        let mut probe = Probe::new(self, scope);
        let Some(found) = probe.look(blob).await? else {
            return Ok(blob.is_empty_blob().then(|| Chunks::whole(*blob)));
        };
        let blob = blob.with_size(found.logical_len);
        if found.encoding == Encoding::Recipe {
            return Ok(probe.whole(&blob, found).await?.map(|recipe| Chunks::of(&recipe)));
        }
        if found.logical_len <= MAX_CHUNK_SIZE {
            return Ok(Some(Chunks::whole(blob)));
        }
        let turn = self.inner.chunkers.enter_within(1, &*self.inner.runtime, TURN_WAIT).await;
        let Some(_turn) = turn else {
            return Err(Error::Busy { retry_after: COME_BACK });
        };
        let key = ArtifactKey::blob(scope, &blob)?;
        let Some(found_body) = self.get_blob(&key, &blob, Form::Identity).await? else {
            return Ok(None);
        };
        let compress = self.inner.settings.compress || found.encoding == Encoding::Zstd;
        // What is read is checked once more, since its chunks take the place of what is stored.
        let (mut cutting, mut check) =
            (Cutting::new(self, scope, blob.function(), compress), BlobCheck::of_content(blob));
        let mut content = found_body.body.into_pieces();
        while let Some(piece) = content.next().await? {
            check.update(&piece).await?;
            cutting.push(&piece).await?;
            self.inner.runtime.yield_now().await;
        }
        let recipe = cutting.finish().await?;
        let commit = check.finish().await.map_err(|_| Error::Damaged("a stored blob has another digest"))?;
        self.store_recipe(&key, &recipe, commit).await?;
        Ok(Some(Chunks::of(&recipe)))
    }
}
