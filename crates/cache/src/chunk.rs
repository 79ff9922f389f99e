//! Cutting a blob that is stored in one piece into chunks that others may share. Its chunks become blobs, and the blob a recipe of them: its bytes
//! are stored once, and what it is made of is known from then on.

use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use kura_store::Commit;
use kura_store::types::Encoding;

use crate::artifact::{ArtifactKey, Scope};
use crate::body::Pieces;
use crate::cas::BlobCheck;
use crate::chunker::{Chunker, MAX_CHUNK_SIZE};
use crate::digest::{Digest, Verifier};
use crate::error::Error;
use crate::limits::{CHUNKS_IN_FLIGHT, COME_BACK, STEP_OUTPUT, TURN_WAIT};
use crate::presence::Probe;
use crate::recipe::{Draft, Recipe};
use crate::upload::Checked;
use crate::{Attributes, Cache, Form};

impl Cache {
    /// The chunks of a blob, all of which are there then: those that it is made of, or those that it is cut into now. Nothing, if it is not
    /// there.
    ///
    /// # Errors
    /// As for reading a blob, and storing one; `Busy` while too many others are cut.
    pub async fn chunk(&self, scope: &Scope, blob: &Digest) -> Result<Option<Vec<Digest>>, Error> {
        let mut probe = Probe::new(self, scope);
        let Some(found) = probe.look(blob).await? else {
            return Ok(blob.is_empty_blob().then(Vec::new));
        };
        let blob = blob.with_size(found.logical_len);
        if found.encoding == Encoding::Recipe {
            return Ok(probe.whole(&blob, found).await?.map(|recipe| recipe.parts().collect()));
        }
        if found.logical_len <= MAX_CHUNK_SIZE {
            return Ok(Some(vec![blob; usize::from(!blob.is_empty_blob())]));
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
        let cutting = Cutting {
            cache: self,
            scope,
            compress,
            check: BlobCheck::of_content(blob),
            blob,
            draft: Draft::new(blob.function()),
            storing: FuturesUnordered::new(),
        };
        let (recipe, commit) = cutting.cut(found_body.body.into_pieces()).await?;
        self.store_recipe(&key, &recipe, commit).await?;
        Ok(Some(recipe.parts().collect()))
    }

    async fn store_chunk(&self, scope: &Scope, digest: Digest, content: Bytes, compress: bool) -> Result<(), Error> {
        let key = ArtifactKey::blob(scope, &digest)?;
        let length = content.len() as u64;
        let commit = Commit { logical_len: Some(length), sha256: digest.sha256() };
        let checked = Checked { content, commit, attributes: Attributes::default() };
        self.store_once(&key, length, Box::pin(self.store_checked(&key, checked, compress))).await.map(drop)
    }
}

/// A blob that is being cut.
struct Cutting<'a> {
    cache: &'a Cache,
    scope: &'a Scope,
    blob: Digest,
    /// Whether the chunks are to be compressed.
    compress: bool,
    /// What is read is checked once more, since it takes the place of what is stored.
    check: BlobCheck,
    draft: Draft,
    /// Chunks whose commits are waited for.
    storing: FuturesUnordered<BoxFuture<'a, Result<(), Error>>>,
}

impl Cutting<'_> {
    async fn cut(mut self, mut content: Pieces) -> Result<(Recipe, Commit), Error> {
        let mut chunker = Chunker::new();
        while let Some(piece) = content.next().await? {
            self.check.update(&piece).await?;
            chunker.push(&piece);
            while let Some(chunk) = chunker.next() {
                self.take(chunk).await?;
            }
            self.cache.inner.runtime.yield_now().await;
        }
        while let Some(chunk) = chunker.rest() {
            self.take(chunk).await?;
        }
        while self.storing.try_next().await?.is_some() {}
        let commit = self.check.finish().await.map_err(|_| Error::Damaged("a stored blob has another digest"))?;
        Ok((self.draft.finish(), commit))
    }

    async fn take(&mut self, chunk: Bytes) -> Result<(), Error> {
        let mut verifier = Verifier::new(self.blob.function());
        for piece in chunk.chunks(STEP_OUTPUT) {
            verifier.update(piece);
            self.cache.inner.runtime.yield_now().await;
        }
        let digest = verifier.finish();
        self.draft.push(&digest);
        if self.storing.len() == CHUNKS_IN_FLIGHT {
            self.storing.try_next().await?;
        }
        self.storing.push(Box::pin(self.cache.store_chunk(self.scope, digest, chunk, self.compress)));
        Ok(())
    }
}
