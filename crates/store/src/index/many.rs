//! Many questions at once: shard by shard, so that a lock is taken for several of them and memory serves these side by side.

use super::{Entry, Index};
use crate::types::{Fingerprint, Minutes};

/// Probes that memory serves side by side, while as many are answered; and so the most that go under one lock, whoever asks for the same thing a thousand
/// times.
const SIDE_BY_SIDE: usize = 16;

/// Shards that are told apart by a fingerprint's lowest byte.
const BUCKETS: usize = 256;

impl Index {
    /// As [`touch`](super::ShardGuard::touch), without a use, for each fingerprint: `tell` is told where it stands in `asked`, and what was found. In no
    /// order.
    pub fn touch_all(
        &self,
        asked: &[Fingerprint],
        now: Minutes,
        is_there: impl Fn(&Entry) -> bool,
        mut tell: impl FnMut(usize, Option<Entry>),
    ) {
        let order = by_shard(asked);
        let mut groups = order.chunks(SIDE_BY_SIDE).peekable();
        groups.peek().iter().for_each(|first| self.prefetch_all(asked, first));
        while let Some(group) = groups.next() {
            groups.peek().iter().for_each(|next| self.prefetch_all(asked, next));
            for places in self.of_one_shard(asked, group) {
                let mut shard = self.lock(&asked[places[0] as usize]);
                for at in places {
                    let at = *at as usize;
                    tell(at, shard.touch(&asked[at], now, false, &is_there));
                }
            }
        }
    }

    fn prefetch_all(&self, asked: &[Fingerprint], group: &[u32]) {
        for places in self.of_one_shard(asked, group) {
            let shard = self.lock(&asked[places[0] as usize]);
            places.iter().for_each(|at| shard.prefetch(&asked[*at as usize]));
        }
    }

    fn of_one_shard<'a>(&self, asked: &[Fingerprint], group: &'a [u32]) -> impl Iterator<Item = &'a [u32]> {
        let shard = |at: u32| self.shard_of(&asked[at as usize]);
        group.chunk_by(move |one, next| shard(*one) == shard(*next))
    }
}

/// All places in `asked`, those of one shard side by side.
fn by_shard(asked: &[Fingerprint]) -> Vec<u32> {
    let bucket = |fingerprint: &Fingerprint| fingerprint.0 as usize % BUCKETS;
    // Where the next of each bucket goes.
    let mut next = [0_u32; BUCKETS + 1];
    asked.iter().for_each(|fingerprint| next[bucket(fingerprint) + 1] += 1);
    for at in 1..BUCKETS {
        next[at] += next[at - 1];
    }
    let mut order = vec![0; asked.len()];
    for (at, fingerprint) in (0..).zip(asked) {
        let place = &mut next[bucket(fingerprint)];
        order[*place as usize] = at;
        *place += 1;
    }
    order
}
