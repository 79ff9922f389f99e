//! Keys, attributes, and the two keyed hashes that everything on disk and in the index hangs on.
//! A key is `(tenant, namespace, kind, key)`, encoded once, contiguously: kind (1), tenant length (1), namespace length (1), key length (2), then the three.

use std::fmt;
use std::hash::Hasher;

use siphasher::sip::SipHasher24;
use siphasher::sip128::{Hasher128, SipHasher24 as SipHasher24x128};

use crate::types::{Fingerprint, Kind};

/// The longest key, in bytes.
pub const MAX_KEY_LEN: usize = 1024;

/// The longest tenant or namespace, in bytes.
pub const MAX_NAME_LEN: usize = 255;

/// All attributes of a record take at most this many bytes, encoded.
pub const MAX_ATTRIBUTES_LEN: usize = 1024;

const LENGTHS: usize = 5;

/// Why a key or an attribute is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Empty, or above [`MAX_KEY_LEN`].
    #[error("a key has 1 to {MAX_KEY_LEN} bytes")]
    KeyLength,
    /// Empty, or above [`MAX_NAME_LEN`].
    #[error("a tenant and a namespace have 1 to {MAX_NAME_LEN} bytes each")]
    NameLength,
    /// Above [`MAX_ATTRIBUTES_LEN`].
    #[error("the attributes of an artifact take {MAX_ATTRIBUTES_LEN} bytes at most")]
    AttributesLength,
    /// Bytes that are no encoded key.
    #[error("not an encoded key")]
    Malformed,
}

/// What a record is stored under.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RecordKey {
    bytes: Box<[u8]>,
}

impl RecordKey {
    /// # Errors
    /// When a part is empty or too long.
    pub fn new(kind: Kind, tenant: &str, namespace: &str, key: &[u8]) -> Result<RecordKey, KeyError> {
        let mut bytes = encode_shared(kind, tenant, namespace, key.len())?;
        bytes.extend(key);
        Ok(RecordKey { bytes: bytes.into() })
    }

    /// # Errors
    /// When `bytes` is not exactly one encoded key.
    pub fn decode(bytes: &[u8]) -> Result<RecordKey, KeyError> {
        let [kind, tenant_len, namespace_len, low, high, rest @ ..] = bytes else {
            return Err(KeyError::Malformed);
        };
        let (tenant, rest) = rest.split_at_checked(usize::from(*tenant_len)).ok_or(KeyError::Malformed)?;
        let (namespace, key) = rest.split_at_checked(usize::from(*namespace_len)).ok_or(KeyError::Malformed)?;
        if key.len() != usize::from(u16::from_le_bytes([*low, *high])) {
            return Err(KeyError::Malformed);
        }
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| KeyError::Malformed);
        RecordKey::new(Kind(*kind), text(tenant)?, text(namespace)?, key)
    }

    /// The encoded form.
    #[must_use]
    pub fn encoded(&self) -> &[u8] {
        &self.bytes
    }

    /// The surface that it came through.
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind(self.bytes[0])
    }

    /// Whose it is.
    #[must_use]
    pub fn tenant(&self) -> &str {
        self.text(LENGTHS, self.tenant_len())
    }

    /// Which of the tenant's namespaces it is in.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.text(LENGTHS + self.tenant_len(), self.namespace_len())
    }

    /// What the client called it.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.bytes[LENGTHS + self.tenant_len() + self.namespace_len()..]
    }

    /// The tenant and namespace together.
    #[must_use]
    pub fn namespace_id(&self) -> NamespaceId {
        NamespaceId { tenant: self.tenant().into(), namespace: self.namespace().into() }
    }

    fn tenant_len(&self) -> usize {
        usize::from(self.bytes[1])
    }

    fn namespace_len(&self) -> usize {
        usize::from(self.bytes[2])
    }

    fn text(&self, from: usize, len: usize) -> &str {
        // Invariant: both names came in as `str`.
        std::str::from_utf8(&self.bytes[from..from + len]).unwrap_or_default()
    }
}

/// An encoded key up to its last part, which has `key_len` bytes and for which there is room.
fn encode_shared(kind: Kind, tenant: &str, namespace: &str, key_len: usize) -> Result<Vec<u8>, KeyError> {
    let name_len = |name: &str| u8::try_from(name.len()).ok().filter(|len| *len > 0).ok_or(KeyError::NameLength);
    if key_len == 0 || key_len > MAX_KEY_LEN {
        return Err(KeyError::KeyLength);
    }
    let length = u16::try_from(key_len).map_err(|_| KeyError::KeyLength)?;
    let mut bytes = Vec::with_capacity(LENGTHS + tenant.len() + namespace.len() + key_len);
    bytes.extend([kind.0, name_len(tenant)?, name_len(namespace)?]);
    bytes.extend(length.to_le_bytes());
    bytes.extend(tenant.as_bytes());
    bytes.extend(namespace.as_bytes());
    Ok(bytes)
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.tenant(), self.namespace(), self.kind().0, self.key().escape_ascii())
    }
}

