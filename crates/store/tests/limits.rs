//! What the store never does whatever is asked of it, and what it does where the machine sets limits. The disk is watched in all of these tests:
//! it fails them at the first byte that is written over, cut, or behind what was allocated.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use kura_disk::sim::{Crash, Operation};
use kura_store::geometry::Geometry;
use kura_store::key::{AttributeName, Attributes, NamespaceId};
use kura_store::{Commit, Error, PutRequest};
use support::{
    BUDGET, Life, Machine, SEGMENT, body, bytes_on_disk, captured::captured, get, key, key_of, put, request,
};

/// What is kept beside each artifact that comes near a limit: as much as may be.
fn most_attributes() -> Attributes {
    Attributes::default().with(AttributeName(1), &[7; 1021]).unwrap()
}

/// Lengths at which an artifact goes another way, and their neighbours.
fn critical_lengths(life: &Life) -> Vec<usize> {
    let largest = usize::try_from(life.store.max_artifact_size()).unwrap();
    let segment = usize::try_from(SEGMENT).unwrap();
    let edges = [2048, 4096, 8192, 12 << 10, segment / 4, segment - 8192, segment - 4096, segment, 2 * segment];
    let mut lengths: Vec<usize> = edges.into_iter().flat_map(|edge| [edge - 1, edge, edge + 1]).collect();
    // Where a growing segment's next step is needed for the trailer, or for the footer only.
    for step in [16 << 10, 32 << 10] {
        lengths.extend((step - 4096 - 700..step - 4096).step_by(32));
    }
    lengths.extend([0, 1, largest - 1, largest]);
    lengths
}

async fn put_with(life: &Life, name: &str, attributes: Attributes, length: usize, known: bool) {
    let request = PutRequest { attributes, ..request(&key(name), known.then_some(length as u64)) };
    let mut upload = life.store.put(request).await.unwrap();
    for piece in body(name, length).chunks(5000) {
        upload.write(piece.to_vec().into()).await.unwrap();
        assert!(life.disk.allocated() <= life.used(), "{name}: more on disk than on the ledger");
    }
    upload.commit(Commit::default()).await.unwrap();
}

/// The record lies between the segment's header and its footer, and a solo is no longer than these three.
fn lies_within_its_segment(life: &Life, name: &str) {
    let found = bytes_on_disk::find(&life.disk, &key(name)).unwrap_or_else(|| panic!("{name} is nowhere"));
    let content = life.disk.content(&found.path).unwrap();
    let end = found.at + found.layout.unwrap().total;
    let secret = bytes_on_disk::identity(&life.disk).secret;
    let footer = bytes_on_disk::footer(&content, &secret).map_or(0, |footer| footer.encode(&secret).len() as u64);
    assert!(end + footer <= content.len() as u64, "{name} ends at {end} of {}", content.len());
    if content.len() as u64 != SEGMENT {
        assert_eq!(content.len() as u64, end + footer, "{name} is in a segment of its exact size");
    }
}

#[test]
fn oversized_artifact_never_exceeds_its_segment() {
    for (known, attributes) in
        [(true, Attributes::default()), (false, Attributes::default()), (true, most_attributes())]
    {
        let mut machine = Machine::new(1);
        machine.live(async |life: Life| {
            let mut last: Option<String> = None;
            for length in critical_lengths(&life) {
                if let Some(name) = last.take() {
                    // Room for the next: which of them goes is not what is asked here.
                    life.store.delete(&key(&name)).await.unwrap();
                }
                let name = format!("{length} bytes, known: {known}");
                put_with(&life, &name, attributes.clone(), length, known).await;
                life.wait(1).await;
                lies_within_its_segment(&life, &name);
                assert!(life.has(&name, length).await, "{name}");
                life.check(BUDGET);
                last = Some(name);
            }
        });
        assert!(machine.disk().take_peak() <= BUDGET);
        machine.crash(Crash::Power);
        machine.live(async |life: Life| {
            let largest = usize::try_from(life.store.max_artifact_size()).unwrap();
            assert!(life.has(&format!("{largest} bytes, known: {known}"), largest).await);
        });
    }
}

