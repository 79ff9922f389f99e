//! A record: head (fixed part, key, attributes), body, trailer.
//! The head's keyed hash binds it to its segment and offset; the commit mark, the same hash over that and the trailer, ends the record. A client can store
//! bytes that look like a record; it cannot store one that holds at its place.

use super::checksum::{Crc32c, crc32c};
use super::{Damage, Reader};
use crate::key::{Attributes, MAX_ATTRIBUTES_LEN, RecordKey, Secret};
use crate::types::{ALIGNMENT, Encoding, Fingerprint, Offset, Ordinal, RecordType, SegmentNumber, Version, align_up};

const MAGIC: &[u8; 4] = b"KREC";

/// Bytes of a head before its key.
pub const FIXED_HEAD_LEN: u64 = 64;

/// Where the head's hash lies in the fixed part.
pub(crate) const HASH: std::ops::Range<usize> = 40..48;

/// The stored length of a body that was still growing when its head was written.
const GROWING: u64 = u64::MAX;

/// Bytes of a trailer behind its checksums.
const FIXED_TRAILER_LEN: usize = 72;

const FLAG_COPY: u32 = 1;
const FLAG_SHA256: u32 = 2;

/// What binds a record to its place.
#[derive(Debug, Clone, Copy)]
pub struct Seal<'a> {
    /// The store's secret.
    pub secret: &'a Secret,
    /// The number that the segment was created with.
    pub birth: SegmentNumber,
    /// Where the record starts.
    pub offset: Offset,
}

/// The keyed hash of a head at its place; the commit mark covers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadHash(pub(crate) u64);

/// What stands in front of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// What the record is.
    pub record_type: RecordType,
    /// How the body is encoded.
    pub encoding: Encoding,
    /// What it is stored under.
    pub key: RecordKey,
    /// What is kept beside the body.
    pub attributes: Attributes,
    /// Bytes of the body as stored; `None` while it grows.
    pub stored_len: Option<u64>,
    /// The index fingerprint.
    pub fingerprint: Fingerprint,
}

impl Head {
    /// Of a record that ends what is stored under `key`, or in its namespace.
    pub(crate) fn tombstone(record_type: RecordType, key: RecordKey, fingerprint: Fingerprint) -> Head {
        let (attributes, encoding) = (Attributes::default(), Encoding::Identity);
        Head { record_type, encoding, key, attributes, stored_len: Some(0), fingerprint }
    }

    /// Bytes of the encoded head: a multiple of 64.
    #[must_use]
    pub fn encoded_len(&self) -> u64 {
        align_up(FIXED_HEAD_LEN + (self.key.encoded().len() + self.attributes.encoded().len()) as u64)
    }

    /// The head's bytes at its place, and their hash.
    ///
    /// # Panics
    /// Never: key and attributes are bounded by their constructors.
    #[must_use]
    pub fn encode(&self, seal: &Seal<'_>) -> (Vec<u8>, HeadHash) {
        let (key, attributes) = (self.key.encoded(), self.attributes.encoded());
        let short = |length: usize| u16::try_from(length).expect("bounded by its constructor").to_le_bytes();
        let mut bytes = Vec::with_capacity(self.encoded_len() as usize);
        bytes.extend(MAGIC);
        bytes.extend([encode_type(self.record_type), encode_encoding(self.encoding), self.key.kind().0, 0]);
        bytes.extend(self.stored_len.unwrap_or(GROWING).to_le_bytes());
        bytes.extend(short(key.len()));
        bytes.extend(short(attributes.len()));
        bytes.extend([0; 4]);
        bytes.extend(self.fingerprint.0.to_le_bytes());
        bytes.extend([0; 24]);
        bytes.extend(key);
        bytes.extend(attributes);
        let hash = hash_head(&bytes, seal);
        bytes[HASH].copy_from_slice(&hash.0.to_le_bytes());
        bytes.resize(self.encoded_len() as usize, 0);
        (bytes, hash)
    }

    /// The length of a head, told by its first 64 bytes; `None` if they cannot start one.
    #[must_use]
    pub fn peek_len(fixed: &[u8]) -> Option<u64> {
        let (key_len, attributes_len) = peek(fixed)?;
        Some(align_up(FIXED_HEAD_LEN + (key_len + attributes_len) as u64))
    }

    /// # Errors
    /// When the bytes are not a head that was written at this place.
    pub fn decode(bytes: &[u8], seal: &Seal<'_>) -> Result<(Head, HeadHash), Damage> {
        let (key_len, attributes_len) = peek(bytes).ok_or(Damage("the start of a record"))?;
        let end = FIXED_HEAD_LEN as usize + key_len + attributes_len;
        let covered = bytes.get(..end).ok_or(Damage("a head that is cut short"))?;
        let hash = hash_head(covered, seal);
        if covered[HASH] != hash.0.to_le_bytes() {
            return Err(Damage("the hash of a head"));
        }
        let mut reader = Reader::new(covered);
        reader.slice(MAGIC.len())?;
        let [record_type, encoding, _, _] = reader.array()?;
        let stored_len = Some(reader.u64()?).filter(|length| *length != GROWING);
        reader.slice(8)?;
        let fingerprint = Fingerprint(u128::from_le_bytes(reader.array()?));
        reader.slice(24)?;
        let key = RecordKey::decode(reader.slice(key_len)?).map_err(|_| Damage("the key of a record"))?;
        let attributes = Attributes::from_encoded(reader.slice(attributes_len)?);
        let head = Head {
            record_type: decode_type(record_type)?,
            encoding: decode_encoding(encoding)?,
            key,
            attributes,
            stored_len,
            fingerprint,
        };
        Ok((head, hash))
    }
}

