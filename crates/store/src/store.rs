//! The store's shared state, and its small public calls. Each path has a file of its own; see the crate's head.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use event_listener::Event;
use kura_disk::buffer::BufferPool;
use kura_disk::{Disk, Lock, Runtime};
use parking_lot::Mutex;

use crate::budget::{Budget, Reservation};
use crate::counters::Counters;
use crate::create::Stray;
use crate::doubtful::Doubtful;
use crate::error::Error;
use crate::files::{Graveyard, OpenFiles, Unlinked};
use crate::format::store_file::StoreFile;
use crate::geometry::Geometry;
use crate::heat::Heat;
use crate::index::Index;
use crate::key::RecordKey;
use crate::lanes::Lanes;
use crate::lease::LeaseClock;
use crate::log::Log;
use crate::pressure::Pressure;
use crate::reclaim::OldestSharing;
use crate::ring::Ring;
use crate::segment::Segment;
use crate::settings::Settings;
use crate::tombstone::Tombstones;
use crate::types::Fingerprint;
use crate::under_way::UnderWay;
use crate::version::VersionClock;

/// No artifact is larger than this share of the budget, nor of its tenant's quota.
const LARGEST_DENOMINATOR: u64 = 4;

/// An open store. Clones share it.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) settings: Settings,
    pub(crate) identity: StoreFile,
    pub(crate) index: Index,
    pub(crate) budget: Budget,
    pub(crate) ring: Ring,
    pub(crate) log: Log,
    pub(crate) lanes: Lanes,
    pub(crate) versions: VersionClock,
    pub(crate) tombstones: Tombstones,
    pub(crate) under_way: UnderWay,
    pub(crate) doubtful: Doubtful,
    pub(crate) files: OpenFiles,
    pub(crate) graveyard: Arc<Graveyard>,
    pub(crate) unlinked: Unlinked,
    pub(crate) buffers: BufferPool,
    pub(crate) pressure: Pressure,
    pub(crate) heat: Heat,
    pub(crate) leases: LeaseClock,
    pub(crate) counters: Counters,
    /// What reclaim knows of its victim: see there.
    pub(crate) oldest_sharing: Mutex<Option<OldestSharing>>,
    /// Segments that the keeper is to unlink.
    pub(crate) condemned: Mutex<Vec<Arc<Segment>>>,
    /// Files that did not become segments and could not be unlinked yet.
    pub(crate) strays: Mutex<Vec<Stray>>,
    /// Wakes the keeper.
    pub(crate) wake: Arc<Event>,
    /// Notified when room was made.
    pub(crate) room: Event,
    /// Notified when a committer ends.
    pub(crate) committed: Event,
    /// Background tasks that are under way.
    tasks: AtomicUsize,
    task_ended: Event,
    closed: AtomicBool,
    /// Notified when the store is to close.
    pub(crate) closing: Event,
    read_only: AtomicBool,
    said_no_allocation: AtomicBool,
    /// What is kept for all that is not segments, files that are not ours included.
    pub(crate) kept: Mutex<Vec<Reservation>>,
    /// How many records took the places of their copies again, or were copied to a place in front of where they had been. Whoever goes through the ring from
    /// the oldest segment on may have missed these.
    pub(crate) taken_back: AtomicU64,
    lock: Mutex<Option<Box<dyn Lock>>>,
}

