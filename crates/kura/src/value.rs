//! What values mean: sizes, shares, durations. Each parser's error says what was expected.

use std::ops::RangeInclusive;
use std::time::Duration;

use kura_origin::{Network, NotANetwork};

/// So many bytes, or a share of a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    Bytes(u64),
    Percent(u8),
}

impl Share {
    /// In bytes, of a whole of `total` bytes.
    pub(crate) fn of(self, total: u64) -> u64 {
        match self {
            Share::Bytes(bytes) => bytes,
            Share::Percent(percent) => total / 100 * u64::from(percent),
        }
    }
}

/// A size in bytes: `4096`, `64KiB`, `20GiB`, `2GB`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let parsed: Result<bytesize::ByteSize, _> = text.trim().parse();
    parsed.map(|size| size.as_u64()).map_err(|_| "expected a size, such as 64KiB or 20GiB".to_owned())
}

/// The least and the most bytes of a window: what HTTP/2 starts with, and half of what it can say.
const WINDOWS: RangeInclusive<u32> = 64 << 10..=1 << 30;

/// A size in bytes that HTTP/2 can have under way.
pub(crate) fn window(text: &str) -> Result<u32, String> {
    let window = size(text).ok().and_then(|size| u32::try_from(size).ok()).filter(|size| WINDOWS.contains(size));
    window.ok_or_else(|| "expected a size from 64KiB to 1GiB".to_owned())
}

/// A size, or a percentage from 1 to 100.
pub(crate) fn share(text: &str) -> Result<Share, String> {
    match text.trim().strip_suffix('%') {
        Some(number) => match number.trim().parse() {
            Ok(percent @ 1..=100) => Ok(Share::Percent(percent)),
            _ => Err("expected a percentage from 1% to 100%".to_owned()),
        },
        None => {
            size(text).map(Share::Bytes).map_err(|_| "expected a size or a percentage, such as 20GiB or 40%".to_owned())
        }
    }
}

/// A duration: `500ms`, `30s`, `3h`, `1h 30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text.trim()).map_err(|_| "expected a duration, such as 500ms, 30s or 3h".to_owned())
}

/// A number of things, at least one.
pub(crate) fn count(text: &str) -> Result<usize, String> {
    match text.trim().parse() {
        Ok(number @ 1..) => Ok(number),
        _ => Err("expected a number, at least 1".to_owned()),
    }
}

/// Something that is done or not.
pub(crate) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("expected on or off".to_owned()),
    }
}

/// 32 hexadecimal digits, or nothing.
pub(crate) fn seed(text: &str) -> Result<Option<[u8; 16]>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let well_formed = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match u128::from_str_radix(text, 16) {
        Ok(number) if well_formed => Ok(Some(number.to_be_bytes())),
        _ => Err("expected 32 hexadecimal digits".to_owned()),
    }
}

/// Path prefixes with their leading and without their trailing slash, separated by commas.
pub(crate) fn prefixes(text: &str) -> Result<Vec<String>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let prefix = |part: &str| {
        let trimmed = part.trim_end_matches('/');
        (trimmed.len() > 1 && trimmed.starts_with('/'))
            .then(|| trimmed.to_owned())
            .ok_or_else(|| "expected prefixes such as /moon, separated by commas".to_owned())
    };
    parts.map(prefix).collect()
}

/// Networks, separated by commas.
pub(crate) fn networks(text: &str) -> Result<Vec<Network>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| part.parse().map_err(|error: NotANetwork| error.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_shares_are_read_as_people_write_them() {
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(size("64KiB"), Ok(64 << 10));
        assert_eq!(size("20GiB"), Ok(20 << 30));
        assert_eq!(size("2GB"), Ok(2_000_000_000));
        assert_eq!(share("40%"), Ok(Share::Percent(40)));
        assert_eq!(share("1GiB"), Ok(Share::Bytes(1 << 30)));
        for bad in ["", "-1", "1e999GiB", "lots", "0%", "101%", "-5%", "12 parsecs"] {
            assert!(share(bad).is_err(), "{bad}");
        }
        assert_eq!(Share::Percent(40).of(1000), 400);
    }

    #[test]
    fn durations_counts_seeds_and_prefixes() {
        assert_eq!(duration("3h"), Ok(Duration::from_secs(10800)));
        assert!(duration("3").is_err() && duration("-1s").is_err());
        assert!(count("0").is_err() && count("-1").is_err());
        assert_eq!(seed(""), Ok(None));
        assert_eq!(seed(&"0f".repeat(16)), Ok(Some([0x0f; 16])));
        assert!(seed(&"+".repeat(32)).is_err() && seed("0f").is_err());
        assert_eq!(prefixes("/moon, /a/b/"), Ok(vec!["/moon".to_owned(), "/a/b".to_owned()]));
        assert!(prefixes("moon").is_err() && prefixes("/").is_err());
    }
}
