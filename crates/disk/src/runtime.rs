//! Clock, randomness, spawning and waiting, behind one trait, and the real ones over Tokio.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A background task. It is dropped, wherever it stands, when the runtime ends.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

/// What the store needs of an executor and of the machine besides files.
pub trait Runtime: Send + Sync + 'static {
    /// Time since an arbitrary start; never goes back.
    fn monotonic(&self) -> Duration;

    /// Milliseconds since the Unix epoch; may jump either way.
    fn unix_millis(&self) -> u64;

    /// 64 random bits, unpredictable in production.
    fn random(&self) -> u64;

    /// Runs `task` in the background. `name` is for people.
    fn spawn(&self, name: &'static str, task: Task);

    /// Completes after `duration`.
    fn sleep(&self, duration: Duration) -> Task;

    /// Lets other tasks run; for long computations between two pieces of bounded size.
    fn yield_now(&self) -> Task;

    /// How many tasks can compute at the same time.
    fn parallelism(&self) -> usize;
}

/// The machine's clock and random source, and a Tokio runtime.
#[derive(Debug, Clone)]
pub struct TokioRuntime {
    handle: tokio::runtime::Handle,
    start: Instant,
}

impl TokioRuntime {
    /// Spawns onto the runtime that this is called in.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is where the clock comes from")]
    pub fn current() -> TokioRuntime {
        TokioRuntime { handle: tokio::runtime::Handle::current(), start: Instant::now() }
    }
}

impl Runtime for TokioRuntime {
    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "this is where the clock comes from")]
    fn unix_millis(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn random(&self) -> u64 {
        let mut bytes = [0; 8];
        let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
        assert_eq!(filled, Ok(bytes.len()), "the kernel gives up to 256 random bytes at once");
        u64::from_ne_bytes(bytes)
    }

    fn spawn(&self, _name: &'static str, task: Task) {
        self.handle.spawn(task);
    }

    fn sleep(&self, duration: Duration) -> Task {
        let _entered = self.handle.enter();
        Box::pin(tokio::time::sleep(duration))
    }

    fn yield_now(&self) -> Task {
        Box::pin(tokio::task::yield_now())
    }

    fn parallelism(&self) -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }
}
