//! `kura check`: is all that lies in a stopped directory what was written? With `--repair`, what is not is dropped.
//! Not here: how either is done (`kura_store::stopped`).

use std::io::{self, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use kura_store::stopped::{Contents, Depth, Examined, Seen, SegmentFile, State, Stopped};

use crate::offline::{OfflineError, count, explained, size, with_stopped};
use crate::socket;

/// Checks the directory and prints what is found. Returns whether there is nothing that a start would warn about.
///
/// # Errors
/// When it cannot be looked at.
pub(crate) fn check(directory: &Path, repair: bool) -> Result<bool, OfflineError> {
    with_stopped(directory, async |stopped| {
        let check = Check { directory, stopped, repair, totals: Totals::default(), wrong: 0, repaired: 0 };
        check.run().await.map_err(|error| explained(directory, error))
    })
}

/// What a killed server left, and the next start replaces.
fn is_admin_socket(directory: &Path, path: &str) -> bool {
    let found = directory.join(path).symlink_metadata();
    path == socket::ADMIN && found.is_ok_and(|found| found.file_type().is_socket())
}

struct Check<'a> {
    directory: &'a Path,
    stopped: Stopped,
    repair: bool,
    totals: Totals,
    /// What is wrong, and was not repaired.
    wrong: u64,
    repaired: u64,
}

#[derive(Default)]
struct Totals {
    segments: u64,
    unsealed: u64,
    artifacts: u64,
    tombstones: u64,
    record_bytes: u64,
    file_bytes: u64,
    damaged: u64,
}

impl Check<'_> {
    async fn run(mut self) -> Result<bool, kura_store::Error> {
        self.store_file().await?;
        let contents = self.stopped.contents().await?;
        for segment in &contents.segments {
            self.segment(segment).await?;
        }
        self.others(&contents);
        self.sum_up();
        Ok(self.wrong == 0)
    }

    async fn store_file(&mut self) -> Result<(), kura_store::Error> {
        if self.stopped.store_file_is_whole() {
            return Ok(());
        }
        say("STORE: one of its two copies is damaged");
        self.totals.damaged += 1;
        if self.repair {
            self.stopped.mend_store_file().await?;
            self.repaired += 1;
            say("STORE: written anew");
        } else {
            self.wrong += 1;
        }
        Ok(())
    }

    async fn segment(&mut self, segment: &SegmentFile) -> Result<(), kura_store::Error> {
        let number = segment.number;
        let mut see = |seen: Seen<'_>| {
            if let Seen::Damaged(at, what) = seen {
                say(&format!("segment {number}: damaged at {at}: {what}"));
            }
        };
        let examined = self.stopped.examine(segment, Depth::Bodies, &mut see).await?;
        self.totals.add(segment, &examined);
        match &examined.state {
            State::Sealed | State::Unsealed => {}
            State::Orphan => say(&format!("segment {number}: holds no record; the next start removes it")),
            State::Foreign(why) => self.warn(&format!("segment {number}: {why}; left alone")),
            State::Unreadable(why) => self.warn(&format!("segment {number}: cannot be read: {why}")),
        }
        if examined.unfinished > 0 && examined.state == State::Unsealed {
            let places = count(examined.unfinished, "place");
            say(&format!(
                "segment {number}: has no footer yet, and {places} without a whole record: uploads that broke off, or damage"
            ));
        }
        if examined.damaged > 0 {
            self.drop_damaged(segment, &examined).await;
        }
        Ok(())
    }

    async fn drop_damaged(&mut self, segment: &SegmentFile, examined: &Examined) {
        // Of a segment that nothing is left of, there is nothing to keep.
        if !self.repair || examined.state == State::Orphan {
            self.wrong += examined.damaged;
            return;
        }
        match self.stopped.repair(segment, examined).await {
            Ok(_) => {
                self.repaired += examined.damaged;
                say(&format!("segment {}: repaired", segment.number));
            }
            Err(error) => {
                self.wrong += examined.damaged;
                say(&format!("segment {}: could not be repaired, and is as it was: {error}", segment.number));
            }
        }
    }

    fn others(&mut self, contents: &Contents) {
        for path in &contents.leftovers {
            say(&format!("{path}: left by an unclean stop; the next start removes it"));
        }
        for path in contents.strays.iter().filter(|path| !is_admin_socket(self.directory, path)) {
            self.warn(&format!("{path}: not Kura's; left alone, and counted against the capacity"));
        }
    }

    fn warn(&mut self, text: &str) {
        self.wrong += 1;
        say(text);
    }

    fn sum_up(&self) {
        let totals = &self.totals;
        say(&format!(
            "{}: {} ({} without a footer), {}, {}; {} of records in {} of files",
            self.directory.display(),
            count(totals.segments, "segment"),
            totals.unsealed,
            count(totals.artifacts, "artifact"),
            count(totals.tombstones, "tombstone"),
            size(totals.record_bytes),
            size(totals.file_bytes),
        ));
        if self.repaired > 0 {
            say(&format!("{} repaired", count(self.repaired, "damaged place")));
        }
        match (self.wrong, totals.damaged) {
            (0, _) => say("sound"),
            (wrong, 0) => say(&format!("nothing is damaged; {} above needs a look", count(wrong, "line"))),
            (_, damaged) if self.repair => say(&format!("{} found", count(damaged, "damaged place"))),
            (_, damaged) => say(&format!(
                "{} found: --repair drops what does not hold, and nothing else",
                count(damaged, "damaged place")
            )),
        }
    }
}

impl Totals {
    fn add(&mut self, segment: &SegmentFile, examined: &Examined) {
        self.segments += 1;
        self.unsealed += u64::from(examined.state == State::Unsealed);
        self.artifacts += examined.artifacts;
        self.tombstones += examined.tombstones;
        self.record_bytes += examined.record_bytes;
        self.file_bytes += segment.allocated;
        self.damaged += examined.damaged;
    }
}

/// A closed standard output is no reason to stop in the middle of a repair.
fn say(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}
