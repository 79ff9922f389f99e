//! WRITE 1 to 3: admit, reserve, stream in place.
//! A short body is gathered and takes its place when complete. A longer one of known length has its range before its first byte is read: in the
//! active segment, or in a solo segment of its exact size. One of unknown length is gathered as long as it is short, then fills
//! a solo segment that grows.
//! Invariant: a byte received is a byte written once (a growing body that ends short is the exception), and a body is readable
//! only through its commit. An upload dropped before that leaves a hole, or a solo segment for the keeper to unlink.

use std::sync::Arc;

use bytes::Bytes;
use futures_channel::oneshot;

use crate::commit::{Pending, Record};
use crate::error::{During, Error};
use crate::files::Handle;
use crate::format::record::{BlockSums, Head, HeadHash, Layout, Seal};
use crate::key::{Attributes, RecordKey};
use crate::log::Ticket;
use crate::read::index;
use crate::room::Admitted;
use crate::solo::Solo;
use crate::store::{Inner, Store};
use crate::types::{Encoding, Offset, RecordType, SegmentNumber, Version};

/// What is to be stored.
#[derive(Debug)]
pub struct PutRequest {
    /// Under which key.
    pub key: RecordKey,
    /// What is kept beside the body.
    pub attributes: Attributes,
    /// How the body is encoded.
    pub encoding: Encoding,
    /// Its length in bytes as stored, where it is known.
    pub length: Option<u64>,
}

/// What is known once a body is complete.
#[derive(Debug, Default)]
pub struct Commit {
    /// The decoded length, where the body is encoded.
    pub logical_len: Option<u64>,
    /// The SHA-256 of the decoded body, where it was computed.
    pub sha256: Option<[u8; 32]>,
}

/// A body on its way in. Dropped before [`Upload::commit`], it never was.
#[must_use]
pub struct Upload {
    inner: Arc<Inner>,
    head: Head,
    declared: Option<u64>,
    /// The most bytes that it may have.
    limit: u64,
    received: u64,
    /// Received and not written yet.
    buffered: Vec<Bytes>,
    buffered_len: usize,
    body: Body,
    /// Counts against what may be on its way in at once.
    admissions: Vec<Admitted>,
}

enum Body {
    /// Everything is still in `buffered`.
    Gathering,
    Shared(Stream<Ticket>),
    Solo(Stream<Solo>),
}

/// A body that is written to its place as it comes.
pub(crate) struct Stream<Target> {
    pub(crate) target: Target,
    pub(crate) handle: Arc<Handle>,
    /// Where the record starts.
    pub(crate) offset: Offset,
    /// The encoded head, until it is written with the first bytes.
    pub(crate) head: Option<Bytes>,
    pub(crate) head_len: u64,
    pub(crate) head_hash: HeadHash,
    /// Bytes of the body at their place.
    pub(crate) written: u64,
    pub(crate) sums: BlockSums,
}

impl<Target> Stream<Target> {
    pub(crate) fn new(
        inner: &Inner,
        head: &Head,
        target: Target,
        birth: SegmentNumber,
        offset: Offset,
        handle: Arc<Handle>,
    ) -> Stream<Target> {
        let (bytes, head_hash) = head.encode(&Seal { secret: &inner.identity.secret, birth, offset });
        Stream {
            target,
            handle,
            offset,
            head_len: bytes.len() as u64,
            head: Some(bytes.into()),
            head_hash,
            written: 0,
            sums: BlockSums::new(inner.geometry().block()),
        }
    }

    /// Writes the pieces behind what is there.
    pub(crate) async fn append(&mut self, pieces: Vec<Bytes>) -> Result<(), Error> {
        let mut at = self.offset.0 + self.head_len + self.written;
        for piece in &pieces {
            self.sums.update(piece);
            self.written += piece.len() as u64;
        }
        let mut data = pieces;
        if let Some(head) = self.head.take() {
            at = self.offset.0;
            data.insert(0, head);
        }
        self.handle.file()?.write_at(at, data).await.during("writing a body")
    }

    /// What the record's trailer and index entry say.
    pub(crate) fn into_record(
        self,
        inner: &Inner,
        head: &Head,
        commit: &Commit,
    ) -> (Target, Arc<Handle>, Offset, Record) {
        let layout = Layout::new(self.head_len, self.written, inner.geometry().block());
        let record = record_of(inner, head, layout, self.head_hash, self.sums.finish(), commit);
        (self.target, self.handle, self.offset, record)
    }
}

