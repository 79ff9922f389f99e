//! The executor: ready tasks drawn by the seed, and timers that move the clock when nothing is ready.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use parking_lot::Mutex;

use super::SimDisk;
use crate::runtime::{Runtime, Task};

/// The wall clock's start: an arbitrary day, so that versions look like those of production.
const START_UNIX_MILLIS: u64 = 1_790_000_000_000;

/// A future that needs more steps than this makes no progress.
const MAX_STEPS: u64 = 2_000_000;

/// The future that [`World::block_on`] was given.
const MAIN: u64 = 0;

/// What a crash leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// The process was killed: what operations have completed stays.
    Process,
    /// The power failed: what no sync covered is lost, torn or reordered, as the seed says.
    Power,
    /// The power failed, and of what no sync covered the elements whose bit is set were kept, whole; the others are lost.
    PowerKeeping(u64),
}

/// One machine.
pub struct World {
    core: Arc<Core>,
    disk: Arc<SimDisk>,
}

pub(super) struct Core {
    state: Mutex<State>,
}

struct State {
    random: fastrand::Rng,
    now: Duration,
    wall_offset: i64,
    ready: Vec<u64>,
    tasks: HashMap<u64, Task>,
    timers: BinaryHeap<Reverse<Timer>>,
    next_id: u64,
    steps: u64,
    operations: u64,
    stop_at: Option<u64>,
    /// A running hash of what was run: equal for equal seeds.
    trace: u64,
}

struct Timer {
    at: Duration,
    id: u64,
    action: Action,
}

enum Action {
    Wake(Waker, Arc<AtomicBool>),
    /// A disk operation taking effect.
    Run(Box<dyn FnOnce() + Send>),
}

impl PartialEq for Timer {
    fn eq(&self, other: &Timer) -> bool {
        self.id == other.id
    }
}
impl Eq for Timer {}
impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Timer) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Timer {
    fn cmp(&self, other: &Timer) -> std::cmp::Ordering {
        (self.at, self.id).cmp(&(other.at, other.id))
    }
}

struct TaskWaker {
    core: Weak<Core>,
    id: u64,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if let Some(core) = self.core.upgrade() {
            let mut state = core.state.lock();
            if !state.ready.contains(&self.id) {
                state.ready.push(self.id);
            }
        }
    }
}

impl Core {
    pub(super) fn random<T>(&self, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        draw(&mut self.state.lock().random)
    }

    pub(super) fn unix_millis(&self) -> u64 {
        let state = self.state.lock();
        let millis = START_UNIX_MILLIS + u64::try_from(state.now.as_millis()).unwrap_or(0);
        millis.saturating_add_signed(state.wall_offset)
    }

