//! `grpc-timeout`: how long the client waits.

use std::time::Duration;

use http::HeaderMap;
use tonic::Status;

/// The longest number that the header may hold.
const MAX_DIGITS: usize = 8;

/// What becomes of a call that takes longer.
pub(crate) fn deadline_exceeded() -> Status {
    Status::deadline_exceeded("the deadline is over")
}

/// How long the client waits for its answer, if it says so.
///
/// # Errors
/// `INVALID_ARGUMENT` for what is no timeout.
pub(crate) fn deadline(headers: &HeaderMap) -> Result<Option<Duration>, Status> {
    let Some(value) = headers.get("grpc-timeout") else { return Ok(None) };
    parse(value.as_bytes()).map(Some).ok_or_else(|| Status::invalid_argument("grpc-timeout is malformed"))
}

fn parse(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > MAX_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Some(Duration::from_secs(number * 3600)),
        b'M' => Some(Duration::from_secs(number * 60)),
        b'S' => Some(Duration::from_secs(number)),
        b'm' => Some(Duration::from_millis(number)),
        b'u' => Some(Duration::from_micros(number)),
        b'n' => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_understood() {
        let table = [
            ("2H", Duration::from_secs(7200)),
            ("3M", Duration::from_secs(180)),
            ("60S", Duration::from_secs(60)),
            ("59999m", Duration::from_millis(59_999)),
            ("7u", Duration::from_micros(7)),
            ("99999999n", Duration::from_nanos(99_999_999)),
        ];
        for (text, duration) in table {
            assert_eq!(parse(text.as_bytes()), Some(duration), "{text}");
        }
    }

    #[test]
    fn what_is_no_timeout_is_refused() {
        for text in ["", "S", "1", "1s", "-1S", "+1S", "1.5S", "123456789S", "1 S", "\u{661}S"] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
