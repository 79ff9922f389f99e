//! One segment of a stopped directory, read as a start and a reader would: nothing is taken for a record that they would not serve.

use bytes::Bytes;

use crate::create::segment_path;
use crate::error::{During, Error};
use crate::format::Damage;
use crate::format::footer::{Footer, FooterEntry, LOCATOR_LEN};
use crate::format::record::{Head, Layout};
use crate::format::segment::SegmentKind;
use crate::look::{Looked, OpenFile, Sort, kind, may_be_empty};
use crate::read::is_lost;
use crate::records::{Found, Frame, Records, Source, TORN, WholeRecord};
use crate::scan::walk;
use crate::types::{Offset, RecordType, SegmentNumber};

use super::{SegmentFile, Stopped};

/// How closely to look at a sealed segment; one without a footer has to be read whole to know what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The header and the footer.
    Footer,
    /// The head of each record, which has its key.
    Heads,
    /// Every byte of each record.
    Bodies,
}

/// What is met on the way through a segment, in order of offset.
#[derive(Debug)]
pub enum Seen<'a> {
    /// A record that holds as far as it was looked at.
    Record(&'a FooterEntry, &'a Head),
    /// What was written there does not hold.
    Damaged(Offset, &'static str),
    /// In a segment without a footer: something that is no whole record. An upload that never ended, or damage.
    Unfinished(Offset),
}

/// What a segment is.
#[derive(Debug, PartialEq, Eq)]
pub enum State {
    /// It has its footer.
    Sealed,
    /// It has none: the next start scans it.
    Unsealed,
    /// It holds nothing that was ever committed: the next start removes it.
    Orphan,
    /// Not this store's; why.
    Foreign(&'static str),
    /// It cannot be read; why.
    Unreadable(String),
}

/// A segment, examined.
#[derive(Debug)]
pub struct Examined {
    /// What it is.
    pub state: State,
    /// What it holds, if it is a segment of this store.
    pub kind: Option<SegmentKind>,
    /// The number that it was created with, if it is a segment of this store.
    pub birth: Option<SegmentNumber>,
    /// Artifacts in it, live or not.
    pub artifacts: u64,
    /// Records that end others.
    pub tombstones: u64,
    /// Bytes that its records take.
    pub record_bytes: u64,
    /// Records and parts that do not hold.
    pub damaged: u64,
    /// Where these are.
    pub damaged_at: Vec<Offset>,
    /// Places that hold no whole record, in a segment without a footer.
    pub unfinished: u64,
}

impl Examined {
    fn new(state: State) -> Examined {
        Examined {
            state,
            kind: None,
            birth: None,
            artifacts: 0,
            tombstones: 0,
            record_bytes: 0,
            damaged: 0,
            damaged_at: Vec::new(),
            unfinished: 0,
        }
    }
}

/// Counts what is seen, and passes it on.
struct Tally<'a> {
    examined: Examined,
    block: u32,
    see: &'a mut (dyn FnMut(Seen<'_>) + Send),
}

impl Tally<'_> {
    fn count(&mut self, entry: &FooterEntry) {
        match entry.record_type {
            RecordType::Artifact => self.examined.artifacts += 1,
            RecordType::KeyTombstone | RecordType::NamespaceTombstone => self.examined.tombstones += 1,
        }
        self.examined.record_bytes += Layout::new(entry.head_len, entry.stored_len, self.block).total;
    }

    fn record(&mut self, entry: &FooterEntry, head: &Head) {
        self.count(entry);
        (self.see)(Seen::Record(entry, head));
    }

    fn damaged(&mut self, at: Offset, Damage(what): Damage) {
        self.examined.damaged += 1;
        self.examined.damaged_at.push(at);
        (self.see)(Seen::Damaged(at, what));
    }

    fn unfinished(&mut self, at: Offset) {
        self.examined.unfinished += 1;
        (self.see)(Seen::Unfinished(at));
    }
}

