//! Multipart uploads: an artifact that comes in parts, in any order, each again if need be, over restarts. There is no second copy and no second
//! database: a part is a record of its own from its first byte on, an upload is a small record that says what it makes (`session`), and completing
//! it stores the list of its parts (`assembly`) under the artifact's key. Who reads that artifact reads its parts.
//!
//! How to use it, from any surface:
//! 1. [`Cache::start_multipart`] with the key of the artifact, and what is to be kept beside it. Its client gets [`Multipart::id`].
//! 2. [`Cache::multipart`] finds it again, in the same tenant and namespace and nowhere else. `None`: it never was, was abandoned, cleaned or evicted,
//!    or is older than [`MAX_UPLOAD_AGE`].
//! 3. [`Multipart::put_part`] with the surface's own limits, then `write` and `commit`. The [`Version`] that a part gets tells it from one that takes
//!    its place: a surface with entity tags for parts makes them of it.
//! 4. [`Multipart::parts`] is what is there. A surface picks those that its client names, or refuses, and gives them to [`Multipart::complete`]. Who
//!    completes again names what [`Multipart::made_of`] says.
//! 5. [`Multipart::abandon`], or nothing: what is abandoned is evicted in its turn.
//!
//! Invariants:
//! - The list under the artifact's key is the one commit that matters: before it nothing of the upload can be read, from it on no part of it is taken
//!   any more. That the session says so too comes after it, and is made up for where a crash came between. One whose artifact is gone is as good as
//!   none: whoever is told that it is complete can read it.
//! - A list names its parts by number, size and version: a part that was replaced is never served as the one before.
//! - What changes an upload takes its turn: a part's commit, the completion and the end see no other in between.
//! - While parts come they are vouched for, all of them; a complete artifact vouches for its own. Deleting or replacing it deletes them.
//!
//! [`MAX_UPLOAD_AGE`]: crate::limits::MAX_UPLOAD_AGE

mod part;
pub(crate) mod session;
mod under_way;

use std::fmt;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use kura_store::key::RecordKey;
use kura_store::types::Encoding;
use kura_store::{Commit, PutRequest};

use crate::artifact::{ArtifactKey, Scope};
use crate::assembly::{Assembly, part_record};
use crate::digest::{Digest, Verifier};
use crate::error::Error;
use crate::limits::{DELETES_IN_FLIGHT, MAX_PART_NUMBER, PROBES_BETWEEN_YIELDS};
use crate::spliced::{Parts, Spliced};
use crate::{Attributes, Cache, Stored, Version};

pub use part::{PartLimits, PartUpload};
use session::{Session, session_record};
pub(crate) use under_way::UnderWay;

/// What names an upload: nobody can guess it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UploadId([u8; UploadId::LEN]);

impl UploadId {
    pub(crate) const LEN: usize = 16;

    /// As [`UploadId`] is displayed: 32 lowercase hex digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<UploadId> {
        let mut bytes = [0; UploadId::LEN];
        let lowercase = text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        (lowercase && faster_hex::hex_decode(text.as_bytes(), &mut bytes).is_ok() && text.len() == 32)
            .then_some(UploadId(bytes))
    }

    pub(crate) fn from_bytes(bytes: [u8; UploadId::LEN]) -> UploadId {
        UploadId(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8; UploadId::LEN] {
        &self.0
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&faster_hex::hex_string(&self.0))
    }
}

/// A part's place in the whole: from 1 to [`MAX_PART_NUMBER`], with gaps where there are.
///
/// [`MAX_PART_NUMBER`]: crate::limits::MAX_PART_NUMBER
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartNumber(u16);

impl PartNumber {
    /// `None` outside of the range.
    #[must_use]
    pub fn new(number: u64) -> Option<PartNumber> {
        u16::try_from(number).ok().filter(|number| (1..=MAX_PART_NUMBER).contains(number)).map(PartNumber)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

/// A part that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Its place in the whole.
    pub number: PartNumber,
    /// Its bytes.
    pub size: u64,
    /// When it was stored: another for each that takes its place.
    pub version: Version,
}

/// An upload that is known, as it was found.
#[derive(Clone)]
pub struct Multipart {
    cache: Cache,
    id: UploadId,
    record: RecordKey,
    session: Arc<Session>,
}

impl Cache {
    /// Starts an upload that makes that artifact, a keyed value. From the answer on it outlives the process.
    ///
    /// # Errors
    /// `Busy` while too many are under way; `Invalid` for what is no keyed value; as for storing an artifact.
    pub async fn start_multipart(&self, target: &ArtifactKey, attributes: Attributes) -> Result<Multipart, Error> {
        if !target.kind().is_keyed() {
            return Err(Error::Invalid("blobs and action results do not come in parts"));
        }
        let (high, low) = (self.inner.runtime.random(), self.inner.runtime.random());
        let id = UploadId((u128::from(high) << 64 | u128::from(low)).to_be_bytes());
        let record = session_record(&target.scope, &id)?;
        self.inner.uploads.enter(&record, self.inner.runtime.monotonic())?;
        let session = Session { target: target.clone(), attributes, completed: None };
        self.store_session(&record, &session).await?;
        let _leased = self.inner.store.contains(&record);
        Ok(Multipart { cache: self.clone(), id, record, session: Arc::new(session) })
    }

