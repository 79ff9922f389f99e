//! Encoded keys and attributes.

use crate::key::{AttributeName, Attributes, RecordKey};

pub(super) fn target(bytes: &[u8]) {
    if let Ok(key) = RecordKey::decode(bytes) {
        assert_eq!(key.encoded(), bytes, "one encoding for each key");
        let again = RecordKey::new(key.kind(), key.tenant(), key.namespace(), key.key());
        assert_eq!(again, Ok(key));
    }
    let attributes = Attributes::from_encoded(bytes);
    for name in 0..=255 {
        if let Some(value) = attributes.get(AttributeName(name)) {
            assert!(value.len() + 3 <= bytes.len());
            let header = [&[name][..], &u16::try_from(value.len()).unwrap().to_le_bytes()].concat();
            let stands_there = |at: usize| bytes[at..].starts_with(&header) && bytes[at + 3..].starts_with(value);
            assert!((0..=bytes.len() - 3).any(stands_there), "a value stands behind its name and length");
        }
    }
}
