//! What is kept beside a body of what its client said of it. The numbers are on disk: they never change and are never used again; 3 and 11 are the cache's,
//! 6 to 9 are S3's.

use kura_cache::AttributeName;

/// The media type.
pub(crate) const TYPE: AttributeName = AttributeName(1);

/// The content encoding.
pub(crate) const ENCODING: AttributeName = AttributeName(2);

/// Turborepo's signature.
pub(crate) const TAG: AttributeName = AttributeName(4);

/// How long the task took that Turborepo stored the outputs of, in milliseconds.
pub(crate) const DURATION: AttributeName = AttributeName(5);

/// Further headers of an object, as S3's clients sent them: `name:value` and a newline each.
pub(crate) const HEADERS: AttributeName = AttributeName(6);

/// The SHA-256 that a client said of a body, as it spelled it.
pub(crate) const CHECKSUM: AttributeName = AttributeName(10);

/// The longest value, in bytes.
pub(crate) const MAX_LEN: usize = 256;