/// One namespace of one tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NamespaceId {
    tenant: Box<str>,
    namespace: Box<str>,
}

impl NamespaceId {
    /// # Errors
    /// When a name is empty or too long.
    pub fn new(tenant: &str, namespace: &str) -> Result<NamespaceId, KeyError> {
        if [tenant, namespace].iter().any(|name| name.is_empty() || name.len() > MAX_NAME_LEN) {
            return Err(KeyError::NameLength);
        }
        Ok(NamespaceId { tenant: tenant.into(), namespace: namespace.into() })
    }

    /// Whose it is.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Its name.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }
}

/// The keys of one kind, namespace and length that begin alike: they differ in the rest only.
pub struct KeyGroup {
    namespace: NamespaceId,
    /// Of the encoded form.
    shared: Vec<u8>,
}

impl KeyGroup {
    /// Of the keys that begin with `start`, which `rest_len` bytes follow.
    ///
    /// # Errors
    /// When a part is empty or too long.
    pub fn new(kind: Kind, tenant: &str, namespace: &str, start: &[u8], rest_len: usize) -> Result<KeyGroup, KeyError> {
        let mut shared = encode_shared(kind, tenant, namespace, start.len() + rest_len)?;
        shared.extend(start);
        Ok(KeyGroup { namespace: NamespaceId::new(tenant, namespace)?, shared })
    }
}

/// What an attribute means; the cache layer gives the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AttributeName(pub u8);

/// Small values kept beside a body: content type, tag, checksum, … Encoded as name (1), length (2), value, one after another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    bytes: Vec<u8>,
}

impl Attributes {
    /// These attributes and one more.
    ///
    /// # Errors
    /// When they would take more than [`MAX_ATTRIBUTES_LEN`] bytes.
    pub fn with(mut self, name: AttributeName, value: &[u8]) -> Result<Attributes, KeyError> {
        if self.bytes.len() + 3 + value.len() > MAX_ATTRIBUTES_LEN {
            return Err(KeyError::AttributesLength);
        }
        let length = u16::try_from(value.len()).map_err(|_| KeyError::AttributesLength)?;
        self.bytes.push(name.0);
        self.bytes.extend(length.to_le_bytes());
        self.bytes.extend(value);
        Ok(self)
    }

    /// The first value of that name.
    #[must_use]
    pub fn get(&self, name: AttributeName) -> Option<&[u8]> {
        let mut rest = &self.bytes[..];
        while let [at, low, high, tail @ ..] = rest {
            let (value, next) = tail.split_at_checked(usize::from(u16::from_le_bytes([*low, *high])))?;
            if *at == name.0 {
                return Some(value);
            }
            rest = next;
        }
        None
    }

    /// The encoded form.
    #[must_use]
    pub fn encoded(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes encoded attributes; what is malformed in them is not found by [`Attributes::get`].
    pub(crate) fn from_encoded(bytes: &[u8]) -> Attributes {
        Attributes { bytes: bytes.to_vec() }
    }
}

/// The seed of the fingerprints; shared by the stores of a bucket or a mesh.
#[derive(Clone, PartialEq, Eq)]
pub struct FingerprintSeed(pub [u8; 16]);

/// Tells the fingerprints of namespaces from those of keys.
const NAMESPACE_DOMAIN: &[u8] = b"\xffkura namespace\xff";
const TENANT_DOMAIN: &[u8] = b"\xffkura tenant\xff";

impl FingerprintSeed {
    /// SipHash-2-4-128 of an encoded key.
    #[must_use]
    pub fn of(&self, key: &RecordKey) -> Fingerprint {
        let mut hasher = SipHasher24x128::new_with_key(&self.0);
        hasher.write(key.encoded());
        Fingerprint(hasher.finish128().as_u128())
    }

    /// The fingerprint of a whole namespace.
    #[must_use]
    pub fn of_namespace(&self, tenant: &str, namespace: &str) -> Fingerprint {
        let mut hasher = SipHasher24x128::new_with_key(&self.0);
        hasher.write(NAMESPACE_DOMAIN);
        hasher.write(&(tenant.len() as u64).to_le_bytes());
        hasher.write(tenant.as_bytes());
        hasher.write(namespace.as_bytes());
        Fingerprint(hasher.finish128().as_u128())
    }

