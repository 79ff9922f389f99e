//! A record without its body: head, then trailer, as they lie at the place of the golden files.

use super::SECRET;
use crate::format::record::{FIXED_HEAD_LEN, HASH, Head, HeadHash, Layout, Seal, Trailer, TrailerView, hash_head};
use crate::types::{Offset, SegmentNumber};

const SEAL: Seal<'static> = Seal { secret: &SECRET, birth: SegmentNumber(99), offset: Offset(4096) };

const BLOCK: u32 = 4096;

/// A body that is longer than this has more checksums than any input holds.
const MAX_STORED: u64 = 1 << 30;

pub(super) fn target(bytes: &[u8]) {
    check(bytes, false);
    check(bytes, true);
}

fn check(bytes: &[u8], sealed: bool) {
    let Some(head_len) = Head::peek_len(bytes) else { return };
    let head_len = usize::try_from(head_len).unwrap();
    assert!(head_len < FIXED_HEAD_LEN as usize + (1 << 17), "two short lengths");
    let Some((head, rest)) = bytes.split_at_checked(head_len) else { return };
    let mut head = head.to_vec();
    if sealed {
        let lengths =
            usize::from(head[16]) + usize::from(head[18]) + 256 * (usize::from(head[17]) + usize::from(head[19]));
        let hash = hash_head(&head[..FIXED_HEAD_LEN as usize + lengths], &SEAL);
        head[HASH].copy_from_slice(&hash.0.to_le_bytes());
    }
    let Ok((decoded, hash)) = Head::decode(&head, &SEAL) else { return };
    let (again, again_hash) = decoded.encode(&SEAL);
    assert_eq!(Head::decode(&again, &SEAL), Ok((decoded.clone(), again_hash)));
    if let Some(stored_len) = decoded.stored_len {
        let layout = Layout::new(head_len as u64, stored_len, BLOCK);
        check_trailer(rest, &layout, hash, sealed);
    }
}

fn check_trailer(bytes: &[u8], layout: &Layout, head: HeadHash, sealed: bool) {
    let mut bytes = bytes.to_vec();
    let end = usize::try_from(layout.trailer_len).unwrap_or(usize::MAX);
    if sealed && let Some(trailer) = bytes.get_mut(..end) {
        let (covered, mark) = trailer.split_at_mut(end - 8);
        mark.copy_from_slice(&SECRET.hash(&[&head.0.to_le_bytes(), covered]).to_le_bytes());
    }
    let Ok(view) = TrailerView::decode(&bytes, layout, head, &SECRET) else { return };
    assert!(layout.stored_len < MAX_STORED, "no checksum without bytes for it");
    let crcs = view.crcs(usize::try_from(layout.stored_len.div_ceil(u64::from(BLOCK))).unwrap());
    let trailer = Trailer {
        crcs,
        stored_len: layout.stored_len,
        logical_len: view.logical_len,
        sha256: view.sha256,
        version: view.version,
        ordinal: view.ordinal,
        copy: view.copy,
    };
    let encoded = trailer.encode(head, &SECRET);
    assert_eq!(encoded.len() as u64, layout.trailer_len);
    let again = TrailerView::decode(&encoded, layout, head, &SECRET).unwrap();
    assert_eq!((again.version, again.ordinal, again.copy), (view.version, view.ordinal, view.copy));
    assert_eq!((again.logical_len, again.sha256), (view.logical_len, view.sha256));
    assert_eq!(again.crcs(trailer.crcs.len()), trailer.crcs);
}