fn record_of(
    inner: &Inner,
    head: &Head,
    layout: Layout,
    head_hash: HeadHash,
    crcs: Vec<u32>,
    commit: &Commit,
) -> Record {
    Record {
        fingerprint: head.fingerprint,
        namespace: inner.namespace_fingerprint(&head.key),
        record_type: head.record_type,
        encoding: head.encoding,
        logical_len: commit.logical_len.unwrap_or(layout.stored_len),
        layout,
        head_hash,
        crcs,
        sha256: commit.sha256,
        copy_of: None,
    }
}

impl Store {
    /// Starts an upload. Whatever can refuse it does so here, before a byte of the body is read.
    ///
    /// # Errors
    /// `TooLarge`; `Busy` or `Full` when no room came in time; `ReadOnly`, `Closed`.
    pub async fn put(&self, request: PutRequest) -> Result<Upload, Error> {
        let inner = Arc::clone(&self.inner);
        inner.check_writable()?;
        let limit = inner.max_artifact_size_of(request.key.tenant());
        if request.length.is_some_and(|length| length > limit) {
            return Err(Error::TooLarge { limit });
        }
        let head = Head {
            record_type: RecordType::Artifact,
            encoding: request.encoding,
            fingerprint: inner.identity.seed.of(&request.key),
            key: request.key,
            attributes: request.attributes,
            stored_len: request.length,
        };
        let mut upload = Upload {
            inner,
            head,
            declared: request.length,
            limit,
            received: 0,
            buffered: Vec::new(),
            buffered_len: 0,
            body: Body::Gathering,
            admissions: Vec::new(),
        };
        if let Some(length) = request.length {
            upload.reserve(length).await?;
        }
        Ok(upload)
    }
}

impl Upload {
    /// The space for a body of known length.
    async fn reserve(&mut self, length: u64) -> Result<(), Error> {
        let geometry = self.inner.geometry();
        let owner = self.inner.lanes.owner(self.head.key.tenant());
        self.admissions.push(self.inner.admit(length, owner).await?);
        if length <= geometry.gather_known() {
            return Ok(());
        }
        let layout = Layout::new(self.head.encoded_len(), length, geometry.block());
        self.body = if length > geometry.solo_above() {
            let solo = Solo::of_size(&self.inner, &self.head, layout).await?;
            Body::Solo(solo.stream(&self.inner, &self.head)?)
        } else {
            Body::Shared(self.shared(layout.total).await?)
        };
        Ok(())
    }

    async fn shared(&self, total: u64) -> Result<Stream<Ticket>, Error> {
        let ticket = self.inner.place(total, &self.head.key.namespace_id()).await?;
        let segment = Arc::clone(&ticket.segment);
        let handle = segment.with_writing(|writing| Arc::clone(&writing.handle)).ok_or(Error::Evicted)?;
        let offset = ticket.at.offset;
        Ok(Stream::new(&self.inner, &self.head, ticket, segment.birth, offset, handle))
    }

    /// Takes the next piece of the body.
    ///
    /// # Errors
    /// `LengthMismatch` for more than was declared, `TooLarge` for more than may be; `Evicted`, `Busy`, `Full`, `Io`: the upload is lost.
    pub async fn write(&mut self, piece: Bytes) -> Result<(), Error> {
        self.received += piece.len() as u64;
        if let Some(declared) = self.declared.filter(|declared| self.received > *declared) {
            return Err(Error::LengthMismatch { declared, received: self.received });
        }
        if self.received > self.limit {
            return Err(Error::TooLarge { limit: self.limit });
        }
        self.buffered_len += piece.len();
        self.buffered.push(piece);
        let geometry = self.inner.geometry();
        match &self.body {
            Body::Gathering if self.declared.is_none() && self.received > geometry.gather_unknown() => {
                let mut head = self.head.clone();
                head.stored_len = None;
                let solo = Solo::growing(&self.inner, &head).await?;
                self.body = Body::Solo(solo.stream(&self.inner, &head)?);
                self.flush().await
            }
            Body::Gathering => Ok(()),
            _ if self.buffered_len as u64 >= geometry.write_size() => self.flush().await,
            _ => Ok(()),
        }
    }

    /// Writes what is buffered.
    async fn flush(&mut self) -> Result<(), Error> {
        self.buffered_len = 0;
        let pieces = std::mem::take(&mut self.buffered);
        match &mut self.body {
            Body::Gathering => {
                self.buffered = pieces;
                Ok(())
            }
            Body::Shared(stream) if stream.target.segment.is_condemned() => Err(Error::Evicted),
            Body::Shared(stream) => {
                stream.target.segment.check_sound()?;
                stream.append(pieces).await
            }
            Body::Solo(stream) => {
                let coming: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
                let end = stream.head_len + stream.written + coming;
                self.admissions.extend(stream.target.grow_to(&self.inner, end).await?);
                stream.append(pieces).await
            }
        }
    }

