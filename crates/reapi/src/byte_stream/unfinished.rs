//! Uploads that broke off, kept for a while so that they may go on where they stopped. In memory only: after a restart they begin anew.
//! Bounds: how many are kept (the oldest goes), for how long, and their memory is accounted for.
//! Invariant: one name has one upload, which is either carried by a call or kept; a call that wants one that another call carries gets it from there.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use kura_cache::{Error, Scope, Stored, Upload};
use kura_http::Held;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;
use tonic::Status;

use crate::settings::ReapiSettings;
use crate::status;

/// How long a call waits for another to let go of an upload.
const HANDOVER: Duration = Duration::from_secs(10);

/// What an upload goes by: two who name it alike in different places do not mean the same one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Name {
    pub(super) scope: Scope,
    /// As its client spells it.
    pub(super) resource: Bytes,
}

/// All of them.
pub(crate) struct Unfinished {
    uploads: Mutex<HashMap<Name, Entry>>,
    /// The most that are kept, and for how long.
    most: usize,
    keep_for: Duration,
    /// How many were kept so far: the lowest number is the oldest.
    numbers: AtomicU64,
}

enum Entry {
    Carried(Arc<Carried>),
    Kept(Kept),
}

/// What others see of an upload that a call carries.
#[derive(Default)]
struct Carried {
    received: AtomicU64,
    wanted: Notify,
    let_go: Notify,
}

struct Kept {
    number: u64,
    received: u64,
    upload: Box<Upload>,
    held: Held,
}

impl Unfinished {
    pub(crate) fn new(settings: &ReapiSettings) -> Arc<Unfinished> {
        Arc::new(Unfinished {
            uploads: Mutex::default(),
            most: settings.resumable_uploads,
            keep_for: settings.resumable_for,
            numbers: AtomicU64::new(0),
        })
    }

    /// Bytes of an upload that came so far, if it is known.
    pub(super) fn received(&self, name: &Name) -> Option<u64> {
        match self.uploads.lock().get(name)? {
            Entry::Carried(carried) => Some(carried.received.load(Ordering::Relaxed)),
            Entry::Kept(kept) => Some(kept.received),
        }
    }

    /// Carries a new upload. One of the same name that was kept is forgotten.
    pub(super) fn begin(self: &Arc<Self>, name: Name, upload: Box<Upload>, held: Held) -> Carrying {
        self.carry(&mut self.uploads.lock(), name, upload, held, 0)
    }

    fn carry(
        self: &Arc<Self>,
        uploads: &mut HashMap<Name, Entry>,
        name: Name,
        upload: Box<Upload>,
        held: Held,
        received: u64,
    ) -> Carrying {
        let carried = Arc::new(Carried { received: AtomicU64::new(received), ..Carried::default() });
        uploads.insert(name.clone(), Entry::Carried(Arc::clone(&carried)));
        Carrying { all: Arc::clone(self), name, carried, upload: Some(upload), writing: None, held }
    }

    /// Carries on with an upload that broke off; `None` if there is none. A call that still carries it is made to let go: its client is gone.
    ///
    /// # Errors
    /// `UNAVAILABLE` where that takes too long.
    pub(super) async fn resume(self: &Arc<Self>, name: &Name) -> Result<Option<Carrying>, Status> {
        let resumed = timeout(HANDOVER, async {
            loop {
                let Some(carried) = self.carrier(name) else { return self.take(name) };
                let let_go = carried.let_go.notified();
                // It may have let go before anybody waited for that.
                if self.is_carried(name, &carried) {
                    carried.wanted.notify_one();
                    let_go.await;
                }
            }
        });
        resumed.await.map_err(|_| status::unavailable("another call still carries this upload"))
    }

    fn carrier(&self, name: &Name) -> Option<Arc<Carried>> {
        match self.uploads.lock().get(name) {
            Some(Entry::Carried(carried)) => Some(Arc::clone(carried)),
            _ => None,
        }
    }

    fn is_carried(&self, name: &Name, by: &Arc<Carried>) -> bool {
        self.carrier(name).is_some_and(|carried| Arc::ptr_eq(&carried, by))
    }

    /// What is kept, to be carried.
    fn take(self: &Arc<Self>, name: &Name) -> Option<Carrying> {
        let mut uploads = self.uploads.lock();
        uploads.get(name)?.number()?;
        match uploads.remove(name)? {
            Entry::Kept(kept) => Some(self.carry(&mut uploads, name.clone(), kept.upload, kept.held, kept.received)),
            Entry::Carried(_) => None,
        }
    }

