//! What one call may cost, in one place, related where one bounds another. Sizes are bytes.

/// The longest message that clients take, by default in all of gRPC's implementations.
pub(crate) const MAX_SENT_MESSAGE: usize = 4 << 20;

/// The blobs of one batch together: the longest message less its framing, of some five hundred blobs.
pub(crate) const MAX_BATCH: u64 = (MAX_SENT_MESSAGE - (64 << 10)) as u64;

/// The longest message taken: batches of very many small blobs are mostly framing.
pub(crate) const MAX_RECEIVED_MESSAGE: usize = MAX_SENT_MESSAGE + (1 << 20);

/// Blobs of one batch that are read or written at a time: enough to share a sync, or to keep a device busy.
pub(crate) const BATCH_CONCURRENCY: usize = 256;

/// The most that one upload has in memory before it is written: what the store gathers, and what has been read ahead.
pub(crate) const UPLOAD_MEMORY: u64 = (1 << 20) + (256 << 10);

/// The most that one download has in memory: a piece being read, one that is sent, and what waits for the connection.
pub(crate) const DOWNLOAD_MEMORY: u64 = 1 << 20;

const _: () = assert!(MAX_BATCH < MAX_SENT_MESSAGE as u64);
const _: () = assert!(MAX_SENT_MESSAGE < MAX_RECEIVED_MESSAGE);