impl Inner {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        runtime: Arc<dyn Runtime>,
        settings: Settings,
        identity: StoreFile,
        heat: Heat,
        lock: Box<dyn Lock>,
    ) -> Arc<Inner> {
        let wake = Arc::new(Event::new());
        Arc::new(Inner {
            index: Index::new(settings.geometry.index_shards()),
            budget: Budget::new(settings.geometry.budget()),
            ring: Ring::default(),
            log: Log::new(settings.geometry.budget()),
            lanes: Lanes::new(identity.seed.clone(), settings.quotas.clone()),
            versions: VersionClock::new(Arc::clone(&runtime)),
            tombstones: Tombstones::default(),
            under_way: UnderWay::default(),
            doubtful: Doubtful::default(),
            files: OpenFiles::new(settings.open_files),
            graveyard: Graveyard::new(Arc::clone(&wake)),
            unlinked: Unlinked::default(),
            buffers: BufferPool::default(),
            pressure: Pressure::default(),
            leases: LeaseClock::new(runtime.as_ref(), heat.written),
            counters: Counters::default(),
            oldest_sharing: Mutex::default(),
            condemned: Mutex::default(),
            strays: Mutex::default(),
            wake,
            room: Event::new(),
            committed: Event::new(),
            tasks: AtomicUsize::new(0),
            task_ended: Event::new(),
            closed: AtomicBool::new(false),
            closing: Event::new(),
            read_only: AtomicBool::new(false),
            said_no_allocation: AtomicBool::new(false),
            kept: Mutex::default(),
            taken_back: AtomicU64::new(0),
            lock: Mutex::new(Some(lock)),
            disk,
            runtime,
            settings,
            identity,
            heat,
        })
    }

    pub(crate) fn geometry(&self) -> &Geometry {
        &self.settings.geometry
    }

    /// The largest body taken, in bytes.
    pub(crate) fn max_artifact_size(&self) -> u64 {
        self.settings.max_artifact_size.min(self.budget.limit() / LARGEST_DENOMINATOR)
    }

    /// The largest body taken from that tenant, in bytes.
    pub(crate) fn max_artifact_size_of(&self, tenant: &str) -> u64 {
        let quota = self.lanes.quota(self.lanes.of_tenant(tenant)).unwrap_or(u64::MAX);
        self.max_artifact_size().min(quota / LARGEST_DENOMINATOR)
    }

    pub(crate) fn namespace_fingerprint(&self, key: &RecordKey) -> Fingerprint {
        self.identity.seed.of_namespace(key.tenant(), key.namespace())
    }

    /// # Errors
    /// `Closed` while shutting down, `ReadOnly` after failed syncs.
    pub(crate) fn check_writable(&self) -> Result<(), Error> {
        if self.is_closed() {
            return Err(Error::Closed);
        }
        if self.is_read_only() {
            return Err(Error::ReadOnly);
        }
        Ok(())
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only.load(Ordering::SeqCst)
    }

    pub(crate) fn stop_writing(&self) {
        if !self.read_only.swap(true, Ordering::SeqCst) {
            tracing::error!(
                "two segments in a row could not be synced: reads only from here on; mend the device and restart"
            );
        }
        self.room.notify(usize::MAX);
    }

    pub(crate) fn say_once_that_nothing_allocates(&self) {
        if !self.said_no_allocation.swap(true, Ordering::SeqCst) {
            tracing::warn!(
                "this filesystem cannot allocate space in advance: new segments are written out with zeros first"
            );
        }
    }

    /// Runs a task that a clean stop waits for.
    pub(crate) fn spawn(self: &Arc<Self>, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.fetch_add(1, Ordering::SeqCst);
        let guard = TaskGuard(Arc::clone(self));
        self.runtime.spawn(
            name,
            Box::pin(async move {
                task.await;
                drop(guard);
            }),
        );
    }

    async fn wait_for_tasks(&self) {
        loop {
            let listener = self.task_ended.listen();
            if self.tasks.load(Ordering::SeqCst) == 0 {
                return;
            }
            listener.await;
        }
    }
}

struct TaskGuard(Arc<Inner>);

impl Drop for TaskGuard {
    fn drop(&mut self) {
        self.0.tasks.fetch_sub(1, Ordering::SeqCst);
        self.0.task_ended.notify(usize::MAX);
    }
}

impl Store {
    /// The largest body taken, in bytes.
    #[must_use]
    pub fn max_artifact_size(&self) -> u64 {
        self.inner.max_artifact_size()
    }

    /// Stops cleanly: takes nothing more, ends what runs, syncs, and marks `heat` as complete. It seals nothing: the next start goes on where
    /// this one ended.
    ///
    /// # Errors
    /// `Io` when the last sync failed; the store is closed all the same.
    pub async fn shutdown(&self) -> Result<(), Error> {
        let inner = &self.inner;
        if inner.closed.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        inner.room.notify(usize::MAX);
        inner.wake.notify(usize::MAX);
        inner.closing.notify(usize::MAX);
        inner.wait_for_tasks().await;
        let synced = inner.sync_active("records before a clean stop").await;
        if synced.is_ok()
            && let Err(error) = inner.write_heat(true).await
        {
            tracing::warn!(%error, "use counters were not saved");
        }
        let lock = inner.lock.lock().take();
        drop(lock);
        synced
    }
}
