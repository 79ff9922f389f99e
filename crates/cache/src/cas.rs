//! Content-addressed blobs: verified while they stream in, so that a mismatch leaves nothing; immutable from then on.
//! The empty blob always exists and is never stored. A digest of another size than the stored blob's is another blob, which is not there.

use bytes::Bytes;

use crate::artifact::ArtifactKey;
use crate::digest::{Digest, Verifier};
use crate::error::Error;
use crate::{Artifact, Attributes, Cache, Presence, Version};

/// The version of the empty blob, which nobody wrote.
const EMPTY_BLOB_VERSION: Version = Version(1);

impl Cache {
    pub(crate) fn has_blob(&self, key: &ArtifactKey, digest: &Digest) -> Option<Presence> {
        let found = self.probe_index(key).filter(|found| digest.size().is_none_or(|size| size == found.length));
        found.or_else(|| digest.is_empty_blob().then_some(Presence { length: 0, version: EMPTY_BLOB_VERSION }))
    }

    pub(crate) async fn get_blob(&self, key: &ArtifactKey, digest: &Digest) -> Result<Option<Artifact>, Error> {
        let found = self.fetch(key).await?.filter(|found| digest.size().is_none_or(|size| size == found.length));
        let empty = || Artifact::in_memory(Bytes::new(), EMPTY_BLOB_VERSION, Attributes::default());
        Ok(found.or_else(|| digest.is_empty_blob().then(empty)))
    }
}

/// The check of one blob on its way in.
pub(crate) struct BlobCheck {
    expected: Digest,
    verifier: Verifier,
}

impl BlobCheck {
    pub(crate) fn new(expected: Digest) -> BlobCheck {
        BlobCheck { expected, verifier: Verifier::new(expected.function()) }
    }

    pub(crate) fn update(&mut self, piece: &[u8]) {
        self.verifier.update(piece);
    }

    /// The SHA-256, where that is what was computed.
    ///
    /// # Errors
    /// `DigestMismatch`.
    pub(crate) fn finish(self) -> Result<Option<[u8; 32]>, Error> {
        let found = self.verifier.finish();
        let same_size = self.expected.size().is_none_or(|size| found.size() == Some(size));
        if found.hash() != self.expected.hash() || !same_size {
            return Err(Error::DigestMismatch { expected: Box::new(self.expected), found: Box::new(found) });
        }
        Ok(found.sha256())
    }
}