    /// Runs a disk operation a little later, and by `delay` more; the future gives what it returned. It takes effect even if the future is dropped.
    pub(super) fn operate<T: Send + 'static>(
        self: &Arc<Self>,
        delay: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Pin<Box<dyn Future<Output = T> + Send>> {
        let slot: Arc<Mutex<(Option<T>, Option<Waker>)>> = Arc::new(Mutex::new((None, None)));
        let done = Arc::clone(&slot);
        let run = Box::new(move || {
            let result = work();
            let mut slot = done.lock();
            slot.0 = Some(result);
            if let Some(waker) = slot.1.take() {
                drop(slot);
                waker.wake();
            }
        });
        let mut state = self.state.lock();
        let micros = if state.random.bool() { 1 } else { state.random.u64(1..200) };
        let at = state.now + Duration::from_micros(micros) + delay;
        state.next_id += 1;
        let id = state.next_id;
        state.timers.push(Reverse(Timer { at, id, action: Action::Run(run) }));
        Box::pin(std::future::poll_fn(move |context| {
            let mut slot = slot.lock();
            match slot.0.take() {
                Some(result) => Poll::Ready(result),
                None => {
                    slot.1 = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        }))
    }

    /// Counts a disk operation; the world stops after the one that it was told to.
    pub(super) fn count_operation(&self, code: u64) {
        let mut state = self.state.lock();
        state.operations += 1;
        state.trace = (state.trace ^ code).wrapping_mul(0x0100_0000_01b3);
    }

    fn is_stopped(&self) -> bool {
        let state = self.state.lock();
        state.stop_at.is_some_and(|stop| state.operations >= stop)
    }

    fn waker(self: &Arc<Self>, id: u64) -> Waker {
        Arc::new(TaskWaker { core: Arc::downgrade(self), id }).into()
    }

    fn spawn(&self, task: Task) {
        let mut state = self.state.lock();
        state.next_id += 1;
        let id = state.next_id;
        state.tasks.insert(id, task);
        state.ready.push(id);
    }

    /// Draws a ready task, or lets the clock run to the next timer.
    fn next(&self) -> Option<u64> {
        loop {
            let mut state = self.state.lock();
            state.steps += 1;
            assert!(state.steps < MAX_STEPS, "the simulation makes no progress");
            if !state.ready.is_empty() {
                let count = state.ready.len();
                let at = state.random.usize(0..count);
                let id = state.ready.swap_remove(at);
                state.trace = (state.trace ^ id).wrapping_mul(0x0100_0000_01b3);
                return Some(id);
            }
            let Reverse(timer) = state.timers.pop()?;
            match timer.action {
                Action::Wake(_, cancelled) if cancelled.load(Ordering::Relaxed) => {}
                Action::Wake(waker, _) => {
                    state.now = state.now.max(timer.at);
                    drop(state);
                    waker.wake();
                }
                Action::Run(run) => {
                    state.now = state.now.max(timer.at);
                    drop(state);
                    run();
                }
            }
        }
    }
}

impl World {
    /// A machine with an empty disk, on which everything follows from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> World {
        let state = State {
            random: fastrand::Rng::with_seed(seed),
            now: Duration::ZERO,
            wall_offset: 0,
            ready: Vec::new(),
            tasks: HashMap::new(),
            timers: BinaryHeap::new(),
            next_id: MAIN,
            steps: 0,
            operations: 0,
            stop_at: None,
            trace: 0xcbf2_9ce4_8422_2325,
        };
        let core = Arc::new(Core { state: Mutex::new(state) });
        let disk = SimDisk::new(&core);
        World { core, disk }
    }

    /// The machine's runtime.
    #[must_use]
    pub fn runtime(&self) -> Arc<dyn Runtime> {
        Arc::new(SimRuntime { core: Arc::clone(&self.core) })
    }

    /// The machine's disk.
    #[must_use]
    pub fn disk(&self) -> Arc<SimDisk> {
        Arc::clone(&self.disk)
    }

    /// Runs `future` to its end, and all that was spawned beside it.
    ///
    /// # Panics
    /// If nothing can run any more before it ends.
    pub fn block_on<T>(&mut self, future: impl Future<Output = T>) -> T {
        self.core.state.lock().stop_at = None;
        self.run(future).expect("a deadlock: nothing is ready and no timer runs")
    }

    /// As [`World::block_on`], but stops dead after `operations` more disk operations: `None`.
    pub fn block_on_for<T>(&mut self, operations: u64, future: impl Future<Output = T>) -> Option<T> {
        {
            let mut state = self.core.state.lock();
            state.stop_at = Some(state.operations.saturating_add(operations));
        }
        self.run(future)
    }

    fn run<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        let waker = self.core.waker(MAIN);
        {
            let mut state = self.core.state.lock();
            state.ready.push(MAIN);
            state.steps = 0;
        }
        while !self.core.is_stopped() {
            let id = self.core.next()?;
            if id == MAIN {
                if let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                    return Some(result);
                }
                continue;
            }
            let task = self.core.state.lock().tasks.remove(&id);
            let Some(mut task) = task else { continue };
            let waker = self.core.waker(id);
            if task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                self.core.state.lock().tasks.insert(id, task);
            }
        }
        None
    }

    /// Ends every task where it stands, and leaves of the disk what the crash leaves. Of the operations under way each may or may not have taken effect.
    pub fn crash(&mut self, crash: Crash) {
        let (tasks, timers) = {
            let mut state = self.core.state.lock();
            state.ready.clear();
            state.stop_at = None;
            (std::mem::take(&mut state.tasks), std::mem::take(&mut state.timers))
        };
        let keep_all = matches!(crash, Crash::PowerKeeping(_));
        for Reverse(timer) in timers.into_sorted_vec().into_iter().rev() {
            if let Action::Run(run) = timer.action
                && !keep_all
                && self.core.random(fastrand::Rng::bool)
            {
                run();
            }
        }
        drop(tasks);
        // What those left behind when they were dropped is as dead as they are.
        let left = {
            let mut state = self.core.state.lock();
            state.ready.clear();
            (std::mem::take(&mut state.tasks), std::mem::take(&mut state.timers))
        };
        drop(left);
        self.disk.crash(&crash);
    }

    /// Moves the wall clock; the monotonic one does not follow.
    pub fn shift_wall_clock(&mut self, millis: i64) {
        self.core.state.lock().wall_offset += millis;
    }

    /// Disk operations so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.core.state.lock().operations
    }

    /// A hash of everything that ran: the same seed gives the same.
    #[must_use]
    pub fn trace(&self) -> u64 {
        self.core.state.lock().trace
    }
}

struct SimRuntime {
    core: Arc<Core>,
}

impl Runtime for SimRuntime {
    fn monotonic(&self) -> Duration {
        self.core.state.lock().now
    }

    fn unix_millis(&self) -> u64 {
        self.core.unix_millis()
    }

    fn random(&self) -> u64 {
        self.core.random(|random| random.u64(..))
    }

    fn spawn(&self, _name: &'static str, task: Task) {
        self.core.spawn(task);
    }

    fn sleep(&self, duration: Duration) -> Task {
        let deadline = self.monotonic() + duration;
        Box::pin(Sleep { core: Arc::clone(&self.core), deadline, cancelled: Arc::default(), registered: false })
    }

    fn yield_now(&self) -> Task {
        let mut yielded = false;
        Box::pin(std::future::poll_fn(move |context| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        }))
    }

    fn parallelism(&self) -> usize {
        2
    }
}

struct Sleep {
    core: Arc<Core>,
    deadline: Duration,
    cancelled: Arc<AtomicBool>,
    registered: bool,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let core = Arc::clone(&self.core);
        let mut state = core.state.lock();
        if state.now >= self.deadline {
            return Poll::Ready(());
        }
        if !std::mem::replace(&mut self.registered, true) {
            state.next_id += 1;
            let id = state.next_id;
            let action = Action::Wake(context.waker().clone(), Arc::clone(&self.cancelled));
            state.timers.push(Reverse(Timer { at: self.deadline, id, action }));
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}