impl Stopped {
    /// Looks at one segment, and shows what it meets.
    ///
    /// # Errors
    /// `NewerFormat`. What cannot be read is [`State::Unreadable`].
    pub async fn examine(
        &self,
        segment: &SegmentFile,
        depth: Depth,
        see: &mut (dyn FnMut(Seen<'_>) + Send),
    ) -> Result<Examined, Error> {
        let path = segment_path(segment.number);
        match self.examine_file(&path, segment, depth, see).await {
            Err(error @ Error::NewerFormat { .. }) => Err(error),
            Err(error) => Ok(Examined::new(State::Unreadable(error.to_string()))),
            examined => examined,
        }
    }

    /// The same, of a file that need not have its name yet.
    pub(super) async fn examine_file(
        &self,
        path: &str,
        segment: &SegmentFile,
        depth: Depth,
        see: &mut (dyn FnMut(Seen<'_>) + Send),
    ) -> Result<Examined, Error> {
        let looker = self.looker();
        let looked = looker.look(path, segment.length).await?;
        let frame = looked.frame(&looker, segment.number);
        let state = match &looked.sort {
            Sort::Foreign(why) => return Ok(Examined::new(State::Foreign(why))),
            Sort::Sealed(_) => State::Sealed,
            Sort::Unsealed { .. } => State::Unsealed,
        };
        // The device is asked, and not the memory of an earlier read.
        looked.file.forget_cached().await.during("letting go of cached pages")?;
        let mut tally = Tally { examined: Examined::new(state), block: frame.block, see };
        tally.examined.birth = Some(frame.birth);
        match &looked.sort {
            Sort::Sealed(footer) => self.examine_sealed(&looked, frame, footer, depth, &mut tally).await?,
            _ => self.examine_unsealed(&looked, frame, &mut tally).await?,
        }
        Ok(tally.examined)
    }

    async fn examine_sealed(
        &self,
        looked: &Looked,
        frame: Frame<'_>,
        footer: &Footer,
        depth: Depth,
        tally: &mut Tally<'_>,
    ) -> Result<(), Error> {
        tally.examined.kind = Some(kind(looked.header.as_ref(), footer));
        if !looked.header_is_whole {
            tally.damaged(Offset(0), LOST_HEADER);
        }
        let mut entries: Vec<&FooterEntry> = footer.entries.iter().collect();
        entries.sort_unstable_by_key(|entry| entry.offset);
        let mut records = Records::new(self.device(looked, frame.birth), frame);
        for entry in entries {
            if depth == Depth::Footer {
                tally.count(entry);
                continue;
            }
            let found = match depth {
                Depth::Bodies => said(records.at(entry.offset, Some(entry.stored_len)).await, entry)?,
                _ => head(records.head_at(entry.offset).await)?,
            };
            match found {
                Ok(head) => tally.record(entry, &head),
                Err(damage) => tally.damaged(entry.offset, damage),
            }
            self.runtime.yield_now().await;
        }
        Ok(())
    }

    async fn examine_unsealed(&self, looked: &Looked, frame: Frame<'_>, tally: &mut Tally<'_>) -> Result<(), Error> {
        let header = looked.header.as_ref();
        tally.examined.kind = header.map(|header| header.kind);
        // Where no head holds there may be a long row of such places: one is named for all.
        let mut row_ends = Offset(0);
        let source = OpenFile { file: &looked.file, buffers: &self.buffers };
        walk(source, frame, self.runtime.as_ref(), |at, found| {
            match &found {
                Found::Whole(whole) => tally.record(&whole.entry, &whole.head),
                // The record of a solo that was never sealed need not have been committed.
                Found::Torn(_) if may_be_empty(header) => tally.damaged(at, TORN),
                Found::Nothing if at == row_ends => {}
                Found::Nothing | Found::Unfinished(_) | Found::Torn(_) => tally.unfinished(at),
            }
            if matches!(found, Found::Nothing) {
                row_ends = Offset(at.0 + found.taken());
            }
        })
        .await?;
        if !looked.header_is_whole {
            tally.damaged(Offset(0), LOST_HEADER);
        }
        if let Sort::Unsealed { had_footer: true } = looked.sort {
            tally.damaged(Offset(frame.length - LOCATOR_LEN), Damage("the footer"));
        }
        if tally.examined.artifacts + tally.examined.tombstones == 0 && !may_be_empty(header) {
            tally.examined.state = State::Orphan;
        }
        Ok(())
    }

    pub(super) fn device<'a>(&'a self, looked: &'a Looked, birth: SegmentNumber) -> Device<'a> {
        Device(OpenFile { file: &looked.file, buffers: &self.buffers }, birth)
    }
}

const LOST_HEADER: Damage = Damage("the header of the segment");

/// What was found, held against the footer's entry: the head, or what of it does not hold.
pub(super) fn said(found: Result<Found, Error>, entry: &FooterEntry) -> Result<Result<Head, Damage>, Error> {
    let is_said = |whole: &WholeRecord| FooterEntry { namespace: entry.namespace, ..whole.entry } == *entry;
    match found {
        Err(Error::Corrupt { what, .. }) => Ok(Err(Damage(what))),
        found => Ok(found?.if_it_is(is_said).map(|whole| whole.head)),
    }
}

fn head<T>(found: Result<Option<(Head, T)>, Error>) -> Result<Result<Head, Damage>, Error> {
    match found {
        Err(Error::Corrupt { what, .. }) => Ok(Err(Damage(what))),
        found => Ok(found?.map(|(head, _)| head).ok_or(Damage("the head of a record"))),
    }
}

/// A file that tells what the device has lost from what cannot be read for now.
pub(super) struct Device<'a>(OpenFile<'a>, SegmentNumber);

impl Source for Device<'_> {
    async fn read(&self, at: u64, length: u64) -> Result<Bytes, Error> {
        match self.0.read(at, length).await {
            Err(Error::Io { source, .. }) if is_lost(&source) => {
                let (segment, offset) = (self.1, Offset(at));
                Err(Error::Corrupt { segment, offset, what: "what the device cannot read" })
            }
            read => read,
        }
    }
}
