//! The content of a recipe: that of its parts, one after another, each opened when its turn comes.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::Cache;
use crate::artifact::{Scope, blob_record};
use crate::body::Plain;
use crate::digest::Digest;
use crate::error::Error;
use crate::recipe::Recipe;

pub(crate) struct Spliced {
    cache: Cache,
    scope: Scope,
    /// None of them is a recipe itself.
    parts: Arc<Recipe>,
    /// The part that is opened next, and where it starts in the whole.
    next: usize,
    start: u64,
    /// What is still to be given.
    left: Range<u64>,
    current: Option<Plain>,
}

impl Spliced {
    pub(crate) fn new(cache: Cache, scope: Scope, parts: Arc<Recipe>, length: u64) -> Spliced {
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
            let part = self.parts.part(self.next).ok_or(Error::Damaged("a recipe ends before its content"))?;
            let (start, end) = (self.start, self.start + part.size().unwrap_or(0));
            if end > self.left.start {
                let plain = Box::pin(self.open(&part)).await?;
                self.current = Some(plain.select(self.left.start - start..self.left.end - start));
            }
            self.next += 1;
            self.start = end;
        }
        Ok(None)
    }

    /// # Errors
    /// `Evicted` for a part that was there when the answer began.
    async fn open(&self, part: &Digest) -> Result<Plain, Error> {
        let found = self.cache.inner.store.get(&blob_record(&self.scope, part)?).await?;
        let found = found.filter(|found| part.size() == Some(found.logical_len));
        found.and_then(|found| self.cache.content_of(found)).ok_or(Error::Evicted)
    }
}
