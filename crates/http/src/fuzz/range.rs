//! A `Range` header. The first eight bytes are the length of the body.

use crate::range::{Asked, asked};

pub(super) fn target(bytes: &[u8]) {
    let Some((length, header)) = bytes.split_first_chunk() else { return };
    let length = u64::from_le_bytes(*length);
    match asked(header, length) {
        Asked::Part(range) => {
            assert!(range.start < range.end && range.end <= length);
            let plain = format!("bytes={}-{}", range.start, range.end - 1);
            assert_eq!(asked(plain.as_bytes(), length), Asked::Part(range), "{plain}");
        }
        Asked::Unsatisfiable => assert!(header.iter().any(u8::is_ascii_digit), "some number is out of reach"),
        Asked::Whole => {}
    }
}
