//! What one request may cost, in one place, related where one bounds another.

/// The longest action result that is taken, in bytes. It is gathered in memory to be checked.
pub const MAX_ACTION_RESULT: u64 = 8 << 20;

/// The longest tree or directory message that is read for a completeness check, in bytes. Of about 150,000 files.
pub(crate) const MAX_TREE: u64 = 16 << 20;

/// All trees and directories of one action result together, in bytes.
pub(crate) const MAX_TREES: u64 = 64 << 20;

/// Bytes of trees in memory at a time, over all checks that run; further ones wait.
pub(crate) const TREES_IN_MEMORY: u64 = 64 << 20;

/// How many directory messages one action result may reach by digest.
pub(crate) const MAX_DIRECTORIES: usize = 100_000;

/// A completeness check lets other tasks run after this many probes of the index.
pub(crate) const PROBES_BETWEEN_YIELDS: u32 = 4096;

const _: () = assert!(MAX_TREE <= TREES_IN_MEMORY, "the largest tree must be able to get its turn");
const _: () = assert!(MAX_TREE <= MAX_TREES);
