//! Places for what is read while it is sent: pieces of long answers that are being read, or lie in the connection's buffers.
//! Invariant: what has a place leaves as soon as the socket takes it. An answer whose client takes nothing of it has none, so that it keeps nobody waiting.
//! Bounds: [`PLACES`] pieces a connection, beside one of each answer that its client does not take.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Enough that some are read while others are sent. What is read sooner than it can be sent only lies in memory, and is out of the processor's caches when its
/// turn comes.
const PLACES: usize = 4;

pub(crate) struct Places {
    free: Semaphore,
    /// How many came back so far.
    returned: AtomicU64,
}

/// One place, until it is dropped.
pub(crate) struct Place(Arc<Places>);

impl Places {
    pub(super) fn new() -> Arc<Places> {
        Arc::new(Places { free: Semaphore::new(PLACES), returned: AtomicU64::new(0) })
    }

    /// The next that is free, in the order in which it is asked for. None, if for as long as `patience` none comes back, whoever has it.
    pub(super) async fn take(self: &Arc<Self>, patience: Duration) -> Option<Place> {
        let mut free = pin!(self.free.acquire());
        loop {
            let returned = self.returned.load(Ordering::Relaxed);
            if let Ok(taken) = timeout(patience, free.as_mut()).await {
                taken.ok()?.forget();
                return Some(Place(Arc::clone(self)));
            }
            if self.returned.load(Ordering::Relaxed) == returned {
                return None;
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.returned.fetch_add(1, Ordering::Relaxed);
        self.0.free.add_permits(1);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use tokio::time::{Instant, sleep};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    async fn taken(places: &Arc<Places>) -> Vec<Place> {
        let mut taken = Vec::new();
        for _ in 0..PLACES {
            taken.push(places.take(PATIENCE).await.unwrap());
        }
        taken
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_given_up_when_nothing_moves() {
        let places = Places::new();
        let taken = taken(&places).await;
        let since = Instant::now();
        assert!(places.take(PATIENCE).await.is_none());
        assert_eq!(since.elapsed(), PATIENCE);
        drop(taken);
        assert!(places.take(PATIENCE).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_behind_others_waits_on_while_these_get_theirs() {
        let places = Places::new();
        let mut taken = taken(&places).await;
        let since = Instant::now();
        let give_back = async {
            while let Some(place) = taken.pop() {
                sleep(PATIENCE * 9 / 10).await;
                drop(place);
            }
        };
        // Each keeps what it gets.
        let waiting = join_all((0..PLACES).map(|_| places.take(PATIENCE)));
        let (waited, ()) = tokio::join!(waiting, give_back);
        assert!(waited.iter().all(Option::is_some));
        assert!(since.elapsed() > 3 * PATIENCE);
    }
}