    /// Ends the upload: from the answer on the artifact can be read, and survives what the durability setting says.
    ///
    /// # Errors
    /// `LengthMismatch` if the body is shorter than declared; `Evicted`, `Busy`, `Full`, `Io`. Nothing is kept then.
    pub async fn commit(mut self, commit: Commit) -> Result<Version, Error> {
        if let Some(declared) = self.declared.filter(|declared| self.received != *declared) {
            return Err(Error::LengthMismatch { declared, received: self.received });
        }
        if !self.buffered.is_empty() {
            self.flush().await?;
        }
        let version = match std::mem::replace(&mut self.body, Body::Gathering) {
            Body::Gathering => self.commit_gathered(&commit).await?,
            Body::Shared(stream) => self.commit_shared(stream, &commit).await?,
            // Few bodies are large: their state is not carried by every upload.
            Body::Solo(stream) if stream.target.is_worth_keeping(&self.inner, stream.written) => {
                Box::pin(self.inner.commit_solo(stream, self.head.clone(), commit)).await?
            }
            Body::Solo(stream) => Box::pin(self.move_short_solo(stream, &commit)).await?,
        };
        self.inner.counters.bytes_written.add(self.received);
        Ok(version)
    }

    async fn commit_gathered(&mut self, commit: &Commit) -> Result<Version, Error> {
        self.head.stored_len = Some(self.received);
        let pieces = std::mem::take(&mut self.buffered);
        let mut sums = BlockSums::new(self.inner.geometry().block());
        pieces.iter().for_each(|piece| sums.update(piece));
        self.inner.commit_whole(&self.head, pieces, sums.finish(), commit).await
    }

    async fn commit_shared(&self, stream: Stream<Ticket>, commit: &Commit) -> Result<Version, Error> {
        let (ticket, _, _, record) = stream.into_record(&self.inner, &self.head, commit);
        self.inner.commit_at(ticket, record, None).await
    }

    /// A body of unknown length that ended short goes to the active segment after all; its solo segment is unlinked.
    async fn move_short_solo(&mut self, solo: Stream<Solo>, commit: &Commit) -> Result<Version, Error> {
        self.head.stored_len = Some(solo.written);
        let layout = Layout::new(self.head.encoded_len(), solo.written, self.inner.geometry().block());
        let mut stream = self.shared(layout.total).await?;
        let mut from = solo.offset.0 + solo.head_len;
        let end = from + solo.written;
        while from < end {
            let length = (end - from).min(self.inner.geometry().write_size());
            let buffer = self.inner.buffers.take(index(length));
            let piece = solo.handle.file()?.read_at(from, buffer).await.during("reading back a body")?;
            stream.target.segment.check_sound()?;
            stream.append(vec![piece.into_bytes()]).await?;
            from += length;
        }
        // What was read back must be what had come in.
        let (ticket, _, _, record) = stream.into_record(&self.inner, &self.head, commit);
        if record.crcs != solo.sums.finish() {
            return Err(Error::Corrupt {
                segment: ticket.segment.number(),
                offset: ticket.at.offset,
                what: "a body read back",
            });
        }
        self.inner.commit_at(ticket, record, None).await
    }
}

impl Inner {
    /// Commits a record that is whole in memory: places, writes and publishes it.
    pub(crate) async fn commit_whole(
        self: &Arc<Self>,
        head: &Head,
        body: Vec<Bytes>,
        crcs: Vec<u32>,
        commit: &Commit,
    ) -> Result<Version, Error> {
        let stored_len = head.stored_len.unwrap_or(0);
        let layout = Layout::new(head.encoded_len(), stored_len, self.geometry().block());
        let ticket = self.place(layout.total, &head.key.namespace_id()).await?;
        let seal = Seal { secret: &self.identity.secret, birth: ticket.segment.birth, offset: ticket.at.offset };
        let (bytes, head_hash) = head.encode(&seal);
        let mut gathered = Vec::with_capacity(body.len() + 2);
        gathered.push(Bytes::from(bytes));
        gathered.extend(body);
        let record = record_of(self, head, layout, head_hash, crcs, commit);
        self.commit_at(ticket, record, Some(gathered)).await
    }

    /// Joins the group commit of the ticket's segment.
    pub(crate) async fn commit_at(
        self: &Arc<Self>,
        ticket: Ticket,
        record: Record,
        gathered: Option<Vec<Bytes>>,
    ) -> Result<Version, Error> {
        let (answer, committed) = oneshot::channel();
        self.enqueue(Pending { ticket, record, gathered, answer });
        committed.await.unwrap_or(Err(Error::Closed))
    }
}
