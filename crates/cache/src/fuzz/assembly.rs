//! A list of uploaded parts. The first eight bytes are the length of its whole.

use crate::assembly::Assembly;

pub(super) fn target(bytes: &[u8]) {
    let Some((length, encoded)) = bytes.split_first_chunk() else { return };
    let length = u64::from_le_bytes(*length);
    let Some(assembly) = Assembly::decode(encoded, length) else { return };
    assert_eq!(assembly.encode(), encoded);
    assert_eq!(assembly.parts.iter().map(|part| part.size).sum::<u64>(), length);
    assert!(assembly.is_in_order());
}
