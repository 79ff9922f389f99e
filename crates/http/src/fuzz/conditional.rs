//! Conditional headers: each line's first byte says which one, the rest is its value.

use http::header::{HeaderMap, HeaderValue, IF_MATCH, IF_NONE_MATCH, IF_RANGE};
use kura_cache::Version;

use crate::conditional::{ETag, Verdict, is_conditional, range_holds, verdict};

const VERSION: Version = Version(0x0123_4567_89ab_cdef);

const TAG: &[u8] = b"\"0123456789ab-cdef\"";

pub(super) fn target(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Some((choice, value)) = line.split_first()
            && let Ok(value) = HeaderValue::from_bytes(value)
        {
            headers.append([IF_MATCH, IF_NONE_MATCH, IF_RANGE][usize::from(choice % 3)].clone(), value);
        }
    }
    let etag = ETag::of(VERSION);
    let holds = |value: &HeaderValue, what: &[u8]| value.as_bytes().windows(what.len()).any(|part| part == what);
    let may_name = |name| headers.get_all(name).iter().any(|value| holds(value, TAG) || holds(value, b"*"));
    let (present, absent) = (verdict(&headers, Some(etag)), verdict(&headers, None));
    match present {
        Verdict::Proceed if is_conditional(&headers) => {
            assert!(!headers.contains_key(IF_MATCH) || may_name(IF_MATCH), "what has to match does");
        }
        Verdict::Proceed => {}
        Verdict::Unchanged => assert!(may_name(IF_NONE_MATCH)),
        Verdict::Failed => assert!(headers.contains_key(IF_MATCH)),
    }
    assert_eq!(absent == Verdict::Failed, headers.contains_key(IF_MATCH), "nothing matches what is not there");
    assert_ne!(absent, Verdict::Unchanged);
    if let Some(validator) = headers.get(IF_RANGE) {
        assert!(!range_holds(&headers, etag) || holds(validator, TAG));
    }
    headers.append(IF_NONE_MATCH, etag.header());
    assert_ne!(verdict(&headers, Some(etag)), Verdict::Proceed, "it is in the list");
}