/// The lengths of key and attributes, if the bytes can start a record.
fn peek(bytes: &[u8]) -> Option<(usize, usize)> {
    let fixed = bytes.get(..FIXED_HEAD_LEN as usize)?;
    if fixed[..4] != *MAGIC {
        return None;
    }
    let short = |at: usize| usize::from(u16::from_le_bytes([fixed[at], fixed[at + 1]]));
    let (key_len, attributes_len) = (short(16), short(18));
    (attributes_len <= MAX_ATTRIBUTES_LEN).then_some((key_len, attributes_len))
}

pub(crate) fn hash_head(bytes: &[u8], seal: &Seal<'_>) -> HeadHash {
    let place = [seal.birth.0.to_le_bytes(), seal.offset.0.to_le_bytes()].concat();
    HeadHash(seal.secret.hash(&[&bytes[..HASH.start], &bytes[HASH.end..], &place]))
}

/// Where the parts of a record lie, in bytes from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of the head.
    pub head_len: u64,
    /// Where the body starts.
    pub body: u64,
    /// Bytes of the body.
    pub stored_len: u64,
    /// Where the trailer starts: the first multiple of 8 behind the body.
    pub trailer: u64,
    /// Bytes of the trailer.
    pub trailer_len: u64,
    /// Bytes of the whole: a multiple of 64.
    pub total: u64,
}

impl Layout {
    /// The layout of a record whose body has `stored_len` bytes, a checksum for each `block` of them. Saturates on absurd lengths.
    #[must_use]
    pub const fn new(head_len: u64, stored_len: u64, block: u32) -> Layout {
        let end = head_len.saturating_add(stored_len);
        let trailer = end.saturating_add((8 - end % 8) % 8);
        let trailer_len = Trailer::encoded_len(stored_len, block);
        let total = trailer.saturating_add(trailer_len).saturating_add(ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        Layout { head_len, body: head_len, stored_len, trailer, trailer_len, total }
    }
}

/// What ends a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trailer {
    /// CRC-32C of each block of the body.
    pub crcs: Vec<u32>,
    /// Bytes of the body as stored.
    pub stored_len: u64,
    /// Bytes of the body as its reader knows it.
    pub logical_len: u64,
    /// SHA-256 of the decoded body, where it was computed.
    pub sha256: Option<[u8; 32]>,
    /// When it was committed.
    pub version: Version,
    /// Its place in its segment's commit order.
    pub ordinal: Ordinal,
    /// Whether it was carried here from an older segment.
    pub copy: bool,
}

impl Trailer {
    /// Bytes of the trailer of a body of `stored_len`.
    #[must_use]
    pub const fn encoded_len(stored_len: u64, block: u32) -> u64 {
        let sums = stored_len.div_ceil(block as u64) * 4;
        sums + sums % 8 + FIXED_TRAILER_LEN as u64
    }

    /// The trailer's bytes behind a head of that hash.
    #[must_use]
    pub fn encode(&self, head: HeadHash, secret: &Secret) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.crcs.len() * 4 + 8 + FIXED_TRAILER_LEN);
        self.crcs.iter().for_each(|crc| bytes.extend(crc.to_le_bytes()));
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        let flags = if self.copy { FLAG_COPY } else { 0 } | if self.sha256.is_some() { FLAG_SHA256 } else { 0 };
        bytes.extend(self.stored_len.to_le_bytes());
        bytes.extend(self.logical_len.to_le_bytes());
        bytes.extend(self.version.0.to_le_bytes());
        bytes.extend(self.ordinal.0.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        bytes.extend(self.sha256.unwrap_or_default());
        bytes.extend(secret.hash(&[&head.0.to_le_bytes(), &bytes]).to_le_bytes());
        bytes
    }
}

/// A trailer as it lies in a buffer.
#[derive(Debug, Clone, Copy)]
pub struct TrailerView<'a> {
    sums: &'a [u8],
    /// Bytes of the body as its reader knows it.
    pub logical_len: u64,
    /// SHA-256 of the decoded body, where it was computed.
    pub sha256: Option<[u8; 32]>,
    /// When it was committed.
    pub version: Version,
    /// Its place in its segment's commit order.
    pub ordinal: Ordinal,
    /// Whether it was carried here from an older segment.
    pub copy: bool,
}

