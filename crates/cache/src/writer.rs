//! Who stores: what stands for them is kept beside everything that is stored through their [`Cache`].

use std::sync::Arc;

use kura_store::PutRequest;

use crate::error::Error;
use crate::{AttributeName, Cache};

/// What stands for whoever stored a record; no secret. The number is on disk: it never changes.
pub const WRITER: AttributeName = AttributeName(11);

/// The longest that is kept, in bytes.
const MAX_WRITER: usize = 256;

impl Cache {
    /// The same cache, for somebody who stores: `writer` stands for them.
    #[must_use]
    pub fn by(&self, writer: Option<&Arc<str>>) -> Cache {
        Cache { inner: Arc::clone(&self.inner), writer: writer.cloned() }
    }

    /// Everything that is stored goes through here. Who began an upload in parts stays who stored it.
    pub(crate) async fn store(&self, mut request: PutRequest) -> Result<kura_store::Upload, Error> {
        if let Some(writer) = self.writer.as_ref().filter(|_| request.attributes.get(WRITER).is_none()) {
            let kept = &writer.as_bytes()[..writer.len().min(MAX_WRITER)];
            let attributes = request.attributes.with(WRITER, kept);
            request.attributes = attributes.map_err(|_| Error::Invalid("the attributes are too long"))?;
        }
        self.charge(&request.key, request.length.unwrap_or(0))?;
        Ok(self.inner.store.put(request).await?)
    }
}
