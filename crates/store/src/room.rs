//! Waiting for room: every wait is bounded, and ends in "come back later" rather than in a queue that grows.
//! The keeper notifies `room` whenever bytes came back or a spare is there.

use std::sync::Arc;
use std::time::Duration;

use event_listener::EventListener;
use futures_util::future::{Either, select};

use crate::budget::{Admission, Category, Reservation, required_free};
use crate::error::{During, Error};
use crate::lanes::{InLane, Owner};
use crate::store::Inner;

/// What a client that found no room is told to wait; the adapters add jitter.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// One caller's bounded wait, over several tries.
pub(crate) struct Wait<'a> {
    inner: &'a Inner,
    deadline: Duration,
    /// Whether the keeper knows of it. Told at each try, it and the caller would wake each other without end.
    keeper_knows: bool,
}

impl Wait<'_> {
    /// Waits for the listener, at most until the deadline.
    ///
    /// # Errors
    /// `Busy`, or `Full` where neighbours hold the filesystem, once the deadline has passed.
    pub(crate) async fn on(&mut self, listener: EventListener) -> Result<(), Error> {
        if !std::mem::replace(&mut self.keeper_knows, true) {
            self.inner.wake_keeper();
        }
        let left = self.deadline.saturating_sub(self.inner.runtime.monotonic());
        if left.is_zero() {
            return Err(self.inner.no_room());
        }
        match select(listener, self.inner.runtime.sleep(left)).await {
            Either::Left(_) => Ok(()),
            Either::Right(_) => Err(self.inner.no_room()),
        }
    }
}

/// Bytes on their way in; over when dropped. The lane first: those who wait are told by the budget.
#[must_use]
pub(crate) struct Admitted {
    _in_lane: InLane,
    _in_budget: Admission,
}

impl Inner {
    pub(crate) fn wait_for_room(&self) -> Wait<'_> {
        Wait { inner: self, deadline: self.runtime.monotonic() + self.settings.room_wait, keeper_knows: false }
    }

    pub(crate) fn no_room(&self) -> Error {
        if self.pressure.is_stuck() {
            Error::Full("others use it up: free space on it, or lower --capacity")
        } else {
            Error::Busy { retry_after: RETRY_AFTER }
        }
    }

    /// Takes bytes for a solo segment of `owner`; the keeper reclaims while somebody waits here.
    ///
    /// # Errors
    /// `Busy` or `Full` when no room came in time; `ReadOnly`, `Closed`.
    pub(crate) async fn reserve_solo(self: &Arc<Self>, bytes: u64, owner: Owner) -> Result<Reservation, Error> {
        let mut wait = self.wait_for_room();
        let mut demand = None;
        loop {
            let listener = self.room.listen();
            self.check_writable()?;
            if !self.log.takes_copies_only()
                && let Ok(reservation) = self.budget.try_reserve(Category::Solo, bytes)
                && self.filesystem_has(bytes).await?
            {
                return Ok(reservation);
            }
            demand.get_or_insert_with(|| self.pressure.demand(owner, bytes));
            wait.on(listener).await?;
        }
    }

    /// Whether the filesystem has the margin that `incoming` bytes require, our own reservations aside.
    ///
    /// # Errors
    /// `Io` when the filesystem cannot be asked.
    pub(crate) async fn filesystem_has(&self, incoming: u64) -> Result<bool, Error> {
        let space = self.disk.space().await.during("asking the filesystem for its free space")?;
        Ok(space.available >= required_free(self.geometry().segment(), incoming))
    }

    /// Admits bytes that are not committed yet: together at most half the budget, and of a tenant that has a quota half of that.
    ///
    /// # Errors
    /// `Busy` when others' uploads did not end in time.
    pub(crate) async fn admit(&self, bytes: u64, owner: Owner) -> Result<Admitted, Error> {
        let mut wait = self.wait_for_room();
        loop {
            let listener = self.budget.freed().listen();
            if let Some(in_lane) = self.lanes.try_admit(owner, bytes)
                && let Ok(in_budget) = self.budget.try_admit(bytes)
            {
                return Ok(Admitted { _in_lane: in_lane, _in_budget: in_budget });
            }
            wait.on(listener).await?;
        }
    }
}