    /// The upload of that id in that namespace.
    ///
    /// # Errors
    /// As for reading an artifact.
    pub async fn multipart(&self, scope: &Scope, id: &UploadId) -> Result<Option<Multipart>, Error> {
        let record = session_record(scope, id)?;
        let session = self.session(scope, &record).await?;
        Ok(session.map(|session| Multipart { cache: self.clone(), id: *id, record, session: Arc::new(session) }))
    }

    /// Deletes the parts of an artifact that is no more. They would be evicted in their turn: that one could not be is no harm.
    pub(crate) async fn delete_parts(&self, scope: &Scope, assembly: &Assembly) {
        let delete = async |part: &Part| -> Result<(), Error> {
            let record = assembly.record(scope, part)?;
            let same = self.inner.store.contains(&record).is_some_and(|found| found.version == part.version);
            if same {
                self.inner.store.delete(&record).await?;
            }
            Ok(())
        };
        let mut deleted = stream::iter(&assembly.parts).map(delete).buffer_unordered(DELETES_IN_FLIGHT);
        while let Some(outcome) = deleted.next().await {
            if let Err(error) = outcome {
                tracing::debug!(%error, "a part that nobody needs stays until it is evicted");
            }
        }
    }
}

impl Multipart {
    /// What its client calls it.
    #[must_use]
    pub fn id(&self) -> &UploadId {
        &self.id
    }

    /// What it makes.
    #[must_use]
    pub fn target(&self) -> &ArtifactKey {
        &self.session.target
    }

    /// Set where it was complete when it was looked for: what it made was stored then.
    #[must_use]
    pub fn completed(&self) -> Option<Version> {
        self.session.completed
    }

    fn scope(&self) -> &Scope {
        &self.session.target.scope
    }

    /// The parts that are there, in order of number. Vouches for them.
    ///
    /// # Errors
    /// `Key`.
    pub async fn parts(&self) -> Result<Vec<Part>, Error> {
        let mut parts = Vec::new();
        for number in 1..=MAX_PART_NUMBER {
            if usize::from(number) % PROBES_BETWEEN_YIELDS == 0 {
                self.cache.inner.runtime.yield_now().await;
            }
            let number = PartNumber(number);
            let found = self.cache.inner.store.contains(&part_record(self.scope(), &self.id, number)?);
            parts.extend(found.map(|found| Part { number, size: found.logical_len, version: found.version }));
        }
        Ok(parts)
    }

    /// Bytes of all parts. Vouches for them.
    async fn count(&self) -> Result<u64, Error> {
        Ok(self.parts().await?.iter().map(|part| part.size).sum())
    }

    /// What the artifact was made of, where this upload made the one that is there.
    ///
    /// # Errors
    /// As for reading an artifact.
    pub async fn made_of(&self) -> Result<Option<Vec<Part>>, Error> {
        Ok(self.made().await?.map(|(made, _)| made.parts.clone()))
    }

    /// Makes the artifact of these parts, whose numbers rise; `expected` is its digest, where its client says one. What an upload has made stays what
    /// it is: to complete it again with the same parts changes nothing. Whoever is told that it is there can read it.
    ///
    /// # Errors
    /// `OtherParts` for none, another order, and parts that are not there like that; `DigestMismatch`; `WholeTooLarge`; `UnknownUpload` where it
    /// has ended meanwhile, or what it made is gone; as for storing an artifact.
    pub async fn complete(
        &self,
        parts: Vec<Part>,
        expected: Option<&Digest>,
        limits: PartLimits,
    ) -> Result<Stored, Error> {
        let assembly = Assembly { id: self.id, parts };
        if self.completed().is_some() {
            return self.again(&assembly, expected).await;
        }
        let limit = limits.whole.min(self.cache.max_artifact_size());
        let length = assembly.length().filter(|_| assembly.is_in_order()).ok_or(Error::OtherParts)?;
        if length > limit {
            return Err(Error::WholeTooLarge { limit });
        }
        let assembly = Arc::new(assembly);
        let mut commit = Commit { logical_len: Some(length), sha256: None };
        if let Some(expected) = expected {
            commit.sha256 = self.verify(&assembly, length, expected).await?.sha256();
        }
        let inner = &self.cache.inner;
        let _turn = inner.turns.take(&self.record).await;
        let session = self.cache.session(self.scope(), &self.record).await?.ok_or(Error::UnknownUpload)?;
        if session.completed.is_some() {
            return self.again(&assembly, None).await;
        }
        let (version, known) = match self.made().await? {
            Some((made, _)) if *made != *assembly => return Err(Error::OtherParts),
            Some((_, version)) => (version, true),
            None if !self.cache.is_whole(self.scope(), &assembly).await? => return Err(Error::OtherParts),
            None => (self.store(&assembly, commit).await?, false),
        };
        self.cache.store_session(&self.record, &Session { completed: Some(version), ..session }).await?;
        inner.uploads.leave(&self.record);
        if self.made().await?.is_none() {
            // The namespace was cleaned after the one, and before the other was stored.
            inner.store.delete(&self.record).await?;
            return Err(Error::UnknownUpload);
        }
        Ok(Stored { version, known })
    }

