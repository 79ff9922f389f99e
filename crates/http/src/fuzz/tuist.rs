//! What Tuist's clients send beside bodies: entries and lists of parts as JSON, checksums, and the parameters of a query.

use crate::checksum;
use crate::key;
use crate::query::parameter;
use crate::surface::tuist::keyvalue::Saved;
use crate::surface::tuist::module::Asked;

pub(super) fn target(bytes: &[u8]) {
    let is_one = bytes.len() == 64 && bytes.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    assert_eq!(checksum::parse(bytes).is_ok(), is_one);
    if let Ok(saved) = Saved::parse(bytes) {
        let told = saved.told();
        let again = [b"{\"cas_id\":\"again\",", &told[1..]].concat();
        assert_eq!(Saved::parse(&again).ok().map(|again| again.told()), Some(told));
    }
    if let Ok(asked) = Asked::parse(bytes) {
        assert!(2 * asked.parts.len() <= bytes.len(), "a number is more than a byte of text");
    }
    let query = str::from_utf8(bytes).ok();
    for name in ["upload_id", "part_number", "hash", "name", "cache_category"] {
        if let Ok(Some(value)) = parameter(query, name) {
            let again = format!("{name}={}&{name}=other", key::encode(value.as_bytes()));
            assert_eq!(parameter(Some(&again), name), Ok(Some(value)));
        }
    }
}
