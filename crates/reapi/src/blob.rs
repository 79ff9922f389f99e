//! Blobs in memory, whole: what batches and inlined contents are made of.

use bazel_remote_apis::build::bazel::remote::execution::v2::compressor::Value;
use bytes::Bytes;
use kura_cache::{ArtifactKey, Attributes, Cache, Compression, Digest, Error, Form, Scope};
use tonic::Status;

/// Stores a blob that is in memory.
///
/// # Errors
/// `LengthMismatch`, `DigestMismatch`, `NotZstd`, and as for any upload.
pub(crate) async fn store(
    cache: &Cache,
    scope: &Scope,
    digest: &Digest,
    compression: Compression,
    data: Bytes,
) -> Result<(), Error> {
    let key = ArtifactKey::blob(scope, digest)?;
    let length = Some(data.len() as u64);
    let mut upload = match compression {
        Compression::Identity => cache.put(&key, Attributes::default(), length).await?,
        Compression::Zstd => cache.put_zstd(&key, Attributes::default(), length).await?,
    };
    upload.write(data).await?;
    upload.commit().await.map(drop)
}

/// A blob of at most `most` bytes in that form; `None` where it is not there, or larger.
///
/// # Errors
/// As for any read.
pub(crate) async fn fetch(
    cache: &Cache,
    scope: &Scope,
    digest: &Digest,
    form: Form,
    most: u64,
) -> Result<Option<(Bytes, Compression)>, Error> {
    if digest.size().is_none_or(|size| size > most) {
        return Ok(None);
    }
    match cache.get_as(&ArtifactKey::blob(scope, digest)?, form).await? {
        Some(found) => Ok(Some((found.body.collect().await?, found.compression))),
        None => Ok(None),
    }
}

/// The compression that a message names.
///
/// # Errors
/// `INVALID_ARGUMENT` for one that is not served.
pub(crate) fn compression(said: i32) -> Result<Compression, Status> {
    match Value::try_from(said) {
        Ok(Value::Identity) => Ok(Compression::Identity),
        Ok(Value::Zstd) => Ok(Compression::Zstd),
        _ => Err(Status::invalid_argument("this compressor is not served here")),
    }
}

/// How a message names a compression.
pub(crate) fn compressor(compression: Compression) -> i32 {
    match compression {
        Compression::Identity => Value::Identity as i32,
        Compression::Zstd => Value::Zstd as i32,
    }
}
