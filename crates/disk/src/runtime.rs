//! Clock, randomness, spawning and waiting, behind one trait.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

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
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

    /// Lets other tasks run; for long computations between two pieces of bounded size.
    fn yield_now(&self) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

    /// How many tasks can compute at the same time.
    fn parallelism(&self) -> usize;
}
