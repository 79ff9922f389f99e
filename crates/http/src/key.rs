//! Paths into keys: percent-decoding, and what no key may be.
//! Two sorts of keys: *opaque* ones are one segment of a path and hold no `/`, however that is spelled; *paths* may, but lead nowhere else.
//! Total on arbitrary input. Not here: which part of which path is a key (`surface`).

use std::borrow::Cow;

use kura_cache::{InvalidKey, Namespace};

/// A segment of a path as a key.
///
/// # Errors
/// For malformed percent-encoding, `/`, NUL, `.`, `..` and the empty segment. The length is the cache's to check.
pub(crate) fn opaque(segment: &str) -> Result<Cow<'_, [u8]>, InvalidKey> {
    without_slash(decode(segment)?)
}

/// Such a key where it stands as it is, and not in a path.
///
/// # Errors
/// As for [`opaque`].
pub(crate) fn plain(key: &str) -> Result<Cow<'_, [u8]>, InvalidKey> {
    without_slash(Cow::Borrowed(key.as_bytes()))
}

fn without_slash(key: Cow<'_, [u8]>) -> Result<Cow<'_, [u8]>, InvalidKey> {
    if key.contains(&b'/') {
        return Err(InvalidKey::Forbidden("this key holds no '/'"));
    }
    checked(key)
}

/// Several segments as a key.
///
/// # Errors
/// For malformed percent-encoding, NUL, a segment `.` or `..` and the empty path.
pub(crate) fn path(segments: &str) -> Result<Cow<'_, [u8]>, InvalidKey> {
    checked(decode(segments)?)
}

/// A segment of a path as the name of a namespace. One of several parts is spelled `a%2Fb` there.
///
/// # Errors
/// For malformed percent-encoding and what is no name.
pub(crate) fn namespace(segment: &str) -> Result<Namespace, InvalidKey> {
    let name = path(segment)?;
    Namespace::parse(str::from_utf8(&name).map_err(|_| InvalidKey::Name)?.to_owned())
}

/// Such a key where it stands as it is, and not in a path.
///
/// # Errors
/// For NUL, a segment `.` or `..` and the empty key.
pub(crate) fn plain_path(key: &str) -> Result<Cow<'_, [u8]>, InvalidKey> {
    checked(Cow::Borrowed(key.as_bytes()))
}

fn checked(key: Cow<'_, [u8]>) -> Result<Cow<'_, [u8]>, InvalidKey> {
    if key.is_empty() {
        return Err(InvalidKey::Empty);
    }
    if key.contains(&0) {
        return Err(InvalidKey::Forbidden("a key holds no NUL"));
    }
    if key.split(|byte| *byte == b'/').any(|segment| segment == b"." || segment == b"..") {
        return Err(InvalidKey::Forbidden("a key is no way through a tree: '.' and '..' are refused"));
    }
    Ok(key)
}

/// Percent-decoding. Borrows what has nothing to decode.
pub(crate) fn decode(encoded: &str) -> Result<Cow<'_, [u8]>, InvalidKey> {
    if !encoded.contains('%') {
        return Ok(Cow::Borrowed(encoded.as_bytes()));
    }
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let [high, low, tail @ ..] = tail else {
                return Err(MALFORMED);
            };
            decoded.push(nibble(*high)? << 4 | nibble(*low)?);
            rest = tail;
        } else {
            decoded.push(*first);
            rest = tail;
        }
    }
    Ok(Cow::Owned(decoded))
}

/// As a segment of a path, or a value in a query, spells it: what is no letter, digit, `-`, `.`, `_` or `~` is percent-encoded.
pub(crate) fn encode(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len()), |mut encoded, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(*byte)),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
        encoded
    })
}

const MALFORMED: InvalidKey = InvalidKey::Forbidden("malformed percent-encoding");

fn nibble(digit: u8) -> Result<u8, InvalidKey> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(MALFORMED),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn percent_encoding_is_decoded_once() {
        assert_eq!(opaque("a%20b%2520").unwrap().as_ref(), b"a b%20");
        assert_eq!(opaque("plain").unwrap(), Cow::Borrowed(b"plain"));
        for bad in ["%", "%4", "%zz", "a%2"] {
            assert_eq!(opaque(bad), Err(MALFORMED), "{bad}");
        }
    }

    #[test]
    fn an_opaque_key_holds_no_slash_however_it_is_spelled() {
        assert!(opaque("a/b").is_err());
        assert!(opaque("a%2Fb").is_err());
        assert!(opaque("a%2fb").is_err());
        assert_eq!(path("a%2Fb/c").unwrap().as_ref(), b"a/b/c");
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        for bad in [".", "..", "%2e%2E", "a/../b", "a/%2e%2e", "./a", "a/.", "", "a%00b"] {
            assert!(path(bad).is_err(), "{bad}");
        }
        for fine in ["...", ".sccache_check", "a..b", "..a", "a/.b"] {
            assert!(path(fine).is_ok(), "{fine}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_decoded_or_refused(text in "\\PC{0,80}") {
            let _ = opaque(&text);
            let _ = path(&text);
        }

        #[test]
        fn any_bytes_come_back_from_their_encoding(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let encoded = encode(&bytes);
            let decoded = decode(&encoded).unwrap();
            prop_assert_eq!(decoded.as_ref(), &bytes[..]);
            prop_assert!(!encoded.contains(['/', '?', '#', '+', '&']));
            if let Ok(key) = path(&encoded) {
                prop_assert!(!key.contains(&0));
                prop_assert!(!key.split(|byte| *byte == b'/').any(|part| part == b".."));
            }
        }
    }
}
