//! A body on its way in: checked as its kind demands, stored as it comes.
//! Of two uploads of one blob both succeed, and one copy is stored.
//! Invariant: nothing can be read before [`Upload::commit`] has answered; an upload that is dropped never was.

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::action::{attributes_of, check_result};
use crate::artifact::{ArtifactKey, Meaning};
use crate::cas::BlobCheck;
use crate::digest::DigestFunction;
use crate::error::Error;
use crate::gathered::Gathered;
use crate::limits::{MAX_ACTION_RESULT, WHOLE};
use crate::{Attributes, Cache, Presence, Version};
use kura_store::types::Encoding;
use kura_store::{Commit, PutRequest};

/// A body on its way in.
#[must_use]
pub struct Upload {
    cache: Cache,
    key: ArtifactKey,
    declared: Option<u64>,
    received: u64,
    /// A piece was taken in part: what is written and what is checked may differ.
    torn: bool,
    sink: Sink,
}

enum Sink {
    /// Checked against nothing.
    Keyed(kura_store::Upload),
    /// Checked against its digest.
    Blob(Box<BlobCheck>, kura_store::Upload),
    /// Checked against its digest, then compressed if that is worth it.
    Compressing(Box<BlobCheck>, Gathered, Attributes),
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
            Meaning::Keyed(_) => Sink::Keyed(self.store(request(key, attributes, Encoding::Identity, length)).await?),
            Meaning::Blob(digest) => {
                if let (Some(declared), Some(received)) = (digest.size(), length)
                    && declared != received
                {
                    return Err(Error::LengthMismatch { declared, received });
                }
                let check = BlobCheck::of_content(*digest);
                if self.inner.settings.compress
                    && length.is_some_and(|length| length <= WHOLE)
                    && self.present(key).await?.is_none()
                {
                    Sink::Compressing(Box::new(check), Gathered::up_to(WHOLE), attributes)
                } else {
                    self.blob_sink(key, check, request(key, attributes, Encoding::Identity, length)).await?
                }
            }
            Meaning::Action(action) => {
                if length.is_some_and(|length| length > MAX_ACTION_RESULT) {
                    return Err(Error::TooLarge { limit: MAX_ACTION_RESULT });
                }
                let attributes = attributes_of(action, attributes)?;
                Sink::Action(Gathered::up_to(MAX_ACTION_RESULT), action.function(), attributes)
            }
        };
        Ok(Upload { cache: self.clone(), key: key.clone(), declared: length, received: 0, torn: false, sink })
    }

    /// As [`Cache::put`], for a blob that comes as zstd frames of its content, and is stored as they are. `length` is theirs.
    ///
    /// # Errors
    /// As [`Cache::put`]; `Invalid` for what is no blob, or one of unknown size.
    pub async fn put_zstd(
        &self,
        key: &ArtifactKey,
        attributes: Attributes,
        length: Option<u64>,
    ) -> Result<Upload, Error> {
        let Meaning::Blob(digest) = &key.meaning else {
            return Err(Error::Invalid("nothing but blobs is taken as zstd"));
        };
        let size = digest.size().ok_or(Error::Invalid("a blob that comes as zstd needs its size in its digest"))?;
        let limit = self.max_artifact_size();
        if size > limit {
            return Err(Error::TooLarge { limit });
        }
        let check = BlobCheck::of_zstd(*digest, size, self.inner.codecs.decoders.clone());
        let sink = self.blob_sink(key, check, request(key, attributes, Encoding::Zstd, length)).await?;
        Ok(Upload { cache: self.clone(), key: key.clone(), declared: length, received: 0, torn: false, sink })
    }

    /// Stores a blob, unless it is there by now: of two who bring the same one, one waits for what becomes of the other. `length` is for the
    /// counters.
    pub(crate) async fn store_once(
        &self,
        key: &ArtifactKey,
        length: u64,
        store: BoxFuture<'_, Result<Version, Error>>,
    ) -> Result<Stored, Error> {
        let _turn = self.inner.turns.take(&key.record).await;
        if let Some(found) = self.present(key).await? {
            self.inner.counters.known(key.kind());
            return Ok(Stored { version: found.version, known: true });
        }
        let version = store.await?;
        self.inner.counters.stored(key.kind(), length);
        Ok(Stored { version, known: false })
    }

    /// Stores content that is whole; compressed, if that is wanted and worth it.
    pub(crate) async fn store_checked(
        &self,
        key: &ArtifactKey,
        checked: Checked,
        compress: bool,
    ) -> Result<Version, Error> {
        let Checked { content, commit, attributes } = checked;
        let frame = if compress { self.inner.codecs.compress(&content).await } else { None };
        let (encoding, body) = match frame {
            Some(frame) => (Encoding::Zstd, frame),
            None => (Encoding::Identity, content),
        };
        let mut upload = self.store(request(key, attributes, encoding, Some(body.len() as u64))).await?;
        upload.write(body).await?;
        Ok(upload.commit(commit).await?)
    }

    async fn blob_sink(&self, key: &ArtifactKey, check: BlobCheck, request: PutRequest) -> Result<Sink, Error> {
        let check = Box::new(check);
        Ok(match self.present(key).await? {
            Some(presence) => Sink::Known(check, presence.version),
            None => Sink::Blob(check, self.store(request).await?),
        })
    }
}

