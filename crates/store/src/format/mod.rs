//! The on-disk format, version 1: bytes to values and back. No I/O.
//! All integers are little-endian. Every decoder is total: whatever the bytes, it answers, never panics, and allocates no more than they justify.
//! `docs/format.md` gives every byte; the golden files in `tests/golden` hold it still: a byte that changes is a version that changes.

pub(crate) mod checksum;
pub mod footer;
pub mod heat;
pub mod record;
pub mod scrub;
pub mod segment;
pub mod store_file;

/// The newest version that this code reads, and the one that it writes.
pub const FORMAT_VERSION: u32 = 1;

/// Held (flock) by the process that owns the directory.
pub const LOCK: &str = "kura.lock";
/// Who the store is.
pub const STORE: &str = "STORE";
/// Use counters, a hint.
pub const HEAT: &str = "heat";
/// How far the scrubber has come, a hint.
pub const SCRUB: &str = "scrub";
/// Who may do what: the binary's, of which the store knows nothing but the name.
pub const TOKENS: &str = "tokens";
/// What the key pairs of tokens are made with: the binary's, too.
pub const TOKENS_S3: &str = "tokens.s3";
/// The ring.
pub const SEGMENTS_DIRECTORY: &str = "segments";
/// What is not complete has a name that starts so, and is removed at the next start.
pub const TEMPORARY_PREFIX: &str = "tmp-";

/// What did not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage(pub &'static str);

/// Why a file cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormatError {
    /// Written by a newer Kura.
    NewerVersion {
        /// The version in the file.
        found: u32,
        /// The newest that this code reads.
        known: u32,
    },
    /// Not what was written.
    Damaged(Damage),
}

impl From<Damage> for FormatError {
    fn from(damage: Damage) -> FormatError {
        FormatError::Damaged(damage)
    }
}

pub(crate) fn check_version(found: u32) -> Result<(), FormatError> {
    match found {
        1..=FORMAT_VERSION => Ok(()),
        0 => Err(Damage("format version zero").into()),
        _ => Err(FormatError::NewerVersion { found, known: FORMAT_VERSION }),
    }
}

/// Takes fields off the front of a slice.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    pub(crate) fn slice(&mut self, length: usize) -> Result<&'a [u8], Damage> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Damage("cut short"))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Damage("cut short"))?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Damage> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Damage> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Damage> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Damage> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn magic(&mut self, magic: &[u8], what: &'static str) -> Result<(), Damage> {
        if self.slice(magic.len())? == magic { Ok(()) } else { Err(Damage(what)) }
    }
}
