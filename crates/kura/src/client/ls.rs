//! `kura ls`: what a namespace holds, a line for each: its size in bytes, when it was stored, and its name as `kura get` takes it, with tabs between.
//! Names that are no text, or would not stay on their line, are shown with escapes.

use std::io::{ErrorKind, Read, Write, stdout};
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;
use ureq::SendBody;
use ureq::http::StatusCode;

use super::{Failure, Target, spelled};

/// The most that is read of a page, in bytes: Kura's are shorter.
const MAX_PAGE: u64 = 16 << 20;

/// The last second of the year 9999, which the format of times does not go beyond.
const LAST_SECOND: u64 = 253_402_300_799;

pub(super) fn ls(target: &Target, name: &str) -> Result<(), Failure> {
    let (namespace, prefix) = name.split_once('/').unwrap_or((name, ""));
    if namespace.is_empty() {
        return Err(Failure::Usage(format!("expected NAMESPACE or NAMESPACE/PREFIX, and not `{name}`")));
    }
    let list = target.url(&format!("/http/{}?prefix={}", spelled(namespace), spelled(prefix)));
    let mut url = list.clone();
    loop {
        let page = page(target, &url)?;
        let lines = lines(&page).ok_or_else(|| Failure::Refused(format!("GET {url} was answered with no list")))?;
        match stdout().lock().write_all(lines.as_bytes()) {
            // Whoever reads it has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            Err(source) => return Err(Failure::File { path: "standard output".to_owned(), source }),
            Ok(()) => {}
        }
        match page["next"].as_str() {
            Some(next) => url = format!("{list}&page={}", spelled(next)),
            None => return Ok(()),
        }
    }
}

fn page(target: &Target, url: &str) -> Result<Value, Failure> {
    let response = target.send("GET", url, &[], SendBody::none()).map_err(|error| target.unreachable(&error))?;
    if response.status() != StatusCode::OK {
        return match target.refused("GET", url, response) {
            // There is no miss of a list.
            Failure::Miss(said) => Err(Failure::Refused(said)),
            other => Err(other),
        };
    }
    let mut text = Vec::new();
    let read = response.into_body().as_reader().take(MAX_PAGE).read_to_end(&mut text);
    read.map_err(|error| target.unreachable(&ureq::Error::from(error)))?;
    Ok(serde_json::from_slice(&text).unwrap_or_default())
}

/// The lines of a page; nothing, if it is none.
fn lines(page: &Value) -> Option<String> {
    page["artifacts"].as_array()?.iter().map(line).collect()
}

fn line(artifact: &Value) -> Option<String> {
    let (size, stored) = (artifact["size"].as_u64()?, artifact["stored"].as_u64()?);
    let stored = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(stored.min(LAST_SECOND)));
    let name = shown(&decoded(artifact["path"].as_str()?.strip_prefix("/http/")?)?);
    Some(format!("{size}\t{stored}\t{name}\n"))
}

fn shown(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(text) if !text.contains(char::is_control) => text.to_owned(),
        _ => name.escape_ascii().to_string(),
    }
}

/// What [`spelled`] spells.
fn decoded(path: &str) -> Option<Vec<u8>> {
    let mut parts = path.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_as_they_are_typed_and_stay_on_their_line() {
        for name in ["tools/a b/c", "tools/ü%?#", "tools/a+b"] {
            assert_eq!(shown(&decoded(&spelled(name)).unwrap()), name);
        }
        assert_eq!(shown(b"a/two\nlines \x1b[31m"), r"a/two\nlines \x1b[31m");
        assert_eq!(shown(&[b'a', b'/', 0xff]), r"a/\xff");
        for bad in ["%", "%f", "%zz", "a%é"] {
            assert_eq!(decoded(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_no_list_is_none() {
        let artifact = serde_json::json!({ "path": "/http/a/b", "size": 3, "stored": u64::MAX });
        let page = serde_json::json!({ "artifacts": [artifact] });
        assert_eq!(lines(&page).unwrap(), "3\t9999-12-31T23:59:59Z\ta/b\n");
        for bad in ["{}", "[]", r#"{"artifacts":[{}]}"#, r#"{"artifacts":[{"path":"/","size":1,"stored":1}]}"#] {
            assert!(lines(&serde_json::from_str(bad).unwrap()).is_none(), "{bad}");
        }
    }
}