/// Content that has the digest of its key.
pub(crate) struct Checked {
    pub(crate) content: Bytes,
    pub(crate) commit: Commit,
    pub(crate) attributes: Attributes,
}

fn request(key: &ArtifactKey, attributes: Attributes, encoding: Encoding, length: Option<u64>) -> PutRequest {
    PutRequest { key: key.record.clone(), attributes, encoding, length }
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

    /// Bytes taken so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Takes the next piece. If the future is dropped before it is done, the upload is lost.
    ///
    /// # Errors
    /// `LengthMismatch` for more than was declared, `TooLarge`, `NotZstd`; `Evicted`, `Busy`, `Full`: the upload is lost.
    pub async fn write(&mut self, piece: Bytes) -> Result<(), Error> {
        if std::mem::replace(&mut self.torn, true) {
            return Err(Error::Evicted);
        }
        self.received += piece.len() as u64;
        if self.declared.is_none() {
            self.cache.charge(&self.key.record, piece.len() as u64)?;
        }
        if let Some(declared) = self.declared.filter(|declared| self.received > *declared) {
            return Err(Error::LengthMismatch { declared, received: self.received });
        }
        match &mut self.sink {
            Sink::Keyed(upload) => upload.write(piece).await?,
            Sink::Blob(check, upload) => {
                check.update(&piece).await?;
                upload.write(piece).await?;
            }
            Sink::Compressing(check, gathered, _) => {
                check.update(&piece).await?;
                gathered.push(piece)?;
            }
            Sink::Known(check, _) => check.update(&piece).await?,
            Sink::Action(gathered, ..) => gathered.push(piece)?,
        }
        self.torn = false;
        Ok(())
    }

    /// As [`Upload::commit`] of a keyed value, where `holds` says so of what is there until now; else nothing, and nothing is stored. Of those who
    /// come for one key like this, one is weighed after the other: of two that expect nothing to be there, one is stored.
    ///
    /// # Errors
    /// As [`Upload::commit`]; `Invalid` for what is no keyed value.
    pub async fn commit_if(self, holds: impl FnOnce(Option<Presence>) -> bool) -> Result<Option<Stored>, Error> {
        if !matches!(self.sink, Sink::Keyed(_)) {
            return Err(Error::Invalid("blobs and action results are stored whatever is there"));
        }
        let (cache, key) = (self.cache.clone(), self.key.clone());
        let _turn = cache.inner.turns.take(&key.record).await;
        if !holds(cache.present(&key).await?) {
            return Ok(None);
        }
        self.commit().await.map(Some)
    }

    /// Ends the upload: from the answer on it can be read.
    ///
    /// # Errors
    /// `LengthMismatch`, `DigestMismatch`, `NotZstd`, `NotAnActionResult`; `Evicted`, `Busy`, `Full`. Nothing is kept then.
    pub async fn commit(self) -> Result<Stored, Error> {
        if self.torn {
            return Err(Error::Evicted);
        }
        if let Some(declared) = self.declared.filter(|declared| self.received != *declared) {
            return Err(Error::LengthMismatch { declared, received: self.received });
        }
        let (cache, key) = (&self.cache, &self.key);
        let version = match self.sink {
            Sink::Keyed(upload) => {
                let replaced = cache.assembly_of(key).await?;
                let version = upload.commit(Commit::default()).await?;
                if let Some((replaced, _)) = replaced {
                    Box::pin(cache.delete_parts(&key.scope, &replaced)).await;
                }
                version
            }
            Sink::Blob(check, upload) => {
                let commit = check.finish().await?;
                let store = Box::pin(async { Ok(upload.commit(commit).await?) });
                return cache.store_once(key, self.received, store).await;
            }
            Sink::Compressing(check, gathered, attributes) => {
                let checked = Checked { commit: check.finish().await?, content: gathered.into_bytes(), attributes };
                return cache.store_once(key, self.received, Box::pin(cache.store_checked(key, checked, true))).await;
            }
            Sink::Known(check, _) => {
                check.finish().await?;
                // What was there may have been cleaned since.
                let found = cache.present(key).await?.ok_or(Error::Evicted)?;
                cache.inner.counters.known(key.kind());
                return Ok(Stored { version: found.version, known: true });
            }
            Sink::Action(gathered, function, attributes) => {
                let result = gathered.into_bytes();
                check_result(&result, function)?;
                let request = request(key, attributes, Encoding::Identity, Some(self.received));
                let mut upload = cache.store(request).await?;
                upload.write(result).await?;
                upload.commit(Commit::default()).await?
            }
        };
        cache.inner.counters.stored(key.kind(), self.received);
        Ok(Stored { version, known: false })
    }
}
