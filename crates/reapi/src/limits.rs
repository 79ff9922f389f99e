//! What one call may cost, in one place, related where one bounds another. Sizes are bytes.

use kura_cache::MAX_CHUNK_SIZE;
use kura_cache::limits::MAX_PARTS;

/// The longest message that clients take, by default in all of gRPC's implementations.
pub(crate) const MAX_SENT_MESSAGE: usize = 4 << 20;

/// The blobs of one batch together: the longest message less its framing, of some five hundred blobs.
pub(crate) const MAX_BATCH: u64 = (MAX_SENT_MESSAGE - (64 << 10)) as u64;

/// The longest message taken: batches of very many small blobs are mostly framing.
pub(crate) const MAX_RECEIVED_MESSAGE: usize = MAX_SENT_MESSAGE + (1 << 20);

/// The longest message with an object of LLVM's: its clients know no other way to send one. It is gathered in memory, and accounted for.
pub(crate) const MAX_OBJECT_MESSAGE: usize = 64 << 20;

/// How much of one is hashed before other tasks run.
pub(crate) const HASHED_AT_ONCE: usize = 256 << 10;

/// Blobs of one batch that are read or written at a time: enough to share a sync, or to keep a device busy.
pub(crate) const BATCH_CONCURRENCY: usize = 256;

/// The most that one upload has in memory before it is written: what the store gathers, and what has been read ahead.
pub(crate) const UPLOAD_MEMORY: u64 = (1 << 20) + (256 << 10);

/// The most that one download has in memory: a piece being read, one that is sent, and what waits for the connection.
pub(crate) const DOWNLOAD_MEMORY: u64 = 1 << 20;

/// The most directories of one tree.
pub(crate) const MAX_DIRECTORIES: usize = 100_000;

/// The longest directory in a tree: it has to fit into a message.
pub(crate) const MAX_DIRECTORY: u64 = MAX_BATCH;

/// The most directories in one message of a tree.
pub(crate) const PAGE: usize = 1000;

/// Directories in one message of a tree together, unless there is only one.
pub(crate) const PAGE_BYTES: usize = 1 << 20;

/// Directories of a tree that are read at a time.
pub(crate) const DIRECTORIES_AHEAD: usize = 16;

/// What the walk through one tree is accounted for with: few directories are long.
pub(crate) const TREE_MEMORY: u64 = 2 << 20;

/// Digests in one message of a chunk mapping, of 140 bytes each at most.
pub(crate) const MAPPING: usize = 10_000;

/// The longest chunk mapping in memory, as it is read and as it is sent.
pub(crate) const MAPPING_MEMORY: u64 = (MAX_PARTS * 256) as u64;

/// URIs of one asset.
pub(crate) const MAX_URIS: usize = 100;

/// Fetches from origins that are under way, whether or not anybody still waits for them.
pub(crate) const FETCHES: usize = 1024;

/// How many of them transfer at a time; the others wait in line.
pub(crate) const FETCHES_AT_A_TIME: usize = 16;

/// The most that one fetch has in memory: what is being cut into chunks, twice the longest of them, and the chunks in flight.
pub(crate) const FETCH_MEMORY: u64 = 7 * MAX_CHUNK_SIZE;

const _: () = assert!(140 * MAPPING < MAX_SENT_MESSAGE);
const _: () = assert!(MAX_BATCH < MAX_SENT_MESSAGE as u64);
const _: () = assert!(MAX_SENT_MESSAGE < MAX_RECEIVED_MESSAGE);
