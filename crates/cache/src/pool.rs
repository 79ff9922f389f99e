//! Codecs, costly to make and used again: bounded in number, and in memory while nobody uses them.
//! Whoever finds none free waits in line for a bounded time, and is then told to come back: a client that reads slowly holds its codec.
//! Nobody holds two of a pool; who needs an encoder and a decoder takes the encoder first.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use kura_disk::Runtime;
use parking_lot::Mutex;

use crate::error::Error;
use crate::gate::{Gate, Pass};
use crate::limits::{COME_BACK, IDLE_CODEC, TURN_WAIT};

/// What a pool keeps.
pub(crate) trait Codec: Send + 'static {
    fn new() -> Self;

    /// Forgets what it was doing.
    fn reset(&mut self);

    /// Bytes of memory that it holds.
    fn memory(&self) -> usize;
}

pub(crate) struct Pool<C> {
    shared: Arc<Shared<C>>,
}

struct Shared<C> {
    gate: Gate,
    idle: Mutex<Vec<C>>,
    runtime: Arc<dyn Runtime>,
}

impl<C: Codec> Pool<C> {
    pub(crate) fn new(limit: u64, runtime: Arc<dyn Runtime>) -> Pool<C> {
        Pool { shared: Arc::new(Shared { gate: Gate::new(limit), idle: Mutex::default(), runtime }) }
    }

    /// # Errors
    /// `Busy` when none became free in time.
    pub(crate) async fn take(&self) -> Result<Lease<C>, Error> {
        let pass = self.shared.gate.enter_within(1, &*self.shared.runtime, TURN_WAIT).await;
        let pass = pass.ok_or(Error::Busy { retry_after: COME_BACK })?;
        let idle = self.shared.idle.lock().pop();
        Ok(Lease { codec: Some(idle.unwrap_or_else(C::new)), shared: Arc::clone(&self.shared), _pass: pass })
    }

    /// Lets other tasks compute between two steps.
    pub(crate) async fn rest(&self) {
        self.shared.runtime.yield_now().await;
    }
}

impl<C> Clone for Pool<C> {
    fn clone(&self) -> Pool<C> {
        Pool { shared: Arc::clone(&self.shared) }
    }
}

/// A codec in use; it goes back to its pool when dropped.
#[must_use]
pub(crate) struct Lease<C: Codec> {
    /// `None` only within `drop`.
    codec: Option<C>,
    shared: Arc<Shared<C>>,
    _pass: Pass,
}

impl<C: Codec> Deref for Lease<C> {
    type Target = C;

    fn deref(&self) -> &C {
        self.codec.as_ref().expect("it is here until it is dropped")
    }
}

impl<C: Codec> DerefMut for Lease<C> {
    fn deref_mut(&mut self) -> &mut C {
        self.codec.as_mut().expect("it is here until it is dropped")
    }
}

impl<C: Codec> Drop for Lease<C> {
    fn drop(&mut self) {
        if let Some(mut codec) = self.codec.take().filter(|codec| codec.memory() <= IDLE_CODEC) {
            codec.reset();
            self.shared.idle.lock().push(codec);
        }
    }
}

#[cfg(test)]
mod tests {
    use kura_disk::sim::World;

    use super::*;

    struct Counted(usize);

    impl Codec for Counted {
        fn new() -> Counted {
            Counted(0)
        }

        fn reset(&mut self) {
            self.0 += 1;
        }

        fn memory(&self) -> usize {
            if self.0 == 2 { IDLE_CODEC + 1 } else { 0 }
        }
    }

    #[test]
    fn who_finds_none_free_gets_the_next_or_is_told_to_come_back() {
        let mut world = World::new(1);
        let runtime = world.runtime();
        let pool: Pool<Counted> = Pool::new(1, Arc::clone(&runtime));
        world.block_on(async {
            let first = pool.take().await.unwrap();
            let began = runtime.monotonic();
            assert!(matches!(pool.take().await, Err(Error::Busy { .. })));
            assert!(runtime.monotonic() - began >= TURN_WAIT);
            let (again, waiting) = (pool.clone(), runtime.sleep(TURN_WAIT / 2));
            let (second, ()) = futures_util::future::join(again.take(), async {
                waiting.await;
                drop(first);
            })
            .await;
            assert_eq!(second.unwrap().0, 1, "it was used before, and reset");
        });
    }

    #[test]
    fn what_has_grown_too_large_is_not_kept() {
        let mut world = World::new(1);
        let pool: Pool<Counted> = Pool::new(1, world.runtime());
        let uses: Vec<usize> = (0..5).map(|_| world.block_on(pool.take()).unwrap().0).collect();
        assert_eq!(uses, [0, 1, 2, 0, 1]);
    }
}
