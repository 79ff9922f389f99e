//! What was read once and is remembered, up to a bound in bytes: what was not asked for the longest goes first.
//! Only for what stays true: content never changes under its digest. Whether it is still there is for the caller to ask.

use std::hash::Hash;
use std::sync::Arc;

use lru::LruCache;
use parking_lot::Mutex;

/// Bytes that an entry takes beside its value, about: its key, and its places in the map and in the order of use.
pub(crate) const ENTRY: u64 = 256;

/// A value whose size is known.
pub(crate) trait Weigh {
    /// Bytes of memory.
    fn weight(&self) -> u64;
}

pub(crate) struct Memory<K: Hash + Eq, V> {
    state: Mutex<State<K, V>>,
    limit: u64,
}

struct State<K: Hash + Eq, V> {
    entries: LruCache<K, Arc<V>>,
    /// Invariant: the weight of all entries, and at most the limit.
    bytes: u64,
}

impl<K: Hash + Eq, V: Weigh> Memory<K, V> {
    pub(crate) fn new(limit: u64) -> Memory<K, V> {
        Memory { state: Mutex::new(State { entries: LruCache::unbounded(), bytes: 0 }), limit }
    }

    pub(crate) fn get(&self, key: &K) -> Option<Arc<V>> {
        self.state.lock().entries.get(key).cloned()
    }

    /// Remembers a value, unless it is larger than all that may be.
    pub(crate) fn put(&self, key: K, value: Arc<V>) {
        let weight = ENTRY + value.weight();
        if weight > self.limit {
            return;
        }
        let mut state = self.state.lock();
        state.bytes += weight;
        if let Some((_, replaced)) = state.entries.push(key, value) {
            state.bytes -= ENTRY + replaced.weight();
        }
        while state.bytes > self.limit {
            let Some((_, forgotten)) = state.entries.pop_lru() else { break };
            state.bytes -= ENTRY + forgotten.weight();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Weigh for Vec<u8> {
        fn weight(&self) -> u64 {
            self.len() as u64
        }
    }

    #[test]
    fn what_was_not_asked_for_the_longest_is_forgotten() {
        let memory = Memory::new(3 * (ENTRY + 100));
        for key in [1, 2, 3] {
            memory.put(key, Arc::new(vec![key; 100]));
        }
        assert!(memory.get(&1).is_some());
        memory.put(4, Arc::new(vec![4; 100]));
        let known = [1, 2, 3, 4].map(|key| memory.get(&key).is_some());
        assert_eq!(known, [true, false, true, true]);
        memory.put(5, Arc::new(vec![5; 3 * (ENTRY as usize + 100)]));
        assert!(memory.get(&5).is_none() && memory.get(&4).is_some(), "what is too large forgets nothing");
    }

    proptest! {
        #[test]
        fn the_bytes_are_those_of_the_entries_and_within_the_limit(
            puts in prop::collection::vec((0..20_u8, 0..2000_usize, any::<bool>()), 0..100),
        ) {
            let memory: Memory<u8, Vec<u8>> = Memory::new(5000);
            for (key, length, ask) in puts {
                if ask {
                    prop_assert!(memory.get(&key).is_none_or(|value| value.iter().all(|byte| *byte == key)));
                }
                memory.put(key, Arc::new(vec![key; length]));
                let state = memory.state.lock();
                let sum: u64 = state.entries.iter().map(|(_, value)| ENTRY + value.weight()).sum();
                prop_assert!(state.bytes == sum && sum <= memory.limit);
            }
        }
    }
}
