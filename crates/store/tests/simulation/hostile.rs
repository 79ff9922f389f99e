//! Histories that break such designs, where no other file has them: `docs/testing.md` says which test holds which.

use std::time::Duration;

use bytes::Bytes;
use kura_disk::sim::Crash;
use kura_store::{Commit, Durability, Store};

use crate::calls;
use crate::machine::{BUDGET, Machine, put, put_to};
use crate::model::{key, namespace};

const DAY: i64 = 24 * 60 * 60 * 1000;
const YEAR: i64 = 365 * DAY;

fn machine() -> Machine {
    let mut machine = Machine::new(Durability::Always, None);
    machine.settings.lease = Duration::ZERO;
    machine
}

async fn byte(store: &Store, at: usize) -> Option<u8> {
    calls::get(store, &key(0, at)).await.expect("a read").map(|body| body[0])
}

#[test]
fn an_upload_that_began_before_a_clean_and_ended_after_it_is_there() {
    for length in [1000, 10_000, 30_000] {
        let mut machine = machine();
        machine.live(|store, _| async move {
            put_to(&store, &key(0, 1), 1, length).await;
            let mut upload = calls::begin(&store, &key(0, 0), Some(length)).await.expect("room");
            upload.write(Bytes::from(vec![2; length / 2])).await.expect("half of it");
            store.clean(&namespace(0)).await.expect("a clean");
            upload.write(Bytes::from(vec![2; length - length / 2])).await.expect("the rest");
            upload.commit(Commit::default()).await.expect("a commit");
            assert_eq!((byte(&store, 0).await, byte(&store, 1).await), (Some(2), None));
        });
        machine.world.crash(Crash::Power);
        machine.live(|store, _| async move {
            assert_eq!((byte(&store, 0).await, byte(&store, 1).await), (Some(2), None), "{length} bytes");
        });
    }
}

#[test]
fn a_crash_loop_with_one_write_each_loses_none_and_leaves_nothing_behind() {
    const LIVES: usize = 80;
    let mut machine = machine();
    let disk = machine.world.disk();
    for life in 0..LIVES {
        machine.live(|store, _| async move { put(&store, life, 300).await });
        machine.world.crash(if life % 2 == 0 { Crash::Process } else { Crash::Power });
        assert!(disk.take_peak() <= BUDGET);
    }
    machine.live(|store, runtime| async move {
        for life in 0..LIVES {
            assert_eq!(byte(&store, life).await, Some(7), "{life}");
        }
        runtime.sleep(Duration::from_secs(3)).await;
        let files = disk.paths().iter().filter(|path| path.starts_with("segments/")).count() as u64;
        assert_eq!(files, store.stats().segments);
        assert!(files <= 3, "one that is continued, and a spare: {:?}", disk.paths());
    });
}

#[test]
fn uploads_at_one_byte_a_second_in_every_segment_stop_nobody() {
    let mut machine = machine();
    let disk = machine.world.disk();
    machine.live(|store, runtime| async move {
        let mut uploads = Vec::new();
        for round in 0..40 {
            // Those whose segment is reclaimed end; no others, and no other writer.
            if let Ok(upload) = calls::begin(&store, &key(0, 1000 + round), Some(3000)).await {
                uploads.push(upload);
            }
            for at in 0..8 {
                put_to(&store, &key(1, round * 8 + at), 7, 4000).await;
            }
            runtime.sleep(Duration::from_secs(1)).await;
            let mut going = Vec::new();
            for mut upload in uploads {
                if upload.write(Bytes::from_static(b"7")).await.is_ok() {
                    going.push(upload);
                }
            }
            uploads = going;
        }
        assert!(store.stats().evictions > 10 && !uploads.is_empty());
    });
    assert!(disk.take_peak() <= BUDGET);
}

#[test]
fn as_many_trickling_readers_as_there_are_segments_stop_nobody_and_read_no_wrong_byte() {
    let mut machine = machine();
    let disk = machine.world.disk();
    machine.live(|store, runtime| async move {
        let mut readers = Vec::new();
        let mut broken_off = 0;
        for round in 0..40 {
            put(&store, round, 12_000).await;
            let artifact = store.get(&key(0, round)).await.expect("a read").expect("it was just written");
            readers.push(artifact.body);
            for at in 0..8 {
                put_to(&store, &key(1, round * 8 + at), 7, 4000).await;
            }
            runtime.sleep(Duration::from_secs(1)).await;
            if round % 10 == 9 {
                for body in &mut readers {
                    match body.next().await {
                        Ok(piece) => assert!(piece.is_none_or(|piece| piece.iter().all(|byte| *byte == 7))),
                        Err(_) => broken_off += 1,
                    }
                }
            }
        }
        assert!(broken_off > 0 && store.stats().broken_off > 0, "the budget comes before the slowest");
    });
    assert!(disk.take_peak() <= BUDGET);
}

#[test]
fn a_clock_that_is_set_back_by_a_day_or_forward_by_a_year_and_back_shows_nothing_older() {
    let mut machine = machine();
    for (life, shift) in [0, -DAY, YEAR, -YEAR, -DAY].into_iter().enumerate() {
        machine.world.shift_wall_clock(shift);
        let new = u8::try_from(life + 1).unwrap();
        machine.live(|store, _| async move {
            put_to(&store, &key(0, 0), new, 300).await;
            put_to(&store, &key(0, 1), new, 30_000).await;
            put_to(&store, &key(0, 2), new, 300).await;
            store.delete(&key(0, 2)).await.expect("a delete");
        });
        machine.world.crash(Crash::Power);
        machine.live(|store, _| async move {
            assert_eq!(
                (byte(&store, 0).await, byte(&store, 1).await, byte(&store, 2).await),
                (Some(new), Some(new), None)
            );
        });
        machine.world.crash(Crash::Process);
    }
}