    /// Keeps an upload that nobody carries any more.
    fn keep(self: &Arc<Self>, name: &Name, carried: &Arc<Carried>, upload: Box<Upload>, held: Held) {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let received = carried.received.load(Ordering::Relaxed);
        if self.replace(name, carried, Some(Kept { number, received, upload, held })) {
            let (all, name) = (Arc::clone(self), name.clone());
            tokio::spawn(async move {
                tokio::time::sleep(all.keep_for).await;
                all.forget(&name, number);
            });
        }
    }

    /// Puts `kept`, or nothing, in the place of what was carried; whether that was still the upload of this name.
    fn replace(&self, name: &Name, carried: &Arc<Carried>, kept: Option<Kept>) -> bool {
        let mut uploads = self.uploads.lock();
        let ours = matches!(uploads.get(name), Some(Entry::Carried(found)) if Arc::ptr_eq(found, carried));
        if ours {
            uploads.remove(name);
            uploads.extend(kept.map(|kept| (name.clone(), Entry::Kept(kept))));
            self.make_room(&mut uploads);
        }
        carried.let_go.notify_waiters();
        ours
    }

    /// Forgets the oldest where more are kept than may be.
    fn make_room(&self, uploads: &mut HashMap<Name, Entry>) {
        let kept: Vec<u64> = uploads.values().filter_map(Entry::number).collect();
        if kept.len() > self.most {
            let oldest = kept.into_iter().min();
            uploads.retain(|_, entry| entry.number().is_none() || entry.number() != oldest);
        }
    }

    fn forget(&self, name: &Name, number: u64) {
        let mut uploads = self.uploads.lock();
        if uploads.get(name).is_some_and(|entry| entry.number() == Some(number)) {
            uploads.remove(name);
        }
    }
}

impl Entry {
    /// Of one that is kept.
    fn number(&self) -> Option<u64> {
        match self {
            Entry::Kept(kept) => Some(kept.number),
            Entry::Carried(_) => None,
        }
    }
}

type Writing = Pin<Box<dyn Future<Output = (Box<Upload>, Result<(), Error>)> + Send>>;

/// An upload that a call carries. Dropped before [`Carrying::commit`], it is kept.
pub(super) struct Carrying {
    all: Arc<Unfinished>,
    name: Name,
    carried: Arc<Carried>,
    /// Nothing while a piece is written, and once it is lost.
    upload: Option<Box<Upload>>,
    /// A piece on its way, and its length: dropping it would lose the upload.
    writing: Option<(Writing, u64)>,
    held: Held,
}

impl Carrying {
    pub(super) fn received(&self) -> u64 {
        self.carried.received.load(Ordering::Relaxed)
    }

    /// Completes when another call wants the upload.
    pub(super) fn wanted(&self) -> impl Future<Output = ()> + use<> {
        let carried = Arc::clone(&self.carried);
        async move { carried.wanted.notified().await }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// As [`Upload::write`]: the upload is lost.
    pub(super) async fn write(&mut self, piece: Bytes) -> Result<(), Error> {
        let Some(mut upload) = self.upload.take() else { return Err(Error::Evicted) };
        let length = piece.len() as u64;
        let writing: Writing = Box::pin(async move {
            let written = upload.write(piece).await;
            (upload, written)
        });
        let (writing, _) = self.writing.insert((writing, length));
        let (upload, written) = writing.await;
        self.writing = None;
        written?;
        self.carried.received.fetch_add(length, Ordering::Relaxed);
        self.upload = Some(upload);
        Ok(())
    }

    /// Ends the upload.
    ///
    /// # Errors
    /// As [`Upload::commit`]: nothing is kept then.
    pub(super) async fn commit(mut self) -> Result<Stored, Error> {
        match self.upload.take() {
            Some(upload) => upload.commit().await,
            None => Err(Error::Evicted),
        }
    }
}

impl Drop for Carrying {
    fn drop(&mut self) {
        let (all, name, carried) = (Arc::clone(&self.all), self.name.clone(), Arc::clone(&self.carried));
        let held = std::mem::take(&mut self.held);
        match (self.upload.take(), self.writing.take()) {
            (Some(upload), _) => all.keep(&name, &carried, upload, held),
            (None, Some((writing, length))) => drop(tokio::spawn(async move {
                let (upload, written) = writing.await;
                if written.is_ok() {
                    carried.received.fetch_add(length, Ordering::Relaxed);
                    all.keep(&name, &carried, upload, held);
                } else {
                    all.replace(&name, &carried, None);
                }
            })),
            (None, None) => drop(all.replace(&name, &carried, None)),
        }
    }
}
