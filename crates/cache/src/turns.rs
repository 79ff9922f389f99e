//! Turns by key: who stores a blob lets others that bring the same one wait for the outcome, so that one copy is stored.
//! A turn is as long as a commit, whose waits the store bounds.

use std::collections::HashSet;

use event_listener::Event;
use kura_store::key::RecordKey;
use parking_lot::Mutex;

#[derive(Default)]
pub(crate) struct Turns {
    /// Keys whose turn is taken: at most one for each request that stores a blob.
    taken: Mutex<HashSet<RecordKey>>,
    over: Event,
}

impl Turns {
    /// Waits until nobody else has a turn with this key.
    pub(crate) async fn take(&self, key: &RecordKey) -> Turn<'_> {
        loop {
            if let Some(turn) = self.try_take(key) {
                return turn;
            }
            let listener = self.over.listen();
            if let Some(turn) = self.try_take(key) {
                return turn;
            }
            listener.await;
        }
    }

    fn try_take(&self, key: &RecordKey) -> Option<Turn<'_>> {
        self.taken.lock().insert(key.clone()).then(|| Turn { turns: self, key: key.clone() })
    }
}

/// Over when dropped.
#[must_use]
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    key: RecordKey,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.taken.lock().remove(&self.key);
        self.turns.over.notify(usize::MAX);
    }
}
