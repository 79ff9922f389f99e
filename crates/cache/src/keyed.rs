//! Keyed values: bytes under a key that only the client understands.
//! Invariant: the last writer wins, by the version that the store gives its commit; what is served is one writer's whole body, never a mixture.

use crate::artifact::ArtifactKey;
use crate::error::Error;
use crate::{Artifact, Cache, Form};

impl Cache {
    pub(crate) async fn get_keyed(&self, key: &ArtifactKey) -> Result<Option<Artifact>, Error> {
        self.fetch(key, Form::Identity).await
    }

    /// Whether the store writes, commits and reads back: stores `nonce` under the probe's own key and reads it.
    ///
    /// # Errors
    /// Whatever fails; `Evicted` where something else came back.
    pub async fn probe(&self, nonce: u64) -> Result<(), Error> {
        let body = bytes::Bytes::copy_from_slice(&nonce.to_le_bytes());
        let key = ArtifactKey::keyed(&crate::Scope::default(), crate::Kind::Probe, b"readiness")?;
        let mut upload = self.put(&key, crate::Attributes::default(), Some(body.len() as u64)).await?;
        upload.write(body.clone()).await?;
        upload.commit().await?;
        let found = self.get_keyed(&key).await?.ok_or(Error::Evicted)?;
        if found.body.collect().await? == body { Ok(()) } else { Err(Error::Evicted) }
    }
}