/// Clients as different as they come, for so many rounds.
async fn work(life: &Life, random: &mut fastrand::Rng, rounds: usize) {
    for _ in 0..rounds {
        let name = format!("{}", random.usize(0..60));
        let length = *random.choice(&[0, 100, 3000, 9000, 15_000, 30_000, 70_000]).unwrap();
        match random.u8(0..10) {
            0 => drop(life.store.delete(&key(&name)).await.unwrap()),
            1 => drop(life.get(&name).await),
            2 => {
                // Given up halfway.
                let mut upload = life.store.put(request(&key(&name), random.bool().then_some(30_000))).await.unwrap();
                upload.write(body(&name, 20_000)).await.unwrap();
            }
            _ => match put(&life.store, &key(&name), &body(&name, length), random.bool()).await {
                // Reclaim took the segment under it: where large bodies go round the ring, the active one may be the oldest.
                Ok(_) | Err(Error::Evicted) => {}
                Err(error) => panic!("{name}: {error}"),
            },
        }
        life.runtime.sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn segments_are_reclaimed_only_by_unlink() {
    let mut machine = Machine::without_leases(1);
    let mut random = fastrand::Rng::with_seed(1);
    let (mut unlinked, mut evicted, mut cuts) = (0, 0, 0);
    for restart in 0..8 {
        let before: BTreeSet<String> = machine.segments().into_iter().collect();
        let mut random = random.fork();
        evicted += machine.live(async |life: Life| {
            work(&life, &mut random, 200).await;
            life.wait(2).await;
            life.check(BUDGET);
            if restart % 2 == 0 {
                life.store.shutdown().await.unwrap();
            }
            life.store.stats().evictions
        });
        machine.crash(Crash::Process);
        let journal = machine.journal.lock();
        let after: BTreeSet<String> = machine.segments().into_iter().collect();
        for gone in before.difference(&after) {
            let left = [Operation::Unlink, Operation::Rename].map(|operation| journal.count(operation, gone));
            assert_eq!(left.iter().sum::<usize>(), 1, "{gone} went by {left:?}");
        }
        unlinked += journal.count(Operation::Unlink, "segments/");
        cuts += journal.count(Operation::Truncate, "segments/");
    }
    assert!(
        evicted > 200 && unlinked as u64 >= evicted && cuts > 50,
        "{evicted} evicted, {unlinked} unlinked, {cuts} cut"
    );
}

#[test]
fn uploads_that_are_the_oldest_get_the_room_of_what_is_newer() {
    let mut machine = Machine::without_leases(1);
    let budget = 9 * SEGMENT;
    machine.settings.geometry = Geometry::simulation(budget);
    let disk = machine.disk();
    machine.live(async |life: Life| {
        life.wait(2).await;
        let mut uploads = Vec::new();
        for name in ["first", "second"] {
            let mut upload = life.store.put(request(&key(name), None)).await.unwrap();
            upload.write(body(name, 5000)).await.unwrap();
            uploads.push(upload);
        }
        // A later segment, in which a record lies that is then replaced by one in a segment of its own.
        for at in 0..20 {
            life.keep(&format!("{at}"), 4000).await;
        }
        life.keep("replaced", 4000).await;
        life.keep("replaced", 84_000).await;
        let most = usize::try_from(life.store.max_artifact_size()).unwrap() - 5000;
        let began = life.runtime.monotonic();
        let rest = body("rest", most);
        join_all(uploads.into_iter().map(async |mut upload| {
            for piece in rest.chunks(5000) {
                upload.write(rest.slice_ref(piece)).await.unwrap();
            }
            upload.commit(Commit::default()).await.unwrap();
        }))
        .await;
        assert!(life.runtime.monotonic() - began < Duration::from_secs(5), "there is no need to wait");
    });
    assert!(disk.take_peak() <= budget);
}

#[test]
fn a_commit_is_timed_whatever_segment_it_is_in() {
    let mut machine = Machine::new(1);
    machine.live(async |life: Life| {
        for (commits, (length, known)) in [(700, true), (50_000, true), (50_000, false)].into_iter().enumerate() {
            put(&life.store, &key("timed"), &body("timed", length), known).await.unwrap();
            assert_eq!(life.store.stats().commit_latency.buckets.iter().sum::<u64>(), commits as u64 + 1);
        }
    });
}

#[test]
fn a_too_large_artifact_is_refused_before_a_byte_is_written() {
    let mut machine = Machine::new(1);
    let journal = |machine: &Machine| machine.journal.lock().asked.clone();
    let life = machine.live(async |life: Life| {
        life.wait(2).await;
        life
    });
    let (limit, before) = (life.store.max_artifact_size(), journal(&machine));
    assert_eq!(limit, BUDGET / 4);
    for length in [limit + 1, BUDGET, u64::MAX] {
        let refused = machine.world.block_on(life.store.put(request(&key("large"), Some(length)))).map(drop);
        assert!(matches!(refused, Err(Error::TooLarge { limit: told }) if told == limit), "{refused:?}");
    }
    assert_eq!(journal(&machine), before, "nothing was asked of the disk");
    let before = life.used();
    let whole = body("large", usize::try_from(limit).unwrap() + 1);
    machine.world.block_on(async {
        let refused = put(&life.store, &key("large"), &whole, false).await;
        assert!(matches!(refused, Err(Error::TooLarge { .. })), "{refused:?}");
        life.wait(2).await;
        life.check(BUDGET);
        assert_eq!((life.used(), life.store.stats().solo_segments), (before, 0), "nothing is left of it");
    });
}

const LARGE_BUDGET: u64 = 20 * SEGMENT;
/// The least there is.
const SMALL_BUDGET: u64 = 9 * SEGMENT;

/// A store that fills a large budget: a deleted and a cleaned solo in the middle of it, its tombstones in front.
fn filled() -> Machine {
    let mut machine = Machine::new(1);
    machine.settings.geometry = Geometry::simulation(LARGE_BUDGET);
    machine.live(async |life: Life| {
        put(&life.store, &key_of("tenant", "cleaned", "solo"), &body("cleaned", 40_000), true).await.unwrap();
        life.keep("deleted", 40_000).await;
        life.store.delete(&key("deleted")).await.unwrap();
        life.store.clean(&NamespaceId::new("tenant", "cleaned").unwrap()).await.unwrap();
        for at in 0.. {
            if life.used() + 2 * SEGMENT > LARGE_BUDGET {
                break;
            }
            life.keep(&format!("{at}"), if at % 9 == 0 { 20_000 } else { 9000 }).await;
            life.runtime.sleep(Duration::from_millis(2)).await;
        }
        life.keep("newest", 5000).await;
        assert!(life.store.contains(&key("newest")).is_some());
        life.wait(2).await;
        life.check(LARGE_BUDGET);
    });
    machine.crash(Crash::Process);
    machine.disk().take_peak();
    machine.settings.geometry = Geometry::simulation(SMALL_BUDGET);
    machine
}

async fn shrank(life: Life) {
    assert!(
        life.used() <= SMALL_BUDGET,
        "the lower budget binds before anything is taken: {:?}",
        life.store.stats().used
    );
    assert!(life.has("newest", 5000).await);
    assert_eq!(life.get("deleted").await, None);
    assert_eq!(get(&life.store, &key_of("tenant", "cleaned", "solo")).await, None);
    life.wait(2).await;
    life.check(SMALL_BUDGET);
}

#[test]
fn a_lowered_capacity_is_kept_before_traffic_is_taken_whatever_the_start_dies_at() {
    let mut rehearsal = filled();
    let before = rehearsal.world.operations();
    rehearsal.live(shrank);
    assert!(rehearsal.disk().take_peak() <= LARGE_BUDGET + SEGMENT, "one segment of the new size may be added");
    let operations = rehearsal.world.operations() - before;
    assert!(operations > 100, "{operations}");
    for died_after in (0..operations).step_by(2) {
        for crash in [Crash::Process, Crash::Power] {
            let mut machine = filled();
            machine.live_for(died_after, shrank);
            machine.crash(crash);
            machine.live(async |life: Life| {
                shrank(life.clone()).await;
                life.fill(2).await;
                life.wait(2).await;
                life.check(SMALL_BUDGET);
            });
        }
    }
}

#[test]
fn a_capacity_below_the_least_is_refused_and_changes_nothing() {
    let mut machine = filled();
    let before = machine.disk().paths();
    machine.settings.geometry = Geometry::simulation(SMALL_BUDGET - 1);
    let refused = machine.open().map(drop);
    assert!(matches!(refused, Err(Error::CapacityTooSmall { .. })), "{refused:?}");
    assert_eq!(machine.disk().paths(), before);
}

#[test]
fn a_filesystem_that_cannot_allocate_is_written_out_first() {
    let mut machine = Machine::without_leases(1);
    machine.disk().faults(|faults| faults.no_allocation = true);
    for crash in [Crash::Process, Crash::Power] {
        let log = captured(|| {
            machine.live(async |life: Life| {
                work(&life, &mut fastrand::Rng::with_seed(3), 200).await;
                life.keep("solo", 50_000).await;
                put(&life.store, &key("growing"), &body("growing", 50_000), false).await.unwrap();
                life.keep("shared", 5000).await;
                life.wait(2).await;
                life.check(BUDGET);
            });
        });
        assert_eq!(log.matches("cannot allocate").count(), 1, "said once: {log}");
        machine.crash(crash);
        machine.live(async |life: Life| {
            assert!(
                life.has("solo", 50_000).await && life.has("growing", 50_000).await && life.has("shared", 5000).await
            );
        });
        machine.crash(Crash::Process);
    }
    assert!(machine.disk().take_peak() <= BUDGET);
}
