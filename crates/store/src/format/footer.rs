//! A segment's footer: its records in commit order, so that a start need not scan it.
//! Entries, then the namespaces, then zeros, then a locator in the file's last 64 bytes.
//! A checksum covers what is in front of the locator; a keyed hash covers the locator and with it the checksum: a client can store bytes that look
//! like a footer, and a power cut can end a growing segment in the middle of a body, so no footer is trusted that the store has not made itself.

use std::collections::HashMap;

use super::checksum::crc32c;
use super::record::{Layout, decode_type, encode_type};
use super::{Damage, FORMAT_VERSION, Reader};
use crate::index::{Entry, SegmentSlot};
use crate::key::{NamespaceId, Secret};
use crate::types::{
    ALIGNMENT, Encoding, Fingerprint, LogicalLen, Offset, Ordinal, RecordType, SegmentNumber, StoredLen, Version,
    align_up,
};

const MAGIC: &[u8; 8] = b"KURAFOOT";

/// Bytes of an entry.
const ENTRY_LEN: usize = 56;

/// Bytes of the locator.
pub const LOCATOR_LEN: u64 = 64;

/// Where the mark lies in the locator: the keyed hash of all that is in front of it there.
pub(crate) const MARK: usize = 56;

const FLAG_COPY: u8 = 1;
const FLAG_ZSTD: u8 = 2;
const FLAG_RECIPE: u8 = 4;

/// One committed record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FooterEntry {
    /// The index fingerprint.
    pub fingerprint: Fingerprint,
    /// Where the record starts: a multiple of 64.
    pub offset: Offset,
    /// Bytes of its head: a multiple of 64.
    pub head_len: u64,
    /// Bytes of its body as stored.
    pub stored_len: u64,
    /// Bytes of its body as its reader knows it.
    pub logical_len: u64,
    /// When it was committed.
    pub version: Version,
    /// Its namespace's position in the footer's table.
    pub namespace: u32,
    /// What it is.
    pub record_type: RecordType,
    /// Whether it was carried here from an older segment.
    pub copy: bool,
    /// How its body is encoded.
    pub encoding: Encoding,
}

impl FooterEntry {
    /// Where its record ends, in a segment of such blocks.
    pub(crate) fn end(&self, block: u32) -> u64 {
        self.offset.0.saturating_add(Layout::new(self.head_len, self.stored_len, block).total)
    }

    /// The index entry of this record.
    pub(crate) fn index_entry(&self, slot: SegmentSlot, ordinal: Ordinal) -> Entry {
        Entry {
            fingerprint: self.fingerprint,
            version: self.version,
            slot,
            offset: self.offset,
            ordinal,
            stored_len: StoredLen(self.stored_len),
            logical_len: LogicalLen(self.logical_len),
            head_len: self.head_len,
            shadowing: false,
            record_type: self.record_type,
            encoding: self.encoding,
            uses: 0,
            vouched: None,
        }
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        let units = |length: u64| u32::try_from(length / ALIGNMENT).unwrap_or(u32::MAX);
        bytes.extend(self.fingerprint.0.to_le_bytes());
        bytes.extend(units(self.offset.0).to_le_bytes());
        bytes.extend(self.namespace.to_le_bytes());
        bytes.extend(self.stored_len.to_le_bytes());
        bytes.extend(self.logical_len.to_le_bytes());
        bytes.extend(self.version.0.to_le_bytes());
        let encoding = match self.encoding {
            Encoding::Identity => 0,
            Encoding::Zstd => FLAG_ZSTD,
            Encoding::Recipe => FLAG_RECIPE,
        };
        let flags = if self.copy { FLAG_COPY } else { 0 } | encoding;
        let head = u8::try_from(self.head_len / ALIGNMENT).unwrap_or(u8::MAX);
        bytes.extend([head, encode_type(self.record_type), flags, 0, 0, 0, 0, 0]);
    }

    fn decode(bytes: &[u8]) -> Result<FooterEntry, Damage> {
        let mut reader = Reader::new(bytes);
        let fingerprint = Fingerprint(u128::from_le_bytes(reader.array()?));
        let offset = Offset(u64::from(reader.u32()?) * ALIGNMENT);
        let namespace = reader.u32()?;
        let (stored_len, logical_len) = (reader.u64()?, reader.u64()?);
        let version = Version(reader.u64()?);
        let [head, record_type, flags] = reader.array()?;
        Ok(FooterEntry {
            fingerprint,
            offset,
            head_len: u64::from(head) * ALIGNMENT,
            stored_len,
            logical_len,
            version,
            namespace,
            record_type: decode_type(record_type)?,
            copy: flags & FLAG_COPY != 0,
            encoding: match flags & (FLAG_ZSTD | FLAG_RECIPE) {
                0 => Encoding::Identity,
                FLAG_ZSTD => Encoding::Zstd,
                FLAG_RECIPE => Encoding::Recipe,
                _ => return Err(Damage("the encoding of a record")),
            },
        })
    }
}

/// A whole footer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footer {
    /// Whose segment it is.
    pub store_id: [u8; 16],
    /// The number that the segment was created with.
    pub birth: SegmentNumber,
    /// Its records in commit order.
    pub entries: Vec<FooterEntry>,
    /// The namespaces that they name.
    pub namespaces: Vec<NamespaceId>,
}

impl Footer {
    /// Bytes of a footer of so many entries and a table of `namespaces` bytes: a multiple of 64.
    #[must_use]
    pub const fn encoded_len(entries: usize, namespaces: u64) -> u64 {
        align_up((entries * ENTRY_LEN) as u64 + namespaces) + LOCATOR_LEN
    }

