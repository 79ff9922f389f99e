//! Validators: an artifact's version is its `ETag`, and what a request makes depend on it.
//! Dates are not validators here: a version says more.

use http::header::{HeaderMap, HeaderValue, IF_MATCH, IF_NONE_MATCH, IF_RANGE};
use kura_cache::Version;

/// A version as a strong validator: in quotes its time and its counter as hexadecimal digits, and `-` between them. To clients of S3 a validator
/// with a `-` is none that is an MD5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ETag([u8; ETag::LEN]);

impl ETag {
    const LEN: usize = 19;

    pub(crate) fn of(version: Version) -> ETag {
        let mut text = *b"\"-----------------\"";
        let digits = (1..13).chain(14..18);
        for (at, place) in digits.enumerate() {
            let nibble = version.0 >> (60 - 4 * at) & 0xf;
            text[place] = b"0123456789abcdef"[usize::try_from(nibble).unwrap_or(0)];
        }
        ETag(text)
    }

    /// What stands between its quotes.
    pub(crate) fn value(&self) -> &str {
        std::str::from_utf8(&self.0[1..ETag::LEN - 1]).unwrap_or_default()
    }

    pub(crate) fn header(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.0).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
    }

    /// Whether a list of validators names this one. `*` names any.
    fn is_in(&self, list: &[u8]) -> bool {
        list.split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii)
            .any(|one| one == b"*" || one.strip_prefix(b"W/").unwrap_or(one) == self.0)
    }
}

/// What the conditions of a request come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Carry it out.
    Proceed,
    /// The client has it already: 304 for reads, 412 for writes.
    Unchanged,
    /// Something else is there than the client expects: 412.
    Failed,
}

/// Whether the request carries a condition at all.
pub(crate) fn is_conditional(headers: &HeaderMap) -> bool {
    headers.contains_key(IF_MATCH) || headers.contains_key(IF_NONE_MATCH)
}

/// Weighs the conditions against what is there now.
pub(crate) fn verdict(headers: &HeaderMap, present: Option<ETag>) -> Verdict {
    let named = |name| {
        let mut values = headers.get_all(name).iter().peekable();
        values.peek()?;
        Some(present.is_some_and(|etag| values.any(|list: &HeaderValue| etag.is_in(list.as_bytes()))))
    };
    match (named(IF_MATCH), named(IF_NONE_MATCH)) {
        (Some(false), _) => Verdict::Failed,
        (_, Some(true)) => Verdict::Unchanged,
        _ => Verdict::Proceed,
    }
}

/// Whether a range may be answered: `If-Range` is absent, or names exactly this version.
pub(crate) fn range_holds(headers: &HeaderMap, etag: ETag) -> bool {
    headers.get(IF_RANGE).is_none_or(|validator| validator.as_bytes().trim_ascii() == etag.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: Version = Version(0x0123_4567_89ab_cdef);
    const TAG: &str = "\"0123456789ab-cdef\"";

    fn with(name: http::header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_version_is_its_validator() {
        assert_eq!(ETag::of(VERSION).header(), TAG);
        assert_eq!(ETag::of(Version(1)).header(), "\"000000000000-0001\"");
    }

    #[test]
    fn what_the_client_has_is_not_sent_again() {
        let etag = Some(ETag::of(VERSION));
        for list in [TAG, "*", &format!("W/{TAG}"), &format!("\"x\", {TAG}")] {
            assert_eq!(verdict(&with(IF_NONE_MATCH, list), etag), Verdict::Unchanged, "{list}");
        }
        assert_eq!(verdict(&with(IF_NONE_MATCH, "\"other\""), etag), Verdict::Proceed);
        assert_eq!(verdict(&with(IF_NONE_MATCH, "*"), None), Verdict::Proceed);
        assert_eq!(verdict(&HeaderMap::new(), etag), Verdict::Proceed);
    }

    #[test]
    fn what_the_client_expects_must_be_there() {
        let etag = Some(ETag::of(VERSION));
        assert_eq!(verdict(&with(IF_MATCH, TAG), etag), Verdict::Proceed);
        assert_eq!(verdict(&with(IF_MATCH, "*"), etag), Verdict::Proceed);
        assert_eq!(verdict(&with(IF_MATCH, "\"other\""), etag), Verdict::Failed);
        assert_eq!(verdict(&with(IF_MATCH, "*"), None), Verdict::Failed);
    }

    #[test]
    fn a_range_of_another_version_is_not_answered() {
        let etag = ETag::of(VERSION);
        assert!(range_holds(&HeaderMap::new(), etag));
        assert!(range_holds(&with(IF_RANGE, TAG), etag));
        assert!(!range_holds(&with(IF_RANGE, "\"other\""), etag));
        assert!(!range_holds(&with(IF_RANGE, "Tue, 24 Nov 2026 11:40:42 GMT"), etag));
    }
}
