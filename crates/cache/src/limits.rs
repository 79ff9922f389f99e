//! What one request may cost, in one place, related where one bounds another.

use std::time::Duration;

use crate::assembly;
use crate::chunker::MAX_CHUNK_SIZE;

/// The longest action result that is taken, in bytes. It is gathered in memory to be checked.
pub const MAX_ACTION_RESULT: u64 = 8 << 20;

/// The longest tree or directory message that is read for a completeness check, in bytes. Of about 150,000 files.
pub(crate) const MAX_TREE: u64 = 16 << 20;

/// All trees and directories of one action result together, in bytes.
pub(crate) const MAX_TREES: u64 = 64 << 20;

/// How many directory messages one action result may reach by digest.
pub(crate) const MAX_DIRECTORIES: usize = 100_000;

/// Other tasks run after this many probes of the index.
pub(crate) const PROBES_BETWEEN_YIELDS: usize = 4096;

/// The most parts that a recipe has, those of parts that are recipes themselves included. At the size of chunks that is advertised it is a
/// blob of 32 GiB.
pub const MAX_PARTS: usize = 65_536;

/// The highest number of a part of a multipart upload, which are counted from 1: as S3 has it.
pub const MAX_PART_NUMBER: u16 = 10_000;

/// Bytes of lists of uploaded parts that are remembered. A part takes 24 of them.
pub(crate) const ASSEMBLIES_REMEMBERED: u64 = 4 << 20;

/// How long a multipart upload may take, from its start to its completion.
pub const MAX_UPLOAD_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// How many multipart uploads are under way at a time: those of which a part came within ten minutes. Who comes with a further one is told to
/// come back.
pub const MAX_UPLOADS: usize = 1024;

/// A multipart upload of which no part came for so long makes room for others that are under way. It goes on with its next part.
pub(crate) const UPLOAD_IDLE: Duration = Duration::from_secs(10 * 60);

/// Parts of an upload that is under way are vouched for at least this often.
pub(crate) const VOUCH_EVERY: Duration = Duration::from_secs(10 * 60);

/// How long to wait until a list is looked for.
pub(crate) const LIST_WAIT: Duration = Duration::from_secs(20);

/// For how long a list is gone on with that was looked for once.
pub(crate) const WINDOW_AGE: Duration = Duration::from_secs(10 * 60);

/// How many parts are deleted at a time.
pub(crate) const DELETES_IN_FLIGHT: usize = 16;

/// How many blobs are cut into chunks at a time; further ones wait. Each holds twice the longest chunk, and the chunks in flight.
pub(crate) const CHUNKERS: u64 = 4;

/// How many chunks of a blob wait for their commit at a time.
pub(crate) const CHUNKS_IN_FLIGHT: usize = 4;

/// What a blob that is cut takes of memory.
pub(crate) const CHUNKER_MEMORY: u64 = (2 + CHUNKS_IN_FLIGHT as u64) * MAX_CHUNK_SIZE;

/// The largest window that a zstd frame may ask for, as a power of two: 8 MiB, what RFC 8878 wants every decoder to have. A decoder holds
/// little more than its window.
pub(crate) const MAX_WINDOW_LOG: u32 = 23;

/// The most bodies that are decoded at a time, and that are encoded; further ones wait. Those that hold up to [`WHOLE`] bytes take their turn only
/// while they are decoded, longer ones as long as their client reads or sends.
pub(crate) const MAX_CODECS: u64 = 32;

/// What a decoder takes of memory at most.
pub(crate) const DECODER_MEMORY: u64 = (1 << MAX_WINDOW_LOG) + (256 << 10);

/// What an encoder takes.
pub(crate) const ENCODER_MEMORY: u64 = 1400 << 10;

/// A codec that holds more than this many bytes is not kept for its next use.
pub(crate) const IDLE_CODEC: usize = 2 << 20;

/// How long to wait for a codec, or a turn to cut a blob.
pub(crate) const TURN_WAIT: Duration = Duration::from_secs(10);

/// What a client that got none is told to wait.
pub(crate) const COME_BACK: Duration = Duration::from_secs(2);

/// The most bytes that a codec takes before other tasks run.
pub(crate) const STEP_INPUT: usize = 128 << 10;

/// The most bytes that a codec gives before other tasks run, and the longest piece of a body that comes from one.
pub(crate) const STEP_OUTPUT: usize = 256 << 10;

/// Bodies of up to this many bytes are decoded, or encoded, all at once.
pub(crate) const WHOLE: u64 = 1 << 20;

/// A compressed body may be longer than what it holds, by that once more and this many bytes: room for incompressible content in small
/// blocks, and none for hiding something in frames that hold nothing.
pub(crate) const COMPRESSED_SLACK: u64 = 64 << 10;

const _: () = assert!(MAX_TREE <= MAX_TREES);
const _: () = assert!(assembly::MAX_LEN as u64 <= ASSEMBLIES_REMEMBERED, "the largest list of parts can be remembered");
