//! Bits flipped, one at a time, anywhere in what a store keeps: it starts, serves what was written or nothing, and loses one artifact at most.
//! `KURA_CASES` sets how many bits; as many as there are is every bit. `KURA_SEED` is the number of one case.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use kura_disk::sim::Crash;
use kura_store::{Durability, Error, Store};

use crate::calls;
use crate::machine::{Machine, put_to};
use crate::model::key;
use crate::{cases, number};

/// Bits when nothing else is said, spread over all files.
const DEFAULT_CASES: u64 = 2000;

/// How far one case's bit is from the next: a prime, so that none comes twice before all have come.
const STRIDE: u64 = 1_000_003;

/// What was written, in order: number of the key, byte, length. The first two keys are written twice, and the last is deleted again.
const WRITTEN: [(usize, u8, usize); 8] =
    [(0, 8, 700), (1, 9, 5000), (0, 1, 100), (1, 2, 5000), (2, 3, 20_000), (3, 4, 0), (4, 5, 13_000), (5, 6, 60)];

const DELETED: usize = 5;

/// Keys from here on fill segments, so that some are sealed and one is not.
const FILLING: std::ops::Range<usize> = 10..28;

/// The files of a store at rest.
static KEPT: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| {
    let mut machine = Machine::new(Durability::Always, None);
    machine.live(|store, runtime| async move {
        for (at, byte, length) in WRITTEN {
            put_to(&store, &key(0, at), byte, length).await;
        }
        store.delete(&key(0, DELETED)).await.expect("a delete");
        for at in FILLING {
            put_to(&store, &key(0, at), 7, 3000).await;
        }
        runtime.sleep(Duration::from_secs(2)).await;
        store.shutdown().await.expect("a clean stop");
    });
    let disk = machine.world.disk();
    let content = |path: String| disk.content(&path).map(|content| (path, content));
    disk.paths().into_iter().filter_map(content).collect()
});

/// What was stored under a key, the last first; what is there if nothing is damaged.
fn written(at: usize) -> (Vec<Bytes>, bool) {
    let body = |(_, byte, length): &(usize, u8, usize)| Bytes::from(vec![*byte; *length]);
    let filling = FILLING.contains(&at).then_some((at, 7, 3000));
    (WRITTEN.iter().rev().chain(&filling).filter(|(of, _, _)| *of == at).map(body).collect(), at != DELETED)
}

/// How many artifacts are not what they were.
async fn lost(store: Store) -> usize {
    let mut lost = 0;
    for at in (0..=DELETED).chain(FILLING) {
        let (bodies, is_kept) = written(at);
        match calls::get(&store, &key(0, at)).await {
            Ok(Some(body)) => {
                assert!(bodies.contains(&body), "key {at} has {} bytes that nobody wrote", body.len());
                lost += usize::from(!is_kept || bodies[0] != body);
            }
            // A miss, or broken off.
            Ok(None) | Err(Error::Corrupt { .. }) => lost += usize::from(is_kept),
            Err(error) => panic!("key {at}: {error}"),
        }
    }
    lost
}

fn flip(case: u64) {
    let bits = KEPT.iter().map(|(_, content)| content.len() as u64 * 8).sum::<u64>();
    let mut bit = case.wrapping_mul(STRIDE) % bits;
    let mut machine = Machine::with_seed(case, Durability::Always, None);
    let disk = machine.world.disk();
    for (path, content) in KEPT.iter() {
        disk.plant(path, content);
        let here = content.len() as u64 * 8;
        if bit < here {
            println!("bit {bit} of {path}");
            disk.flip(path, bit);
        }
        bit = if bit < here { u64::MAX } else { bit - here };
    }
    for crash in [Crash::Process, Crash::Power] {
        let lost = machine.live(|store, _| lost(store));
        assert!(lost <= 1, "{lost} artifacts lost");
        machine.world.crash(crash);
    }
}

#[test]
fn a_flipped_bit_anywhere_costs_one_artifact_at_most_and_no_start() {
    cases("a_flipped_bit", number("KURA_CASES").unwrap_or(DEFAULT_CASES), flip);
}
