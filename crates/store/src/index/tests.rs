use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn entry(fingerprint: u128, version: u64) -> Entry {
    Entry {
        fingerprint: Fingerprint(fingerprint),
        version: Version(version),
        slot: SegmentSlot(0xab_cdef),
        offset: Offset(64 * 0x12_3456),
        ordinal: Ordinal(0x65_4321),
        stored_len: StoredLen(0xff_0123_4567),
        logical_len: LogicalLen(0x12_3456_789a),
        head_len: 64 * 200,
        shadowing: version.is_multiple_of(2),
        record_type: [RecordType::Artifact, RecordType::KeyTombstone, RecordType::NamespaceTombstone]
            [version as usize % 3],
        encoding: [Encoding::Identity, Encoding::Zstd, Encoding::Recipe][version as usize / 2 % 3],
        uses: 9,
        vouched: Minutes::from_bits(4711),
    }
}

/// Spread like a keyed hash.
fn spread(n: u64) -> u128 {
    let mix =
        |n: u64| (n ^ n >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    u128::from(mix(n)) << 64 | u128::from(mix(n ^ 0x5555))
}

#[test]
fn tombstones_are_counted_apart() {
    let index = Index::new(2);
    let put = |version| index.lock(&Fingerprint(7)).insert(entry(7, version));
    let counted = [1, 2, 3, 4, 5].map(|version| {
        put(version);
        index.tombstones()
    });
    assert_eq!((counted, index.len()), ([1, 1, 0, 1, 1], 1));
    index.lock(&Fingerprint(7)).remove(&Fingerprint(7));
    assert_eq!((index.tombstones(), index.len()), (0, 0));
}

#[test]
fn an_entry_comes_back_as_it_went_in() {
    let index = Index::new(1);
    for version in 1..7 {
        let entry = entry(7, version);
        index.lock(&entry.fingerprint).insert(entry);
        assert_eq!(index.lock(&entry.fingerprint).get(&entry.fingerprint), Some(entry));
    }
    assert_eq!(index.len(), 1);
}

#[test]
fn a_touch_counts_uses_up_to_their_end() {
    let index = Index::new(1);
    let fingerprint = Fingerprint(3);
    index.lock(&fingerprint).insert(Entry { uses: 254, vouched: None, ..entry(3, 1) });
    let now = Minutes::from_unix_millis(60_000 * 1234);
    for uses in [254, 255, 255] {
        let touched = index.lock(&fingerprint).touch(&fingerprint, now, uses == 255, |_| true).unwrap();
        assert_eq!((touched.uses, touched.vouched), (uses, Some(now)));
    }
}

#[test]
fn what_is_not_there_is_neither_used_nor_vouched_for() {
    let index = Index::new(1);
    let tombstone = Entry { record_type: RecordType::KeyTombstone, uses: 0, vouched: None, ..entry(3, 1) };
    index.lock(&tombstone.fingerprint).insert(tombstone);
    let is_artifact = |entry: &Entry| entry.record_type == RecordType::Artifact;
    let now = Minutes::from_unix_millis(60_000 * 1234);
    assert_eq!(index.lock(&tombstone.fingerprint).touch(&tombstone.fingerprint, now, true, is_artifact), None);
    assert_eq!(index.lock(&tombstone.fingerprint).get(&tombstone.fingerprint), Some(tombstone));
}

#[test]
fn at_its_highest_load_an_entry_costs_at_most_56_bytes_and_growth_is_less_than_doubling() {
    let index = Index::new(1);
    let mut lowest: f64 = f64::MAX;
    let mut before = 0;
    for n in 1..200_000 {
        let entry = entry(spread(n), n);
        index.lock(&entry.fingerprint).insert(entry);
        let bytes = index.bytes();
        if n > 10_000 {
            lowest = lowest.min(bytes as f64 / n as f64);
            assert!(bytes <= before + before / 3, "grew from {before} to {bytes}");
        }
        before = bytes;
    }
    assert!(lowest <= 56.0, "{lowest} bytes an entry");
}

proptest! {
    #[test]
    fn the_index_is_a_map(
        operations in prop::collection::vec((0..4u8, 0..96u64, 1..u64::from(u32::MAX)), 0..600),
        clustered in any::<bool>(),
    ) {
        let index = Index::new(2);
        let mut model: HashMap<u128, Entry> = HashMap::new();
        for (operation, key, version) in operations {
            // Clustered keys share their position: the longest runs there are.
            let fingerprint = if clustered { u128::from(u64::MAX - key / 8) << 64 | u128::from(key) } else { spread(key) };
            let at = Fingerprint(fingerprint);
            let mut shard = index.lock(&at);
            match operation {
                0 | 1 => prop_assert_eq!(shard.insert(entry(fingerprint, version)), model.insert(fingerprint, entry(fingerprint, version))),
                2 => prop_assert_eq!(shard.remove(&at), model.remove(&fingerprint)),
                _ => {
                    shard.update(&at, |entry| entry.uses = 77);
                    model.entry(fingerprint).and_modify(|entry| entry.uses = 77);
                }
            }
            prop_assert_eq!(shard.get(&at), model.get(&fingerprint).copied());
        }
        prop_assert_eq!(index.len(), model.len());
        let mut seen = HashMap::new();
        index.for_each(|entry| { seen.insert(entry.fingerprint.0, *entry); });
        prop_assert_eq!(seen, model);
    }
}

proptest! {
    #[test]
    fn many_at_once_are_told_what_each_would_be_told_alone(
        there in prop::collection::vec(0..64u64, 0..64),
        asked in prop::collection::vec(0..96u64, 0..300),
        shards in prop::sample::select(vec![1, 4, 64, 256]),
    ) {
        let (many, alone) = (Index::new(shards), Index::new(shards));
        for index in [&many, &alone] {
            for key in &there {
                let entry = Entry { vouched: None, ..entry(spread(*key), key + 1) };
                index.lock(&entry.fingerprint).insert(entry);
            }
        }
        let asked: Vec<Fingerprint> = asked.into_iter().map(|key| Fingerprint(spread(key))).collect();
        let now = Minutes::from_unix_millis(60_000 * 1234);
        let is_there = |entry: &Entry| entry.record_type == RecordType::Artifact;
        let mut told = vec![Vec::new(); asked.len()];
        many.touch_all(&asked, now, is_there, |at, found| told[at].push(found));
        for (fingerprint, told) in asked.iter().zip(told) {
            prop_assert_eq!(told, [alone.lock(fingerprint).touch(fingerprint, now, false, is_there)]);
        }
        let entries = |index: &Index| {
            let mut entries = HashMap::new();
            index.for_each(|entry| {
                entries.insert(entry.fingerprint, *entry);
            });
            entries
        };
        prop_assert_eq!(entries(&many), entries(&alone), "the same are vouched for");
    }
}
