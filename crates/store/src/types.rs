//! The store's units: each number that could be mistaken for another has a type of its own.

use std::fmt;

/// Records and bodies start at multiples of this many bytes.
pub const ALIGNMENT: u64 = 64;

/// `length` rounded up to a multiple of [`ALIGNMENT`].
#[must_use]
pub const fn align_up(length: u64) -> u64 {
    length.div_ceil(ALIGNMENT) * ALIGNMENT
}

/// When a record was committed: 48 bits of milliseconds and 16 of counter, strictly increasing within a store. Never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl Version {
    /// The milliseconds since the Unix epoch that the version was taken at, or later.
    #[must_use]
    pub const fn unix_millis(self) -> u64 {
        self.0 >> 16
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{:016x}", self.0)
    }
}

/// A segment's place in the ring, and its file's name. It comes from the same counter as [`Version`]: a segment's number is above every
/// version that was taken before it was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentNumber(pub u64);

impl SegmentNumber {
    /// Whether every record of this segment was written, copied or promoted after `version` was taken.
    #[must_use]
    pub const fn is_above(self, version: Version) -> bool {
        self.0 > version.0
    }
}

impl fmt::Display for SegmentNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A byte's distance from the start of its segment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub u64);

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Bytes of a body as it lies on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoredLen(pub u64);

/// Bytes of a body as its reader knows it: equal to [`StoredLen`] unless the body is stored compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogicalLen(pub u64);

/// A record's position in the commit order of the segment that it lies in, from zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ordinal(pub u32);

/// The 128-bit keyed hash of a record's key: what the index knows of it. Keyed, so that nobody can choose two keys that collide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u128);

/// What sort of artifact a key names. The store only keeps it apart; the cache layer gives it meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(pub u8);

/// Where a record lies: later places win between copies of one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The segment's number.
    pub segment: SegmentNumber,
    /// Where its header starts.
    pub offset: Offset,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.segment, self.offset)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// How a body is encoded on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// As zstd frames.
    Zstd,
    /// As a list of the artifacts whose bodies, one after another, it is. Only the cache layer reads it.
    Recipe,
}

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordType {
    /// A body under a key.
    Artifact,
    /// Ends every lower version of one key.
    KeyTombstone,
    /// Ends every lower version of all keys of a namespace.
    NamespaceTombstone,
}

/// A coarse time: minutes since the Unix epoch modulo 2^16, never zero, so that an entry can leave it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Minutes(std::num::NonZeroU16);

impl Minutes {
    /// The minute of a time.
    #[must_use]
    pub fn from_unix_millis(millis: u64) -> Minutes {
        let [low, high, ..] = (millis / 60_000).to_le_bytes();
        Minutes::from_bits(u16::from_le_bytes([low, high])).unwrap_or(Minutes(std::num::NonZeroU16::MIN))
    }

    /// From two bytes, of which zero means none.
    #[must_use]
    pub fn from_bits(bits: u16) -> Option<Minutes> {
        std::num::NonZeroU16::new(bits).map(Minutes)
    }

    /// As two bytes.
    #[must_use]
    pub fn bits(self) -> u16 {
        self.0.get()
    }

    /// Minutes from this time to `now`, over the wrap.
    #[must_use]
    pub fn age(self, now: Minutes) -> u16 {
        now.bits().wrapping_sub(self.bits())
    }

    /// The time `minutes` before this one.
    #[must_use]
    pub fn before(self, minutes: u16) -> Minutes {
        Minutes::from_bits(self.bits().wrapping_sub(minutes)).unwrap_or(Minutes(std::num::NonZeroU16::MIN))
    }
}