    /// The footer's bytes, the locator at their end. `secret` is the store's.
    #[must_use]
    pub fn encode(&self, secret: &Secret) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.entries.len() * ENTRY_LEN + 1024);
        self.entries.iter().for_each(|entry| entry.encode(&mut bytes));
        for namespace in &self.namespaces {
            for name in [namespace.tenant(), namespace.namespace()] {
                bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
                bytes.extend(name.as_bytes());
            }
        }
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT as usize), 0);
        let start = bytes.len();
        let checksum = crc32c(&bytes);
        bytes.extend(MAGIC);
        bytes.extend(FORMAT_VERSION.to_le_bytes());
        for count in [self.entries.len(), self.namespaces.len()] {
            bytes.extend(u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
        }
        bytes.extend(checksum.to_le_bytes());
        bytes.extend((start as u64 + LOCATOR_LEN).to_le_bytes());
        bytes.extend(self.store_id);
        bytes.extend(self.birth.0.to_le_bytes());
        let mark = secret.hash(&[&bytes[start..]]);
        bytes.extend(mark.to_le_bytes());
        bytes
    }

    /// # Errors
    /// When the bytes are not exactly a footer that the store with this secret has made.
    pub fn decode(bytes: &[u8], secret: &Secret) -> Result<Footer, Damage> {
        let split = bytes.len().checked_sub(LOCATOR_LEN as usize).ok_or(Damage("a footer that is cut short"))?;
        let (content, locator_bytes) = bytes.split_at(split);
        let locator = Locator::decode(locator_bytes)?;
        if locator.len != bytes.len() as u64 {
            return Err(Damage("the length of a footer"));
        }
        if locator.mark != secret.hash(&[&locator_bytes[..MARK]]) {
            return Err(Damage("the mark of a footer"));
        }
        if crc32c(content) != locator.checksum {
            return Err(Damage("the checksum of a footer"));
        }
        let mut reader = Reader::new(content);
        let entries = reader.slice((locator.entries as usize).saturating_mul(ENTRY_LEN))?;
        // Not collected: through a `Result` that grows by doubling, and footers are the largest allocations of a start.
        let mut decoded = Vec::with_capacity(entries.len() / ENTRY_LEN);
        for entry in entries.chunks_exact(ENTRY_LEN) {
            decoded.push(FooterEntry::decode(entry)?);
        }
        let mut namespaces = Vec::new();
        for _ in 0..locator.namespaces {
            let mut name = || {
                let length = reader.u8()?;
                std::str::from_utf8(reader.slice(usize::from(length))?).map_err(|_| Damage("a namespace's name"))
            };
            let (tenant, namespace) = (name()?, name()?);
            namespaces.push(NamespaceId::new(tenant, namespace).map_err(|_| Damage("a namespace's name"))?);
        }
        Ok(Footer { store_id: locator.store_id, birth: locator.birth, entries: decoded, namespaces })
    }
}

/// The last 64 bytes of a sealed segment. Its mark is checked with the footer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Locator {
    /// Bytes of the footer, this included.
    pub len: u64,
    entries: u32,
    namespaces: u32,
    /// The store that it says it belongs to.
    pub store_id: [u8; 16],
    birth: SegmentNumber,
    checksum: u32,
    mark: u64,
}

impl Locator {
    /// # Errors
    /// When the bytes cannot end a footer.
    pub fn decode(bytes: &[u8]) -> Result<Locator, Damage> {
        let mut reader = Reader::new(bytes);
        reader.magic(MAGIC, "the magic of a footer")?;
        if reader.u32()? != FORMAT_VERSION {
            return Err(Damage("the version of a footer"));
        }
        let (entries, namespaces, checksum) = (reader.u32()?, reader.u32()?, reader.u32()?);
        let len = reader.u64()?;
        let (store_id, birth, mark) = (reader.array()?, SegmentNumber(reader.u64()?), reader.u64()?);
        if len < LOCATOR_LEN || !len.is_multiple_of(ALIGNMENT) {
            return Err(Damage("the length of a footer"));
        }
        Ok(Locator { len, entries, namespaces, store_id, birth, checksum, mark })
    }
}

/// Gives the namespaces of a segment their positions in its footer's table.
#[derive(Debug, Clone, Default)]
pub struct NamespaceTable {
    positions: HashMap<NamespaceId, u32>,
    names: Vec<NamespaceId>,
    encoded_len: u64,
}

impl NamespaceTable {
    /// The position of a namespace, added if it is new.
    pub fn intern(&mut self, namespace: &NamespaceId) -> u32 {
        if let Some(position) = self.positions.get(namespace) {
            return *position;
        }
        let position = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.encoded_len += encoded_len(namespace);
        self.positions.insert(namespace.clone(), position);
        self.names.push(namespace.clone());
        position
    }

    /// Bytes of the encoded table if `namespace` is in it.
    #[must_use]
    pub fn encoded_len_with(&self, namespace: &NamespaceId) -> u64 {
        let known = self.positions.contains_key(namespace);
        self.encoded_len + if known { 0 } else { encoded_len(namespace) }
    }

    /// The namespaces in order of position.
    #[must_use]
    pub fn names(&self) -> Vec<NamespaceId> {
        self.names.clone()
    }
}

fn encoded_len(namespace: &NamespaceId) -> u64 {
    (2 + namespace.tenant().len() + namespace.namespace().len()) as u64
}