    /// A hash of a tenant's name. Never zero.
    pub(crate) fn of_tenant(&self, tenant: &str) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(TENANT_DOMAIN);
        hasher.write(tenant.as_bytes());
        hasher.finish().max(1)
    }

    pub(crate) fn of_group(&self, group: &KeyGroup) -> GroupHasher {
        let mut hashed = SipHasher24x128::new_with_key(&self.0);
        hashed.write(&group.shared);
        GroupHasher { hashed, namespace: self.of_namespace_id(&group.namespace) }
    }

    pub(crate) fn of_namespace_id(&self, id: &NamespaceId) -> Fingerprint {
        self.of_namespace(id.tenant(), id.namespace())
    }
}

/// Computes the fingerprints of one group's keys: what they share is hashed once.
pub(crate) struct GroupHasher {
    hashed: SipHasher24x128,
    /// Of the namespace as a whole.
    pub(crate) namespace: Fingerprint,
}

impl GroupHasher {
    /// The fingerprint of the group's key that ends in `rest`. Under that of a rest of another length nothing is ever there: what is hashed then is not
    /// as long as it says, and so no key.
    pub(crate) fn of(&self, rest: &[u8]) -> Fingerprint {
        let mut hasher = self.hashed;
        hasher.write(rest);
        Fingerprint(hasher.finish128().as_u128())
    }
}

/// The store's own secret: whoever does not know it cannot make bytes that pass for a record.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub [u8; 16]);

impl Secret {
    /// SipHash-2-4 over the parts, one after another.
    #[must_use]
    pub fn hash(&self, parts: &[&[u8]]) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        parts.iter().for_each(|part| hasher.write(part));
        hasher.finish()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl fmt::Debug for FingerprintSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FingerprintSeed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_from_its_encoding() {
        let key = RecordKey::new(Kind(3), "acme", "ios", b"\x00abc").unwrap();
        let again = RecordKey::decode(key.encoded()).unwrap();
        assert_eq!(again, key);
        assert_eq!(
            (again.kind(), again.tenant(), again.namespace(), again.key()),
            (Kind(3), "acme", "ios", &b"\x00abc"[..])
        );
    }

    #[test]
    fn parts_that_are_empty_or_too_long_are_refused() {
        let long = "x".repeat(256);
        assert_eq!(RecordKey::new(Kind(1), "", "n", b"k"), Err(KeyError::NameLength));
        assert_eq!(RecordKey::new(Kind(1), "t", &long, b"k"), Err(KeyError::NameLength));
        assert_eq!(RecordKey::new(Kind(1), "t", "n", b""), Err(KeyError::KeyLength));
        assert_eq!(RecordKey::new(Kind(1), "t", "n", &[0; 1025]), Err(KeyError::KeyLength));
    }

    #[test]
    fn attributes_are_found_by_name_and_bounded() {
        let attributes = Attributes::default().with(AttributeName(1), b"text/plain").unwrap();
        let attributes = attributes.with(AttributeName(2), b"").unwrap();
        assert_eq!(attributes.get(AttributeName(1)), Some(&b"text/plain"[..]));
        assert_eq!(attributes.get(AttributeName(2)), Some(&b""[..]));
        assert_eq!(attributes.get(AttributeName(3)), None);
        assert_eq!(attributes.with(AttributeName(4), &[0; 1024]), Err(KeyError::AttributesLength));
    }

    #[test]
    fn a_groups_keys_have_the_fingerprints_that_they_have_alone() {
        let seed = FingerprintSeed([7; 16]);
        let group = |start: &[u8]| KeyGroup::new(Kind(3), "acme", "ios", start, 32);
        let hasher = seed.of_group(&group(&[9]).unwrap());
        for rest in [[0; 32], [9; 32]] {
            let alone = RecordKey::new(Kind(3), "acme", "ios", &[&[9][..], &rest].concat()).unwrap();
            assert_eq!(hasher.of(&rest), seed.of(&alone));
            let shorter = RecordKey::new(Kind(3), "acme", "ios", &[&[9][..], &rest[1..]].concat()).unwrap();
            assert_ne!(hasher.of(&rest[1..]), seed.of(&shorter), "that is a key of another group");
        }
        assert_eq!(hasher.namespace, seed.of_namespace("acme", "ios"));
        assert!(KeyGroup::new(Kind(3), "acme", "ios", &[], 0).is_err());
        assert!(KeyGroup::new(Kind(3), "", "ios", &[9], 32).is_err());
    }

    #[test]
    fn a_namespace_and_a_key_never_share_a_fingerprint_by_construction() {
        let seed = FingerprintSeed([7; 16]);
        assert_ne!(seed.of_namespace("a", "bc"), seed.of_namespace("ab", "c"));
    }
}
