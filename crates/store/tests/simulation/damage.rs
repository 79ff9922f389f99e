//! Bytes that are not those that were written: never served, dropped, counted, and no obstacle to anything else.

use bytes::Bytes;
use kura_disk::Disk;
use kura_disk::sim::{Crash, Operation, Rule, SimDisk};
use kura_store::key::{Attributes, RecordKey};
use kura_store::types::Kind;
use kura_store::{Commit, Durability, PutRequest, Store};

use crate::calls;
use crate::machine::{Machine, captured, fill, put, put_to};
use crate::model::key;

const EIO: i32 = 5;

fn machine() -> Machine {
    Machine::new(Durability::Always, None)
}

async fn get(store: &Store, at: usize) -> Option<Bytes> {
    calls::get(store, &key(0, at)).await.expect("no error of the device reaches a reader")
}

/// The segment file in which `needle` stands, and where.
fn find(disk: &SimDisk, needle: &[u8]) -> (String, usize) {
    let mut found = disk.paths().into_iter().filter_map(|path| {
        let content = disk.content(&path)?;
        let at = content.windows(needle.len()).position(|window| window == needle)?;
        Some((path, at))
    });
    found.next().expect("it was written")
}

#[test]
fn a_flipped_bit_in_a_body_is_a_miss_that_is_counted_and_logged_with_its_place() {
    for length in [100, 3000, 50_000] {
        let mut machine = machine();
        let disk = machine.world.disk();
        let log = captured(|| {
            machine.live(|store, _| async move {
                put_to(&store, &key(0, 0), 0xd5, length).await;
                let (path, at) = find(&disk, &[0xd5; 64]);
                disk.flip(&path, (at as u64 + 50) * 8);
                let mut artifact = store.get(&key(0, 0)).await.expect("no error of the device");
                // A long body may have begun: then it is broken off.
                if let Some(artifact) = artifact.as_mut() {
                    assert!(length > 4096, "a short one is checked before anything is sent");
                    while let Ok(Some(piece)) = artifact.body.next().await {
                        assert!(piece.iter().all(|byte| *byte == 0xd5), "no damaged byte is handed out");
                    }
                }
                assert_eq!(get(&store, 0).await, None, "a miss from then on");
                assert_eq!(store.stats().damaged, 1);
            });
        });
        assert!(log.contains("a record is damaged") && log.contains("in segment 0"), "{log}");
    }
}

#[test]
fn what_the_device_cannot_read_is_a_miss_and_no_obstacle_to_reclaim() {
    let mut machine = machine();
    let disk = machine.world.disk();
    machine.live(|store, runtime| async move {
        put(&store, 0, 100).await;
        put(&store, 1, 100).await;
        assert!(get(&store, 1).await.is_some(), "leased, so that reclaim has to read it");
        disk.faults(|faults| {
            faults.fail(Rule { operation: Some(Operation::Read), path: "segments/", after: 0, times: 99, errno: EIO });
        });
        // What the page cache still holds is served; the device is asked soon enough.
        let mut tries = 0;
        while get(&store, 0).await.is_some() {
            tries += 1;
            assert!(tries < 100, "the device is never asked");
        }
        assert_eq!(store.stats().damaged, 1);
        fill(&store, &runtime).await;
        fill(&store, &runtime).await;
        assert!(store.stats().evictions >= 2);
    });
}

#[test]
fn a_flipped_bit_in_the_header_of_a_renamed_segment_without_a_footer_costs_nothing() {
    // Magic, version, kind, lane, store, birth number, capacity, time, block, checksum.
    for byte in [0, 8, 12, 13, 20, 32, 40, 48, 56, 60] {
        let mut machine = machine();
        let disk = machine.world.disk();
        machine.live(|store, _| async move { put_to(&store, &key(0, 0), 0xd5, 3000).await });
        machine.world.crash(Crash::Process);
        let (path, _) = find(&disk, &[0xd5; 64]);
        let (renamed, to) = (path.replacen("segments/0", "segments/1", 1), std::sync::Arc::clone(&disk));
        let now = renamed.clone();
        machine.world.block_on(async move { to.rename(&path, &now).await.expect("a rename") });
        disk.flip(&renamed, byte * 8 + 3);
        machine.live(|store, _| async move {
            assert!(get(&store, 0).await.is_some(), "byte {byte}");
            put(&store, 1, 100).await;
        });
    }
}

