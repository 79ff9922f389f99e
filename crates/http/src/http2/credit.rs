//! When a client is told that what it sent was taken, so that it may send as much again.
//! The h2 library tells it once that is half of what the client may still send: a third of the window. Given back frame by frame, two thirds come to a
//! little more, the last one falls short, and the client waits for it until it has sent more, though it may send nothing: a round trip carries two
//! thirds of a window. So it is given back in thirds of exactly that size.
//! Invariant: a client that has used up its window gets all of it back once all of it has been taken.
//! Bounds: what a connection's streams keep is at most a quarter of its window, which they share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A window of three parts that have the same size.
pub(super) const fn in_thirds(window: u32) -> u32 {
    window - window % 3
}

/// What the streams of one connection keep together.
pub(super) struct Ledger {
    /// Bytes that a stream gives back at a time.
    third: usize,
    most: usize,
    kept: AtomicUsize,
}

impl Ledger {
    pub(super) fn new(stream_window: u32, connection_window: u32) -> Arc<Ledger> {
        let (third, most) = ((stream_window / 3) as usize, (connection_window / 4) as usize);
        Arc::new(Ledger { third: third.max(1), most, kept: AtomicUsize::new(0) })
    }
}

/// What one stream has taken, and not given back.
pub(super) struct Credit {
    ledger: Arc<Ledger>,
    kept: usize,
}

impl Credit {
    pub(super) fn of(ledger: &Arc<Ledger>) -> Credit {
        Credit { ledger: Arc::clone(ledger), kept: 0 }
    }

    /// So many bytes more have been taken; returns how many are to be given back.
    pub(super) fn taken(&mut self, bytes: usize) -> usize {
        let kept = self.kept + bytes;
        if self.keep(kept % self.ledger.third) > self.ledger.most {
            self.keep(0);
        }
        kept - self.kept
    }

    /// Nothing more is taken; returns what is to be given back.
    pub(super) fn close(&mut self) -> usize {
        let kept = self.kept;
        self.keep(0);
        kept
    }

    /// Returns what all keep then: of two that keep too much together, one sees it.
    fn keep(&mut self, bytes: usize) -> usize {
        let change = bytes.wrapping_sub(self.kept);
        self.kept = bytes;
        self.ledger.kept.fetch_add(change, Ordering::Relaxed).wrapping_add(change)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOW: u32 = in_thirds(100_000);

    /// A client's window, and when the h2 library tells it of what was given back.
    struct Flow {
        open: u32,
        given_back: u32,
    }

    impl Flow {
        fn tell(&mut self) {
            if self.given_back >= self.open / 2 {
                self.open += std::mem::take(&mut self.given_back);
            }
        }
    }

    proptest! {
        #[test]
        fn a_client_that_has_used_up_its_window_gets_all_of_it_back(
            frames in prop::collection::vec((1..20_000_u32, any::<bool>()), 1..200),
        ) {
            let mut credit = Credit::of(&Ledger::new(WINDOW, 2 * WINDOW));
            let mut flow = Flow { open: WINDOW, given_back: 0 };
            let rest = std::iter::once((WINDOW, false));
            for (frame, is_told) in frames.into_iter().chain(rest) {
                let frame = frame.min(flow.open);
                flow.open -= frame;
                flow.given_back += credit.taken(frame as usize) as u32;
                let has_used_all = flow.open == 0;
                if is_told || has_used_all {
                    flow.tell();
                }
                prop_assert!(!has_used_all || flow.open == WINDOW, "{}", flow.open);
            }
        }

        #[test]
        fn streams_keep_a_quarter_of_their_connections_window_at_most_and_give_the_rest_back(
            frames in prop::collection::vec((0..50_usize, 1..20_000_usize), 1..500),
        ) {
            let ledger = Ledger::new(WINDOW, 2 * WINDOW);
            let mut streams: Vec<Credit> = (0..50).map(|_| Credit::of(&ledger)).collect();
            let (mut taken, mut given_back) = (0, 0);
            for (stream, frame) in frames {
                taken += frame;
                given_back += streams[stream].taken(frame);
                let kept = streams.iter().map(|stream| stream.kept).sum::<usize>();
                prop_assert!(kept <= WINDOW as usize / 2);
                prop_assert_eq!(kept, ledger.kept.load(Ordering::Relaxed));
                prop_assert_eq!(taken, given_back + kept);
            }
            given_back += streams.iter_mut().map(Credit::close).sum::<usize>();
            prop_assert_eq!((taken, ledger.kept.load(Ordering::Relaxed)), (given_back, 0));
        }
    }
}
