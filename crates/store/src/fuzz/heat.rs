//! `heat`: a hint, which comes back no weaker than it was.

use crate::format::checksum::crc32c;
use crate::format::heat::HeatFile;

pub(super) fn target(bytes: &[u8]) {
    check(bytes);
    let mut sealed = bytes.to_vec();
    if let Some((content, checksum)) = sealed.split_last_chunk_mut::<4>() {
        *checksum = crc32c(content).to_le_bytes();
    }
    check(&sealed);
}

fn check(bytes: &[u8]) {
    let Ok(heat) = HeatFile::decode(bytes) else { return };
    let again = HeatFile::decode(&heat.encode()).unwrap();
    assert_eq!((again.store_id, again.clean, again.now), (heat.store_id, heat.clean, heat.now));
    assert_eq!(again.segments.len(), heat.segments.len());
    for (now, then) in again.segments.iter().zip(&heat.segments) {
        assert_eq!((now.birth, now.entries.len()), (then.birth, then.entries.len()));
        assert!(then.entries.len() <= bytes.len());
        for (now, then) in now.entries.iter().zip(&then.entries) {
            assert_eq!(now.uses, then.uses);
            let [now, then] = [now, then].map(|entry| entry.vouched.map(|at| at.age(heat.now)));
            assert!(
                now.zip(then).is_some_and(|(now, then)| now <= then) || (now, then) == (None, None),
                "{now:?} {then:?}"
            );
        }
    }
}
