//! Waiting for a condition, with an end to patience: a test that hangs says what it waited for.

use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// The server does nothing that takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at something that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Waits until `done`, looking again and again.
///
/// # Panics
/// With `what`, when patience ends.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    assert!(within(PATIENCE, || done().then_some(())).is_some(), "waited in vain for {what}");
}

/// Looks again and again until there is something; `None` once `patience` has ended.
pub(crate) fn within<T>(patience: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if start.elapsed() >= patience {
            return None;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Waits for the end of a child; kills it once `patience` has ended, and returns `None` then.
pub(crate) fn end_of(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let status = within(patience, || child.try_wait().unwrap());
    if status.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    status
}