#[test]
fn a_damaged_footer_costs_a_scan_and_nothing_else() {
    let mut machine = machine();
    let disk = machine.world.disk();
    machine.live(|store, runtime| async move {
        for at in 0..40 {
            put(&store, at, 4000).await;
        }
        runtime.sleep(std::time::Duration::from_secs(1)).await;
        store.shutdown().await.expect("a clean stop");
    });
    machine.world.crash(Crash::Process);
    for path in disk.paths().iter().filter(|path| path.starts_with("segments/")) {
        let length = disk.content(path).unwrap().len() as u64;
        disk.flip(path, (length - 20) * 8);
    }
    machine.live(|store, _| async move {
        for at in 0..40 {
            assert!(get(&store, at).await.is_some(), "{at}");
        }
    });
}

/// The bytes of a whole record, as another tenant's store would have it, from the file in which it lies.
fn forged_records() -> Vec<u8> {
    let mut victim = machine();
    let disk = victim.world.disk();
    victim.live(|store, _| async move {
        let secret = RecordKey::new(Kind(1), "victim", "namespace", b"key").expect("a key");
        calls::put(&store, &secret, &Bytes::from(vec![0xee; 500]), true, 4096).await.expect("a put");
    });
    let (path, at) = find(&disk, &[0xee; 500]);
    let content = disk.content(&path).unwrap();
    // Header, key and attributes stand in front of the body in steps of 64 bytes, the trailer behind it.
    content[4096..at + 1024].to_vec()
}

#[test]
fn records_in_a_body_whose_own_header_is_lost_are_no_records() {
    let forged = forged_records();
    let aligned = forged.len().next_multiple_of(64);
    // Several of them, each at a place where a record could start; all in a shared segment, which a start has to scan.
    let body: Vec<u8> = (0..6).flat_map(|_| forged.iter().copied().chain(vec![0; aligned - forged.len()])).collect();
    let mut machine = machine();
    let disk = machine.world.disk();
    machine.live(|store, _| async move {
        put(&store, 1, 100).await;
        let request = PutRequest {
            key: key(0, 0),
            attributes: Attributes::default(),
            encoding: kura_store::types::Encoding::Identity,
            length: Some(body.len() as u64),
        };
        let mut upload = store.put(request).await.expect("room");
        upload.write(Bytes::from(body)).await.expect("a write");
        upload.commit(Commit::default()).await.expect("a commit");
        put(&store, 2, 100).await;
    });
    machine.world.crash(Crash::Power);
    // Its own header goes, as if the sector had been lost.
    let (path, at) = find(&disk, &forged[..64]);
    let content = disk.content(&path).unwrap();
    let header = (0..at).rev().step_by(64).find(|start| content[*start / 64 * 64..].starts_with(&forged[..8]));
    let header = header.expect("the record that carries them") / 64 * 64;
    for byte in header..header + 64 {
        disk.flip(&path, byte as u64 * 8);
    }
    machine.live(|store, _| async move {
        assert!(get(&store, 1).await.is_some() && get(&store, 2).await.is_some(), "its neighbours are there");
        assert_eq!(get(&store, 0).await, None, "it is lost itself");
        let stolen = RecordKey::new(Kind(1), "victim", "namespace", b"key").expect("a key");
        assert_eq!(calls::get(&store, &stolen).await.expect("a read"), None);
        assert_eq!(store.stats().index_entries, 2);
    });
}
