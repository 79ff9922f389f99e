//! The content of a recipe, or of a list of uploaded parts: that of its parts, one after another, each opened when its turn comes.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::Cache;
use crate::artifact::{Scope, blob_record};
use crate::assembly::Assembly;
use crate::body::Plain;
use crate::error::Error;
use crate::recipe::Recipe;

/// What a body is made of.
pub(crate) enum Parts {
    /// Blobs, none of which is a recipe itself.
    Blobs(Arc<Recipe>),
    Uploaded(Arc<Assembly>),
}

impl Parts {
    fn size(&self, at: usize) -> Option<u64> {
        match self {
            Parts::Blobs(recipe) => recipe.part(at)?.size(),
            Parts::Uploaded(assembly) => assembly.parts.get(at).map(|part| part.size),
        }
    }

    /// What is stored of that part, if it is the one that is meant.
    async fn find(&self, at: usize, cache: &Cache, scope: &Scope) -> Result<Option<kura_store::Artifact>, Error> {
        let (key, version) = match self {
            Parts::Blobs(recipe) => (recipe.part(at).map(|part| blob_record(scope, &part)), None),
            Parts::Uploaded(assembly) => {
                let part = assembly.parts.get(at);
                (part.map(|part| assembly.record(scope, part)), part.map(|part| part.version))
            }
        };
        let Some(key) = key else { return Ok(None) };
        let found = cache.read(scope, &key?).await?;
        let meant = |found: &kura_store::Artifact| {
            self.size(at) == Some(found.logical_len) && version.is_none_or(|version| version == found.version)
        };
        Ok(found.filter(meant))
    }
}

pub(crate) struct Spliced {
    cache: Cache,
    scope: Scope,
    parts: Parts,
    /// The part that is opened next, and where it starts in the whole.
    next: usize,
    start: u64,
    /// What is still to be given.
    left: Range<u64>,
    current: Option<Plain>,
}

impl Spliced {
    pub(crate) fn new(cache: Cache, scope: Scope, parts: Parts, length: u64) -> Spliced {
        Spliced { cache, scope, parts, next: 0, start: 0, left: 0..length, current: None }
    }

    pub(crate) fn select(mut self, range: Range<u64>) -> Spliced {
        let end = range.end.min(self.left.end);
        self.left = range.start.min(end)..end;
        self
    }

    pub(crate) fn remaining(&self) -> u64 {
        self.left.end - self.left.start
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        while !self.left.is_empty() {
            if let Some(current) = &mut self.current {
                if let Some(piece) = current.next().await? {
                    self.left.start += piece.len() as u64;
                    return Ok(Some(piece));
                }
                self.current = None;
            }
            let size = self.parts.size(self.next).ok_or(Error::Damaged("a recipe ends before its content"))?;
            let (start, end) = (self.start, self.start + size);
            if end > self.left.start {
                let plain = Box::pin(self.open()).await?;
                self.current = Some(plain.select(self.left.start - start..self.left.end - start));
            }
            self.next += 1;
            self.start = end;
        }
        Ok(None)
    }

    /// The next part.
    ///
    /// # Errors
    /// `Evicted` for one that was there when the answer began.
    async fn open(&self) -> Result<Plain, Error> {
        let found = self.parts.find(self.next, &self.cache, &self.scope).await?;
        found.and_then(|found| self.cache.content_of(found)).ok_or(Error::Evicted)
    }
}
