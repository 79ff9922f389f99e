//! One byte range of a body. Several ranges, other units and what cannot be parsed mean the whole body, as if nothing had been asked.

use std::ops::Range;

/// What a `Range` header asks of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Everything.
    Whole,
    /// These bytes, of which there is at least one, and all of which exist.
    Part(Range<u64>),
    /// Bytes that do not exist.
    Unsatisfiable,
}

/// What `header` asks of a body of `length` bytes.
pub(crate) fn asked(header: &[u8], length: u64) -> Asked {
    let Some((unit, set)) = header.split_at_checked(6) else {
        return Asked::Whole;
    };
    if !unit.eq_ignore_ascii_case(b"bytes=") {
        return Asked::Whole;
    }
    let set = set.trim_ascii();
    let Some(dash) = set.iter().position(|byte| *byte == b'-') else {
        return Asked::Whole;
    };
    let (first, last) = (number(&set[..dash]), number(&set[dash + 1..]));
    let range = match (first, last) {
        (Number::Is(first), Number::Is(last)) if first <= last => first..last.saturating_add(1).min(length),
        (Number::Is(first), Number::Absent) => first..length,
        (Number::Absent, Number::Is(suffix)) => length.saturating_sub(suffix)..length,
        _ => return Asked::Whole,
    };
    if range.is_empty() { Asked::Unsatisfiable } else { Asked::Part(range) }
}

enum Number {
    Absent,
    Is(u64),
    Malformed,
}

/// Digits as a number; one that is too large for any body is as good as the largest.
fn number(digits: &[u8]) -> Number {
    if digits.is_empty() {
        return Number::Absent;
    }
    let mut value = 0_u64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Number::Malformed;
        }
        value = value.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    }
    Number::Is(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_single_range_is_cut_to_what_exists() {
        assert_eq!(asked(b"bytes=0-0", 10), Asked::Part(0..1));
        assert_eq!(asked(b"bytes=2-5", 10), Asked::Part(2..6));
        assert_eq!(asked(b"Bytes=8-", 10), Asked::Part(8..10));
        assert_eq!(asked(b"bytes=-3", 10), Asked::Part(7..10));
        assert_eq!(asked(b"bytes=-300", 10), Asked::Part(0..10));
        assert_eq!(asked(b"bytes=5-99999999999999999999999999", 10), Asked::Part(5..10));
        assert_eq!(asked(b"bytes=0-18446744073709551615", 10), Asked::Part(0..10));
    }

    #[test]
    fn a_range_past_the_end_cannot_be_satisfied() {
        for header in [&b"bytes=10-"[..], b"bytes=10-11", b"bytes=99999999999999999999-", b"bytes=-0"] {
            assert_eq!(asked(header, 10), Asked::Unsatisfiable, "{}", header.escape_ascii());
        }
        assert_eq!(asked(b"bytes=0-", 0), Asked::Unsatisfiable);
        assert_eq!(asked(b"bytes=-1", 0), Asked::Unsatisfiable);
    }

    #[test]
    fn several_negative_reversed_and_malformed_ranges_mean_the_whole() {
        for header in [
            &b""[..],
            b"bytes",
            b"bytes=",
            b"bytes=-",
            b"bytes=5-2",
            b"bytes=0-1,3-4",
            b"bytes=--5",
            b"bytes=-5-",
            b"bytes=a-b",
            b"items=0-1",
            b"bytes=1 -2",
        ] {
            assert_eq!(asked(header, 10), Asked::Whole, "{}", header.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_ask_for_what_does_not_exist(header in prop::collection::vec(any::<u8>(), 0..40), length in any::<u64>()) {
            if let Asked::Part(range) = asked(&header, length) {
                prop_assert!(range.start < range.end && range.end <= length);
            }
        }

        #[test]
        fn arbitrary_numbers_never_ask_for_what_does_not_exist(first in any::<u64>(), last in any::<u64>(), length in any::<u64>()) {
            for header in [format!("bytes={first}-{last}"), format!("bytes={first}-"), format!("bytes=-{last}")] {
                if let Asked::Part(range) = asked(header.as_bytes(), length) {
                    prop_assert!(range.start < range.end && range.end <= length);
                }
            }
        }
    }
}
