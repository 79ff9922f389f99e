//! Content-addressed blobs: verified while they stream in, so that a mismatch leaves nothing; immutable from then on.
//! One that comes as zstd is verified by decoding it, and stored as it came: what it may decode to is bounded by the size in its digest.
//! The empty blob always exists and is never stored. A digest of another size than the stored blob's is another blob, which is not there.

use bytes::Bytes;
use kura_store::Commit;

use crate::artifact::ArtifactKey;
use crate::digest::{Digest, Verifier};
use crate::error::Error;
use crate::limits::{COMPRESSED_SLACK, WHOLE};
use crate::pool::{Lease, Pool};
use crate::presence::EMPTY_BLOB_VERSION;
use crate::zstd::{Decoder, Refused};
use crate::{Artifact, Attributes, Cache, Form};

impl Cache {
    pub(crate) async fn get_blob(
        &self,
        key: &ArtifactKey,
        digest: &Digest,
        form: Form,
    ) -> Result<Option<Artifact>, Error> {
        let found = self.fetch(key, form).await?.filter(|found| digest.size().is_none_or(|size| size == found.length));
        let empty = || Artifact::in_memory(Bytes::new(), EMPTY_BLOB_VERSION, Attributes::default());
        match (found.or_else(|| digest.is_empty_blob().then(empty)), form) {
            (Some(found), Form::Zstd { from }) => Ok(Some(self.in_zstd(found, from).await?)),
            (found, _) => Ok(found),
        }
    }
}

/// The check of one blob on its way in, compressed or not.
pub(crate) struct BlobCheck {
    expected: Digest,
    verifier: Verifier,
    decoding: Option<Decoding>,
}

/// The content of a compressed blob is what has the digest.
struct Decoding {
    /// The most bytes that it may hold, and those it held so far.
    size: u64,
    decoded: u64,
    /// The most bytes that it may have, and those that came so far.
    limit: u64,
    received: u64,
    /// A short body is decoded when all of it is there: its client cannot hold a decoder.
    held: Vec<Bytes>,
    decoders: Pool<Decoder>,
    /// From the first byte that is decoded to the last.
    decoder: Option<Lease<Decoder>>,
}

impl BlobCheck {
    /// Of a body that is the content.
    pub(crate) fn of_content(expected: Digest) -> BlobCheck {
        BlobCheck { expected, verifier: Verifier::new(expected.function()), decoding: None }
    }

    /// Of a body that is the content in zstd, `size` bytes of it at most.
    pub(crate) fn of_zstd(expected: Digest, size: u64, decoders: Pool<Decoder>) -> BlobCheck {
        let limit = size.saturating_mul(2).saturating_add(COMPRESSED_SLACK);
        let decoding = Decoding { size, decoded: 0, limit, received: 0, held: Vec::new(), decoders, decoder: None };
        BlobCheck { decoding: Some(decoding), ..BlobCheck::of_content(expected) }
    }

    /// # Errors
    /// `NotZstd`, `LengthMismatch` for more content than the digest says, `TooLarge` for a body far longer than that, `Busy`.
    pub(crate) async fn update(&mut self, piece: &Bytes) -> Result<(), Error> {
        match &mut self.decoding {
            Some(decoding) if decoding.size <= WHOLE => {
                decoding.count(piece)?;
                decoding.held.push(piece.clone());
            }
            Some(decoding) => {
                decoding.count(piece)?;
                decoding.decode(piece, &mut self.verifier).await?;
            }
            None => self.verifier.update(piece),
        }
        Ok(())
    }

    /// What its trailer says of it.
    ///
    /// # Errors
    /// `DigestMismatch`, and as for [`BlobCheck::update`]; `NotZstd` also for a frame that is cut short.
    pub(crate) async fn finish(mut self) -> Result<Commit, Error> {
        if let Some(decoding) = &mut self.decoding {
            for piece in std::mem::take(&mut decoding.held) {
                decoding.decode(&piece, &mut self.verifier).await?;
            }
            if decoding.decoder.take().is_some_and(|decoder| !decoder.is_complete()) {
                return Err(Error::NotZstd("the last frame is cut short"));
            }
        }
        let found = self.verifier.finish();
        let same_size = self.expected.size().is_none_or(|size| found.size() == Some(size));
        if found.hash() != self.expected.hash() || !same_size {
            return Err(Error::DigestMismatch { expected: Box::new(self.expected), found: Box::new(found) });
        }
        Ok(Commit { logical_len: found.size(), sha256: found.sha256() })
    }
}

impl Decoding {
    fn count(&mut self, piece: &Bytes) -> Result<(), Error> {
        self.received += piece.len() as u64;
        if self.received > self.limit { Err(Error::TooLarge { limit: self.limit }) } else { Ok(()) }
    }

    async fn decode(&mut self, piece: &Bytes, verifier: &mut Verifier) -> Result<(), Error> {
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            none => none.insert(self.decoders.take().await?),
        };
        let mut input = piece.clone();
        while !decoder.is_done_with(&input) {
            let content = decoder.step(&mut input).map_err(|Refused(why)| Error::NotZstd(why))?;
            self.decoded += content.len() as u64;
            if self.decoded > self.size {
                return Err(Error::LengthMismatch { declared: self.size, received: self.decoded });
            }
            verifier.update(content);
            if !decoder.is_done_with(&input) {
                self.decoders.rest().await;
            }
        }
        Ok(())
    }
}
