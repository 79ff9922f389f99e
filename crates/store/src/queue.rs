//! The queue of a group commit: who waits, and whether a committer runs. Under the lock of its segment.
//! Promises: a committer runs for as long as anything waits, never two at once; what waits is taken in its order, once.

pub(crate) struct Queue<T> {
    waiting: Vec<T>,
    running: bool,
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        Queue { waiting: Vec::new(), running: false }
    }
}

impl<T> Queue<T> {
    /// Returns whether the caller has to start a committer.
    #[must_use]
    pub(crate) fn push(&mut self, item: T) -> bool {
        self.waiting.push(item);
        !std::mem::replace(&mut self.running, true)
    }

    /// What the committer commits next, `most` at most. Nothing: it is over, and the next push starts another.
    #[must_use]
    pub(crate) fn take(&mut self, most: usize) -> Vec<T> {
        let batch: Vec<T> = self.waiting.drain(..self.waiting.len().min(most)).collect();
        self.running = !batch.is_empty();
        batch
    }

    /// A commit that shares with nobody begins or ends.
    pub(crate) fn set_running(&mut self, running: bool) {
        self.running = running;
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running
    }
}
