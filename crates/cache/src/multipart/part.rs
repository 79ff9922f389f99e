//! A part on its way in: streamed to its place as any body is. It counts once it is committed, in the place of the one of the same number before it.

use bytes::Bytes;
use kura_store::types::Encoding;
use kura_store::{Commit, PutRequest};

use super::{Multipart, PartNumber};
use crate::artifact::Kind;
use crate::assembly::part_record;
use crate::error::Error;
use crate::{Attributes, Version};

/// What one surface takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartLimits {
    /// The most bytes of a part.
    pub part: u64,
    /// The most bytes of all parts together; never more than [`crate::Cache::max_artifact_size`].
    pub whole: u64,
}

/// A part on its way in. Dropped before [`PartUpload::commit`], it never was.
#[must_use]
pub struct PartUpload {
    multipart: Multipart,
    number: PartNumber,
    limits: PartLimits,
    upload: kura_store::Upload,
    /// Whether its length was.
    declared: bool,
    received: u64,
    /// A piece was taken in part.
    torn: bool,
}

impl Multipart {
    /// Starts to take a part; whatever can refuse it before its first byte does so here. `length` is the body's, where it is declared.
    ///
    /// # Errors
    /// `TooLarge` for the part, `WholeTooLarge` for all together; `UnknownUpload` once it is complete; `Busy`, `Full`, `ReadOnly`, `Closed`.
    pub async fn put_part(
        &self,
        number: PartNumber,
        length: Option<u64>,
        limits: PartLimits,
    ) -> Result<PartUpload, Error> {
        if self.completed().is_some() {
            return Err(Error::UnknownUpload);
        }
        let inner = &self.cache.inner;
        let limits = PartLimits {
            part: limits.part.min(self.cache.max_artifact_size()),
            whole: limits.whole.min(self.cache.max_artifact_size()),
        };
        if length.is_some_and(|length| length > limits.part) {
            return Err(Error::TooLarge { limit: limits.part });
        }
        inner.uploads.enter(&self.record, inner.runtime.monotonic())?;
        let about = inner.uploads.about(&self.record).unwrap_or(0);
        let key = part_record(self.scope(), &self.id, number)?;
        let replaced = inner.store.contains(&key).map_or(0, |old| old.logical_len);
        limits.check(about.saturating_sub(replaced), length.unwrap_or(0))?;
        let request = PutRequest { key, attributes: Attributes::default(), encoding: Encoding::Identity, length };
        let upload = self.cache.store(request).await?;
        let declared = length.is_some();
        Ok(PartUpload { multipart: self.clone(), number, limits, upload, declared, received: 0, torn: false })
    }
}

impl PartLimits {
    fn check(&self, others: u64, part: u64) -> Result<(), Error> {
        let fits = others.saturating_add(part) <= self.whole;
        if fits { Ok(()) } else { Err(Error::WholeTooLarge { limit: self.whole }) }
    }
}

impl PartUpload {
    /// Takes the next piece. If the future is dropped before it is done, the part is lost.
    ///
    /// # Errors
    /// `TooLarge`; `LengthMismatch` for more than was declared; `Evicted`, `Busy`, `Full`: the part is lost.
    pub async fn write(&mut self, piece: Bytes) -> Result<(), Error> {
        if std::mem::replace(&mut self.torn, true) {
            return Err(Error::Evicted);
        }
        self.received += piece.len() as u64;
        if self.received > self.limits.part {
            return Err(Error::TooLarge { limit: self.limits.part });
        }
        if !self.declared {
            self.multipart.cache.charge(&self.multipart.record, piece.len() as u64)?;
        }
        self.upload.write(piece).await?;
        self.torn = false;
        Ok(())
    }

    /// Ends the part: from the answer on it is the one of its number.
    ///
    /// # Errors
    /// `UnknownUpload` where the upload has ended meanwhile, `WholeTooLarge`; as for an artifact. Nothing is kept then.
    pub async fn commit(self) -> Result<Version, Error> {
        if self.torn {
            return Err(Error::Evicted);
        }
        let (multipart, inner) = (&self.multipart, &self.multipart.cache.inner);
        // Nothing changes between the count of the parts and the one that is added, nor between a look at the session and a part of it.
        let _turn = inner.turns.take(&multipart.record).await;
        multipart.check_open().await?;
        let key = part_record(multipart.scope(), &multipart.id, self.number)?;
        let now = inner.runtime.monotonic();
        let (total, counted) = match inner.uploads.take(&multipart.record, now) {
            Some(total) => (total, None),
            None => (multipart.count().await?, Some(now)),
        };
        let replaced = inner.store.contains(&key).map_or(0, |old| old.logical_len);
        let others = total.saturating_sub(replaced);
        if let Err(refused) = self.limits.check(others, self.received) {
            inner.uploads.settle(&multipart.record, total, counted);
            return Err(refused);
        }
        let version = self.upload.commit(Commit::default()).await?;
        inner.uploads.settle(&multipart.record, others + self.received, counted);
        let _leased = inner.store.contains(&key);
        inner.counters.stored(Kind::Part, self.received);
        Ok(version)
    }
}
