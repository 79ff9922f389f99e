//! Content that is cut into chunks as it comes, each of which is stored as a blob: what is left of it is a recipe.
//! Bounds: what has come and is not cut yet, chunks on their way into the store, chunks of one content.
//! Not here: where it is cut (`chunker`), and what the recipe is stored for (`chunk`, `unnamed`).

use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use kura_store::Commit;

use crate::artifact::{ArtifactKey, Scope};
use crate::chunker::{Chunker, Chunking};
use crate::digest::{Digest, DigestFunction, Verifier};
use crate::error::Error;
use crate::limits::{CHUNKS_IN_FLIGHT, STEP_OUTPUT};
use crate::recipe::{Draft, Recipe};
use crate::upload::Checked;
use crate::{Attributes, Cache};

/// Content that is being cut.
pub(crate) struct Cutting<'a> {
    cache: &'a Cache,
    scope: &'a Scope,
    function: DigestFunction,
    /// Whether the chunks are to be compressed.
    compress: bool,
    chunker: Chunker,
    draft: Draft,
    /// Chunks whose commits are waited for.
    storing: FuturesUnordered<BoxFuture<'a, Result<(), Error>>>,
}

impl<'a> Cutting<'a> {
    pub(crate) fn new(cache: &'a Cache, scope: &'a Scope, function: DigestFunction, compress: bool) -> Cutting<'a> {
        let (chunker, draft, storing) =
            (Chunker::new(), Draft::new(function, Chunking::FastCdc2020), FuturesUnordered::new());
        Cutting { cache, scope, function, compress, chunker, draft, storing }
    }

    /// # Errors
    /// `Invalid` for more chunks than a recipe has; as for storing a blob.
    pub(crate) async fn push(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.chunker.push(piece);
        while let Some(chunk) = self.chunker.next() {
            self.take(chunk).await?;
        }
        Ok(())
    }

    /// All of it, in chunks that are stored. What is no longer than a chunk may be is one.
    ///
    /// # Errors
    /// As for [`Cutting::push`].
    pub(crate) async fn finish(mut self) -> Result<Recipe, Error> {
        if self.draft.is_empty() {
            let whole = self.chunker.all();
            if !whole.is_empty() {
                self.take(whole).await?;
            }
        }
        while let Some(chunk) = self.chunker.rest() {
            self.take(chunk).await?;
        }
        while self.storing.try_next().await?.is_some() {}
        Ok(self.draft.finish())
    }

    async fn take(&mut self, chunk: Bytes) -> Result<(), Error> {
        let mut verifier = Verifier::new(self.function);
        for piece in chunk.chunks(STEP_OUTPUT) {
            verifier.update(piece);
            self.cache.inner.runtime.yield_now().await;
        }
        let digest = verifier.finish();
        self.draft.push(&digest)?;
        if self.storing.len() == CHUNKS_IN_FLIGHT {
            self.storing.try_next().await?;
        }
        self.storing.push(Box::pin(self.cache.store_chunk(self.scope, digest, chunk, self.compress)));
        Ok(())
    }
}

impl Cache {
    async fn store_chunk(&self, scope: &Scope, digest: Digest, content: Bytes, compress: bool) -> Result<(), Error> {
        let key = ArtifactKey::blob(scope, &digest)?;
        let length = content.len() as u64;
        let commit = Commit { logical_len: Some(length), sha256: digest.sha256() };
        let checked = Checked { content, commit, attributes: Attributes::default() };
        self.store_once(&key, length, Box::pin(self.store_checked(&key, checked, compress))).await.map(drop)
    }
}
