//! `kura inspect`: what lies in a stopped directory, listed for people: its segments, or the records of one.
//! Not here: whether all of it holds (`check`).

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use kura_cache::{Kind, WRITER};
use kura_store::format::footer::FooterEntry;
use kura_store::format::record::Head;
use kura_store::format::segment::SegmentKind;
use kura_store::key::RecordKey;
use kura_store::stopped::{Depth, Examined, Seen, SegmentFile, State, Stopped};
use kura_store::types::{Encoding, RecordType};

use crate::offline::{OfflineError, count, explained, size, with_stopped};

/// Lists the segments, oldest first; or the records of the one with that number, in order of offset.
///
/// # Errors
/// When the directory cannot be looked at, or has no such segment.
pub(crate) fn inspect(directory: &Path, segment: Option<u64>) -> Result<(), OfflineError> {
    with_stopped(directory, async |stopped| {
        let contents = stopped.contents().await.map_err(|error| explained(directory, error))?;
        let listed = match segment {
            None => segments(&stopped, &contents.segments).await,
            Some(number) => {
                let named = contents.segments.iter().find(|found| found.number.0 == number);
                records(&stopped, named.ok_or(OfflineError::NoSegment { segment: number })?).await
            }
        };
        listed.map_err(|error| explained(directory, error))
    })
}

async fn segments(stopped: &Stopped, segments: &[SegmentFile]) -> Result<(), kura_store::Error> {
    for segment in segments {
        let examined = stopped.examine(segment, Depth::Footer, &mut |_| ()).await?;
        say(&line_of_segment(segment, &examined));
    }
    Ok(())
}

fn line_of_segment(segment: &SegmentFile, examined: &Examined) -> String {
    let state = match &examined.state {
        State::Sealed => "sealed",
        State::Unsealed => "no footer yet",
        State::Orphan => "no record",
        State::Foreign(why) => why,
        State::Unreadable(why) => why,
    };
    let kind = match examined.kind {
        Some(SegmentKind::Shared) => "shared",
        Some(SegmentKind::Solo) => "solo",
        None => "-",
    };
    let (artifacts, tombstones) = (count(examined.artifacts, "artifact"), count(examined.tombstones, "tombstone"));
    let mut line = format!("{}  {}  {kind:6}  ", segment.number, time(segment.number.0 >> 16));
    let (used, whole) = (size(examined.record_bytes), size(segment.allocated));
    let _ = write!(line, "{artifacts}, {tombstones}, {used} of {whole}, {state}");
    if examined.damaged > 0 {
        line.push_str(", damaged");
    }
    line
}

async fn records(stopped: &Stopped, segment: &SegmentFile) -> Result<(), kura_store::Error> {
    let mut see = |seen: Seen<'_>| match seen {
        Seen::Record(entry, head) => say(&line_of_record(entry, head)),
        Seen::Damaged(at, what) => say(&format!("{at:>10}  damaged: {what}")),
        Seen::Unfinished(at) => say(&format!("{at:>10}  no whole record")),
    };
    let examined = stopped.examine(segment, Depth::Heads, &mut see).await?;
    say(&line_of_segment(segment, &examined));
    Ok(())
}

fn line_of_record(entry: &FooterEntry, head: &Head) -> String {
    let what = match (entry.record_type, entry.encoding) {
        (RecordType::KeyTombstone, _) => "tombstone".to_owned(),
        (RecordType::NamespaceTombstone, _) => "clean".to_owned(),
        (RecordType::Artifact, Encoding::Identity) => size(entry.stored_len),
        (RecordType::Artifact, Encoding::Zstd) => {
            format!("{} (zstd of {})", size(entry.stored_len), size(entry.logical_len))
        }
        (RecordType::Artifact, Encoding::Recipe) => format!("recipe of {}", size(entry.logical_len)),
    };
    let copy = if entry.copy { ", moved here" } else { "" };
    let writer = head.attributes.get(WRITER).map(|writer| format!(", by {}", text(writer))).unwrap_or_default();
    format!("{:>10}  {}  {}  {what}{copy}{writer}", entry.offset.0, time(entry.version.unix_millis()), name(&head.key))
}

/// Tenant, namespace, kind and key.
fn name(key: &RecordKey) -> String {
    let kind = Kind::ALL.into_iter().find(|kind| *kind as u8 == key.kind().0);
    let kind = kind.map_or_else(|| key.kind().0.to_string(), |kind| kind.name().to_owned());
    format!("{}/{}/{kind}/{}", key.tenant().escape_debug(), key.namespace().escape_debug(), text(key.key()))
}

/// A key as it is if it can be read, and in hexadecimal digits otherwise.
fn text(key: &[u8]) -> String {
    match std::str::from_utf8(key) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => key.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        }),
    }
}

/// The first second after the year 9999, which the format of times does not go beyond.
const END_OF_TIMES: u64 = 253_402_300_800;

fn time(unix_millis: u64) -> String {
    let seconds = unix_millis / 1000;
    if seconds >= END_OF_TIMES {
        return "-".to_owned();
    }
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}

/// A closed standard output, such as that of a pager, is no error.
fn say(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_shown_as_text_or_as_digits() {
        assert_eq!(text("libé.a".as_bytes()), "libé.a");
        assert_eq!(text(&[1, 0xab, 0xff]), "01abff");
        assert_eq!(text(b"two\nlines"), "74776f0a6c696e6573");
    }

    #[test]
    fn times_beyond_the_calendar_are_no_panic() {
        assert_eq!(time(1_700_000_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(time(END_OF_TIMES * 1000 - 1), "9999-12-31T23:59:59Z");
        assert_eq!((time(END_OF_TIMES * 1000).as_str(), time(u64::MAX).as_str()), ("-", "-"));
    }
}
