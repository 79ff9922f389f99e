//! The lock of what models drive (`models`): in tests each one taken is a point where another thread may go first.
//! Not here: locks that no model needs; they are taken from `parking_lot` where they stand.

#[cfg(not(test))]
pub(crate) use parking_lot::Mutex;
pub(crate) use parking_lot::MutexGuard;

#[cfg(test)]
pub(crate) use modelled::{Mutex, in_model};

#[cfg(test)]
mod modelled {
    use std::cell::Cell;

    use super::MutexGuard;

    thread_local! {
        /// All threads of a model run on one thread of the system, in turns.
        static IN_MODEL: Cell<bool> = const { Cell::new(false) };
    }

    /// Runs `model` with a choice of who goes first at each lock.
    pub(crate) fn in_model(model: impl FnOnce()) {
        IN_MODEL.set(true);
        model();
        IN_MODEL.set(false);
    }

    #[derive(Default)]
    pub(crate) struct Mutex<T>(parking_lot::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Mutex<T> {
            Mutex(parking_lot::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            if !IN_MODEL.get() {
                return self.0.lock();
            }
            // A guard may be dropped while a failed model is taken down.
            while !std::thread::panicking() {
                shuttle::thread::yield_now();
                if let Some(guard) = self.0.try_lock() {
                    return guard;
                }
            }
            self.0.lock()
        }

        pub(crate) fn get_mut(&mut self) -> &mut T {
            self.0.get_mut()
        }
    }
}