    /// What completing it comes to that was complete: nothing new, of the same parts and with the same digest.
    async fn again(&self, named: &Assembly, expected: Option<&Digest>) -> Result<Stored, Error> {
        let (made, version) = self.made().await?.ok_or(Error::UnknownUpload)?;
        if !self.cache.is_whole(self.scope(), &made).await? {
            return Err(Error::UnknownUpload);
        }
        if *made != *named {
            return Err(Error::OtherParts);
        }
        if let Some(expected) = expected {
            let stored = self.cache.inner.store.get(&self.target().record).await?;
            let known = stored.and_then(|stored| stored.sha256);
            if known.is_none() || known != expected.sha256() {
                self.verify(&made, made.length().unwrap_or(0), expected).await?;
            }
        }
        Ok(Stored { version, known: true })
    }

    /// Reads the parts once.
    async fn verify(&self, assembly: &Arc<Assembly>, length: u64, expected: &Digest) -> Result<Digest, Error> {
        if !self.cache.is_whole(self.scope(), assembly).await? {
            return Err(Error::OtherParts);
        }
        let parts = Parts::Uploaded(Arc::clone(assembly));
        let mut content = Spliced::new(self.cache.clone(), self.scope().clone(), parts, length);
        let mut verifier = Verifier::new(expected.function());
        while let Some(piece) = content.next().await? {
            verifier.update(&piece);
            self.cache.inner.runtime.yield_now().await;
        }
        let found = verifier.finish();
        if found.hash() != expected.hash() {
            return Err(Error::DigestMismatch { expected: Box::new(*expected), found: Box::new(found) });
        }
        Ok(found)
    }

    async fn store(&self, assembly: &Assembly, commit: Commit) -> Result<Version, Error> {
        let (cache, target) = (&self.cache, &self.session.target);
        let replaced = cache.assembly_of(target).await?;
        let list = assembly.encode();
        let request = PutRequest {
            key: target.record.clone(),
            attributes: self.session.attributes.clone(),
            encoding: Encoding::Recipe,
            length: Some(list.len() as u64),
        };
        let mut upload = cache.store(request).await?;
        upload.write(list).await?;
        let version = upload.commit(commit).await?;
        cache.inner.counters.stored(target.kind(), assembly.length().unwrap_or(0));
        if let Some((replaced, _)) = replaced {
            cache.delete_parts(&target.scope, &replaced).await;
        }
        Ok(version)
    }

    /// Set if the artifact is what this upload made of it.
    async fn made(&self) -> Result<Option<(Arc<Assembly>, Version)>, Error> {
        let found = self.cache.assembly_of(self.target()).await?;
        Ok(found.filter(|(assembly, _)| assembly.id == self.id))
    }

    /// # Errors
    /// `UnknownUpload`.
    async fn check_open(&self) -> Result<(), Error> {
        let session = self.cache.session(self.scope(), &self.record).await?;
        let open = session.is_some_and(|session| session.completed.is_none()) && self.made().await?.is_none();
        if open { Ok(()) } else { Err(Error::UnknownUpload) }
    }

    /// Ends it, and deletes its parts.
    ///
    /// # Errors
    /// `UnknownUpload` once it is over; as for deleting an artifact.
    pub async fn abandon(&self) -> Result<(), Error> {
        let inner = &self.cache.inner;
        let _turn = inner.turns.take(&self.record).await;
        self.check_open().await?;
        inner.store.delete(&self.record).await?;
        inner.uploads.leave(&self.record);
        let all = Assembly { id: self.id, parts: self.parts().await? };
        self.cache.delete_parts(self.scope(), &all).await;
        Ok(())
    }
}
