//! A bound on something that is held for a while, bytes in memory for instance: whoever finds no room waits in line.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use event_listener::Event;
use futures_util::future::{Either, select};
use kura_disk::Runtime;
use parking_lot::Mutex;

/// Clones share what is free.
#[derive(Clone)]
pub(crate) struct Gate {
    state: Arc<State>,
}

struct State {
    free: Mutex<u64>,
    freed: Event,
}

impl Gate {
    pub(crate) fn new(total: u64) -> Gate {
        Gate { state: Arc::new(State { free: Mutex::new(total), freed: Event::new() }) }
    }

    /// Waits until `amount` is free, and takes it. More than the total would wait for ever: callers bound it.
    pub(crate) async fn enter(&self, amount: u64) -> Pass {
        loop {
            let listener = self.state.freed.listen();
            if let Some(pass) = self.try_enter(amount) {
                return pass;
            }
            listener.await;
        }
    }

    /// As [`Gate::enter`], for so long at most.
    pub(crate) async fn enter_within(&self, amount: u64, runtime: &dyn Runtime, wait: Duration) -> Option<Pass> {
        if let Some(pass) = self.try_enter(amount) {
            return Some(pass);
        }
        match select(pin!(self.enter(amount)), runtime.sleep(wait)).await {
            Either::Left((pass, _)) => Some(pass),
            Either::Right(_) => None,
        }
    }

    /// Takes `amount`, if it is free now.
    fn try_enter(&self, amount: u64) -> Option<Pass> {
        let mut free = self.state.free.lock();
        *free = free.checked_sub(amount)?;
        Some(Pass { state: Arc::clone(&self.state), amount })
    }
}

/// Gives back what was taken when dropped.
#[must_use]
pub(crate) struct Pass {
    state: Arc<State>,
    amount: u64,
}

impl Drop for Pass {
    fn drop(&mut self) {
        *self.state.free.lock() += self.amount;
        self.state.freed.notify(usize::MAX);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn who_finds_no_room_gets_in_when_some_is_given_back() {
        let gate = Gate::new(10);
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(first) = pin!(gate.enter(8)).poll(&mut context) else { panic!("there was room") };
        let mut second = pin!(gate.enter(3));
        assert!(second.as_mut().poll(&mut context).is_pending());
        drop(first);
        let Poll::Ready(second) = second.as_mut().poll(&mut context) else { panic!("there is room again") };
        assert_eq!(*gate.state.free.lock(), 7);
        drop(second);
        assert_eq!(*gate.state.free.lock(), 10);
    }
}
