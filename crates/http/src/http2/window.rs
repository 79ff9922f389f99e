//! What an HTTP/2 connection may have received that no request has taken yet. Its uploads share one window, so it is accounted for once, and with no more
//! than they have announced.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::memory::{Class, Held, Memory};

/// The account of one connection's window.
pub struct Window {
    memory: Arc<Memory>,
    /// Bytes that the connection's uploads may have under way together.
    size: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Bytes that uploads under way will bring.
    announced: u64,
    /// Covers the lesser of that and the size.
    held: Held,
    covered: u64,
}

impl Window {
    pub(crate) fn new(memory: Arc<Memory>, size: u64) -> Arc<Window> {
        Arc::new(Window { memory, size, state: Mutex::default() })
    }

    /// An upload of so many bytes begins; `None` where there is no memory for what may come in ahead of it.
    #[must_use]
    pub fn announce(self: &Arc<Self>, bytes: u64) -> Option<Announced> {
        let mut state = self.state.lock();
        let announced = state.announced.saturating_add(bytes);
        self.cover(&mut state, announced)?;
        Some(Announced { window: Arc::clone(self), bytes: announced - state.announced })
            .inspect(|_| state.announced = announced)
    }

    /// Holds what so many announced bytes take. What is held shrinks only when there are none: it would have to be taken anew at the next upload.
    fn cover(&self, state: &mut State, announced: u64) -> Option<()> {
        let wanted = announced.min(self.size);
        if wanted > state.covered {
            // What was held is given back first: both together might not fit.
            let before = std::mem::take(&mut state.covered);
            state.held = Held::default();
            match self.memory.hold(Class::Upload, wanted) {
                Some(held) => (state.held, state.covered) = (held, wanted),
                None => {
                    let again = self.memory.hold(Class::Answer, before);
                    state.covered = if again.is_some() { before } else { 0 };
                    state.held = again.unwrap_or_default();
                    return None;
                }
            }
        }
        Some(())
    }
}

/// An upload that is under way.
#[must_use]
pub struct Announced {
    window: Arc<Window>,
    bytes: u64,
}

impl Drop for Announced {
    fn drop(&mut self) {
        let mut state = self.window.state.lock();
        state.announced -= self.bytes;
        if state.announced == 0 {
            *state = State::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1 << 10;

    #[test]
    fn uploads_are_covered_up_to_the_window_and_only_while_there_are_any() {
        let memory = Memory::new(1 << 20);
        let window = Window::new(Arc::clone(&memory), 256 * KIB);
        let small = window.announce(64 * KIB).unwrap();
        assert_eq!(memory.held(), 64 * KIB);
        let large = window.announce(u64::MAX).unwrap();
        assert_eq!(memory.held(), 256 * KIB);
        drop(large);
        let other = window.announce(100 * KIB).unwrap();
        assert_eq!(memory.held(), 256 * KIB);
        drop((small, other));
        assert_eq!(memory.held(), 0);
    }

    #[test]
    fn one_that_cannot_be_covered_changes_nothing() {
        let memory = Memory::new(256 * KIB);
        let window = Window::new(Arc::clone(&memory), 1 << 20);
        let first = window.announce(128 * KIB).unwrap();
        assert!(window.announce(128 * KIB).is_none());
        assert_eq!(memory.held(), 128 * KIB);
        drop(first);
        assert_eq!(memory.held(), 0);
    }
}
