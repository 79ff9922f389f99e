//! Many questions at once: shard by shard, so that a lock is taken for several of them and memory serves these side by side.

use super::{Entry, Index, MOST_SHARDS};
use crate::types::{Fingerprint, Minutes};

/// The most that go under one lock, whoever asks for the same thing a thousand times.
const AT_ONCE: usize = 16;

/// So many groups ahead of the one that is answered, memory is asked for what will be looked at: a few probes each, which it serves side by side.
const AHEAD: usize = 4;

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
        let by_bucket = ByBucket::of(asked);
        let groups = || by_bucket.buckets().flat_map(|bucket| bucket.chunks(AT_ONCE));
        let mut ahead = groups();
        ahead.by_ref().take(AHEAD).for_each(|group| self.prefetch_all(asked, group));
        for group in groups() {
            ahead.next().into_iter().for_each(|later| self.prefetch_all(asked, later));
            let mut shard = self.lock(&asked[group[0] as usize]);
            for at in group {
                let at = *at as usize;
                tell(at, shard.touch(&asked[at], now, false, &is_there));
            }
        }
    }

    fn prefetch_all(&self, asked: &[Fingerprint], group: &[u32]) {
        let shard = self.lock(&asked[group[0] as usize]);
        group.iter().for_each(|at| shard.prefetch(&asked[*at as usize]));
    }
}

/// All places in a list of fingerprints, those of one bucket, and so of one shard, side by side.
struct ByBucket {
    places: Vec<u32>,
    /// Where each bucket ends.
    ends: [u32; MOST_SHARDS],
}

impl ByBucket {
    fn of(asked: &[Fingerprint]) -> ByBucket {
        let bucket = |fingerprint: &Fingerprint| fingerprint.0 as usize % MOST_SHARDS;
        let mut ends = [0_u32; MOST_SHARDS];
        asked.iter().for_each(|fingerprint| ends[bucket(fingerprint)] += 1);
        let mut end = 0;
        for of_bucket in &mut ends {
            // Where it begins: it grows to where it ends.
            (*of_bucket, end) = (end, end + *of_bucket);
        }
        let mut places = vec![0; asked.len()];
        for (at, fingerprint) in (0..).zip(asked) {
            let end = &mut ends[bucket(fingerprint)];
            places[*end as usize] = at;
            *end += 1;
        }
        ByBucket { places, ends }
    }

    /// Those of each bucket that has any.
    fn buckets(&self) -> impl Iterator<Item = &[u32]> {
        let begins = std::iter::once(&0).chain(&self.ends);
        let buckets = begins.zip(&self.ends).map(|(begin, end)| &self.places[*begin as usize..*end as usize]);
        buckets.filter(|bucket| !bucket.is_empty())
    }
}
