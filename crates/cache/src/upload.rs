//! A body on its way in: checked as its kind demands, stored as it comes.
//! Invariant: nothing can be read before [`Upload::commit`] has answered; an upload that is dropped never was.

use bytes::Bytes;

use crate::action::{Gathered, check_result};
use crate::artifact::{ArtifactKey, Meaning};
use crate::cas::BlobCheck;
use crate::digest::DigestFunction;
use crate::error::Error;
use crate::limits::MAX_ACTION_RESULT;
use crate::{Attributes, Cache, Version};
use kura_store::types::Encoding;
use kura_store::{Commit, PutRequest};

/// A body on its way in.
#[must_use]
pub struct Upload {
    cache: Cache,
    key: ArtifactKey,
    declared: Option<u64>,
    received: u64,
    sink: Sink,
}

enum Sink {
    /// Checked against nothing.
    Keyed(kura_store::Upload),
    /// Checked against its digest.
    Blob(Box<BlobCheck>, kura_store::Upload),
    /// It is there already: checked all the same, and not written again.
    Known(Box<BlobCheck>, Version),
    /// Checked as a whole, then stored.
    Action(Gathered, DigestFunction, Attributes),
}

/// What became of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// When it was stored.
    pub version: Version,
    /// Whether it had been there already, so that nothing was written.
    pub known: bool,
}

impl Cache {
    /// Starts an upload; whatever can refuse it before its first byte does so here. `length` is the body's, where it is declared.
    ///
    /// # Errors
    /// `TooLarge`, `LengthMismatch` against the digest's size; `Busy`, `Full`, `ReadOnly`, `Closed`.
    pub async fn put(&self, key: &ArtifactKey, attributes: Attributes, length: Option<u64>) -> Result<Upload, Error> {
        let sink = match &key.meaning {
            Meaning::Keyed(_) => Sink::Keyed(self.open_upload(key, attributes, length).await?),
            Meaning::Blob(digest) => {
                if let (Some(declared), Some(received)) = (digest.size(), length)
                    && declared != received
                {
                    return Err(Error::LengthMismatch { declared, received });
                }
                let check = Box::new(BlobCheck::new(*digest));
                match self.has_blob(key, digest) {
                    Some(presence) => Sink::Known(check, presence.version),
                    None => Sink::Blob(check, self.open_upload(key, attributes, length).await?),
                }
            }
            Meaning::Action(action) => {
                if length.is_some_and(|length| length > MAX_ACTION_RESULT) {
                    return Err(Error::TooLarge { limit: MAX_ACTION_RESULT });
                }
                Sink::Action(Gathered::default(), action.function(), attributes)
            }
        };
        Ok(Upload { cache: self.clone(), key: key.clone(), declared: length, received: 0, sink })
    }

    async fn open_upload(
        &self,
        key: &ArtifactKey,
        attributes: Attributes,
        length: Option<u64>,
    ) -> Result<kura_store::Upload, Error> {
        let request = PutRequest { key: key.record.clone(), attributes, encoding: Encoding::Identity, length };
        Ok(self.inner.store.put(request).await?)
    }
}

impl Upload {
    /// Set where it is there already, so that the body need not be sent at all: [`Upload::commit`] would store nothing.
    #[must_use]
    pub fn known(&self) -> Option<Version> {
        match &self.sink {
            Sink::Known(_, version) => Some(*version),
            _ => None,
        }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// `LengthMismatch` for more than was declared, `TooLarge`; `Evicted`, `Busy`, `Full`: the upload is lost.
    pub async fn write(&mut self, piece: Bytes) -> Result<(), Error> {
        self.received += piece.len() as u64;
        if let Some(declared) = self.declared.filter(|declared| self.received > *declared) {
            return Err(Error::LengthMismatch { declared, received: self.received });
        }
        match &mut self.sink {
            Sink::Keyed(upload) => upload.write(piece).await?,
            Sink::Blob(check, upload) => {
                check.update(&piece);
                upload.write(piece).await?;
            }
            Sink::Known(check, _) => check.update(&piece),
            Sink::Action(gathered, ..) => gathered.push(piece)?,
        }
        Ok(())
    }

    /// Ends the upload: from the answer on it can be read.
    ///
    /// # Errors
    /// `LengthMismatch`, `DigestMismatch`, `NotAnActionResult`; `Evicted`, `Busy`, `Full`. Nothing is kept then.
    pub async fn commit(self) -> Result<Stored, Error> {
        if let Some(declared) = self.declared.filter(|declared| self.received != *declared) {
            return Err(Error::LengthMismatch { declared, received: self.received });
        }
        let counters = &self.cache.inner.counters;
        let version = match self.sink {
            Sink::Keyed(upload) => upload.commit(Commit::default()).await?,
            Sink::Blob(check, upload) => {
                let sha256 = check.finish()?;
                upload.commit(Commit { logical_len: None, sha256 }).await?
            }
            Sink::Known(check, version) => {
                check.finish()?;
                counters.known(self.key.kind());
                return Ok(Stored { version, known: true });
            }
            Sink::Action(gathered, function, attributes) => {
                let result = gathered.into_bytes();
                check_result(&result, function)?;
                let mut upload = self.cache.open_upload(&self.key, attributes, Some(self.received)).await?;
                upload.write(result).await?;
                upload.commit(Commit::default()).await?
            }
        };
        counters.stored(self.key.kind(), self.received);
        Ok(Stored { version, known: false })
    }
}