impl<'a> TrailerView<'a> {
    /// # Errors
    /// When the bytes do not start with the trailer that commits a record of this layout behind that head.
    pub fn decode(
        bytes: &'a [u8],
        layout: &Layout,
        head: HeadHash,
        secret: &Secret,
    ) -> Result<TrailerView<'a>, Damage> {
        let length = usize::try_from(layout.trailer_len).map_err(|_| Damage("an absurd length"))?;
        let bytes = bytes.get(..length).ok_or(Damage("a trailer that is cut short"))?;
        let (covered, mark) = bytes.split_at(length - 8);
        if secret.hash(&[&head.0.to_le_bytes(), covered]).to_le_bytes() != *mark {
            return Err(Damage("the commit mark"));
        }
        let view = Self::parse(covered)?;
        if Reader::new(&covered[covered.len() - (FIXED_TRAILER_LEN - 8)..]).u64()? != layout.stored_len {
            return Err(Damage("the stored length of a record"));
        }
        Ok(view)
    }

    /// Only the checksums, of a trailer that was decoded before.
    pub(crate) fn sums_only(bytes: &'a [u8]) -> TrailerView<'a> {
        let sums = &bytes[..bytes.len().saturating_sub(FIXED_TRAILER_LEN)];
        TrailerView { sums, logical_len: 0, sha256: None, version: Version(0), ordinal: Ordinal(0), copy: false }
    }

    fn parse(covered: &'a [u8]) -> Result<TrailerView<'a>, Damage> {
        let (sums, fixed) = covered.split_at(covered.len() - (FIXED_TRAILER_LEN - 8));
        let mut reader = Reader::new(fixed);
        reader.u64()?;
        let logical_len = reader.u64()?;
        let version = Version(reader.u64()?);
        let ordinal = Ordinal(reader.u32()?);
        let flags = reader.u32()?;
        let sha256 = reader.array()?;
        Ok(TrailerView {
            sums,
            logical_len,
            sha256: (flags & FLAG_SHA256 != 0).then_some(sha256),
            version,
            ordinal,
            copy: flags & FLAG_COPY != 0,
        })
    }

    /// The checksum of block `at`; zero past the end.
    #[must_use]
    pub fn crc(&self, at: usize) -> u32 {
        self.sums.get(at * 4..).and_then(|sums| sums.first_chunk()).map_or(0, |crc| u32::from_le_bytes(*crc))
    }

    /// All `count` checksums.
    #[must_use]
    pub fn crcs(&self, count: usize) -> Vec<u32> {
        (0..count).map(|at| self.crc(at)).collect()
    }

    /// Checks whole blocks of the body from block `first` on; the last may be short.
    ///
    /// # Errors
    /// When one of them is not what was written.
    pub fn check_blocks(&self, bytes: &[u8], first: usize, block: u32) -> Result<(), Damage> {
        let sound = |(at, piece): (usize, &[u8])| crc32c(piece) == self.crc(first + at);
        let all = bytes.chunks(block as usize).enumerate().all(sound);
        if all { Ok(()) } else { Err(Damage("a block's checksum")) }
    }
}

/// The checksums of a body's blocks, computed while it passes.
#[derive(Debug, Clone)]
pub struct BlockSums {
    block: usize,
    done: Vec<u32>,
    current: Crc32c,
    filled: usize,
}

impl BlockSums {
    /// One checksum for each `block` bytes.
    #[must_use]
    pub fn new(block: u32) -> BlockSums {
        BlockSums { block: block as usize, done: Vec::new(), current: Crc32c::new(), filled: 0 }
    }

    /// The next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(bytes.len().min(self.block - self.filled));
            self.current.update(piece);
            self.filled += piece.len();
            bytes = rest;
            if self.filled == self.block {
                self.done.push(self.current.take());
                self.filled = 0;
            }
        }
    }

    /// All of them.
    #[must_use]
    pub fn finish(mut self) -> Vec<u32> {
        if self.filled > 0 {
            self.done.push(self.current.take());
        }
        self.done
    }
}

pub(crate) fn encode_type(record_type: RecordType) -> u8 {
    match record_type {
        RecordType::Artifact => 0,
        RecordType::KeyTombstone => 1,
        RecordType::NamespaceTombstone => 2,
    }
}

pub(crate) fn decode_type(byte: u8) -> Result<RecordType, Damage> {
    match byte {
        0 => Ok(RecordType::Artifact),
        1 => Ok(RecordType::KeyTombstone),
        2 => Ok(RecordType::NamespaceTombstone),
        _ => Err(Damage("the type of a record")),
    }
}

fn encode_encoding(encoding: Encoding) -> u8 {
    match encoding {
        Encoding::Identity => 0,
        Encoding::Zstd => 1,
        Encoding::Recipe => 2,
    }
}

fn decode_encoding(byte: u8) -> Result<Encoding, Damage> {
    match byte {
        0 => Ok(Encoding::Identity),
        1 => Ok(Encoding::Zstd),
        2 => Ok(Encoding::Recipe),
        _ => Err(Damage("the encoding of a record")),
    }
}
