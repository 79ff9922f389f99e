//! One packed entry: 48 bytes. An empty slot has version zero.

use super::{Entry, SegmentSlot};
use crate::types::{
    ALIGNMENT, Encoding, Fingerprint, LogicalLen, Minutes, Offset, Ordinal, RecordType, StoredLen, Version,
};

const SHADOWING: u8 = 1;
const ZSTD: u8 = 2;
const KEY_TOMBSTONE: u8 = 4;
const NAMESPACE_TOMBSTONE: u8 = 8;
const RECIPE: u8 = 16;

#[derive(Clone, Copy, Default)]
pub(super) struct Slot {
    fingerprint: [u64; 2],
    version: u64,
    stored_len: [u8; 5],
    logical_len: [u8; 5],
    segment: [u8; 3],
    offset: [u8; 3],
    ordinal: [u8; 3],
    head: u8,
    flags: u8,
    uses: u8,
    vouched: u16,
}

const _: () = assert!(size_of::<Slot>() == 48);

impl Slot {
    pub(super) fn is_empty(&self) -> bool {
        self.version == 0
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        Fingerprint(u128::from(self.fingerprint[0]) << 64 | u128::from(self.fingerprint[1]))
    }

    pub(super) fn high(&self) -> u64 {
        self.fingerprint[0]
    }

    /// Writes nothing where nothing changes: most slots are asked about several times a minute, and not in the processor's caches.
    pub(super) fn touch(&mut self, now: Minutes, used: bool) {
        if self.vouched != now.bits() {
            self.vouched = now.bits();
        }
        if used {
            self.uses = self.uses.saturating_add(1);
        }
    }

    pub(super) fn forget_vouch(&mut self, over: impl Fn(Minutes) -> bool) {
        if Minutes::from_bits(self.vouched).is_some_and(over) {
            self.vouched = 0;
        }
    }

    pub(super) fn pack(entry: &Entry) -> Slot {
        let kind = match entry.record_type {
            RecordType::Artifact => 0,
            RecordType::KeyTombstone => KEY_TOMBSTONE,
            RecordType::NamespaceTombstone => NAMESPACE_TOMBSTONE,
        };
        let encoding = match entry.encoding {
            Encoding::Identity => 0,
            Encoding::Zstd => ZSTD,
            Encoding::Recipe => RECIPE,
        };
        let shadowing = if entry.shadowing { SHADOWING } else { 0 };
        let fingerprint = entry.fingerprint.0.to_be_bytes();
        let half = |at: usize| u64::from_be_bytes(std::array::from_fn(|byte| fingerprint[at + byte]));
        Slot {
            fingerprint: [half(0), half(8)],
            version: entry.version.0,
            stored_len: low(entry.stored_len.0),
            logical_len: low(entry.logical_len.0),
            segment: low(u64::from(entry.slot.0)),
            offset: low(entry.offset.0 / ALIGNMENT),
            ordinal: low(u64::from(entry.ordinal.0)),
            head: u8::try_from(entry.head_len / ALIGNMENT).unwrap_or(u8::MAX),
            flags: shadowing | encoding | kind,
            uses: entry.uses,
            vouched: entry.vouched.map_or(0, Minutes::bits),
        }
    }

    #[inline]
    pub(super) fn unpack(&self) -> Entry {
        let record_type = match self.flags & (KEY_TOMBSTONE | NAMESPACE_TOMBSTONE) {
            0 => RecordType::Artifact,
            KEY_TOMBSTONE => RecordType::KeyTombstone,
            _ => RecordType::NamespaceTombstone,
        };
        let encoding = match self.flags & (ZSTD | RECIPE) {
            0 => Encoding::Identity,
            ZSTD => Encoding::Zstd,
            _ => Encoding::Recipe,
        };
        let short = |bytes: [u8; 3]| u32::try_from(wide(bytes)).unwrap_or(u32::MAX);
        Entry {
            fingerprint: self.fingerprint(),
            version: Version(self.version),
            slot: SegmentSlot(short(self.segment)),
            offset: Offset(wide(self.offset) * ALIGNMENT),
            ordinal: Ordinal(short(self.ordinal)),
            stored_len: StoredLen(wide(self.stored_len)),
            logical_len: LogicalLen(wide(self.logical_len)),
            head_len: u64::from(self.head) * ALIGNMENT,
            shadowing: self.flags & SHADOWING != 0,
            record_type,
            encoding,
            uses: self.uses,
            vouched: Minutes::from_bits(self.vouched),
        }
    }
}

/// The low bytes of a number that fits them: the format's bounds see to that.
fn low<const N: usize>(number: u64) -> [u8; N] {
    debug_assert!(number >> (8 * N) == 0, "{number} does not fit {N} bytes");
    let bytes = number.to_le_bytes();
    std::array::from_fn(|at| bytes[at])
}

fn wide<const N: usize>(bytes: [u8; N]) -> u64 {
    let mut all = [0; 8];
    all[..N].copy_from_slice(&bytes);
    u64::from_le_bytes(all)
}
