//! Blobs that are cut into chunks on demand: stored once all the same, shared with what is alike, and whole whatever goes wrong.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use kura_cache::{Compression, Digest, DigestFunction, Error, Form, MAX_CHUNK_SIZE};
use kura_disk::sim::{Operation, Rule};
use support::{Life, MIB, SHA256, compressible, frame, live, noise};

async fn chunk(life: &Life, blob: &Digest) -> Option<Vec<Digest>> {
    life.cache.chunk(&life.scope, blob).await.unwrap().map(|chunks| chunks.digests)
}

/// What the chunks are, one after another.
async fn joined(life: &Life, chunks: &[Digest]) -> Vec<u8> {
    let mut joined = Vec::new();
    for chunk in chunks {
        assert!(chunk.size().unwrap() <= MAX_CHUNK_SIZE);
        joined.extend(life.get(chunk).await.unwrap());
    }
    joined
}

#[test]
fn a_blob_becomes_the_recipe_of_its_chunks() {
    live(async |life| {
        let body = noise(1, 7 * MIB);
        let digest = life.add(&body).await;
        assert_eq!(life.cache.chunks_of(&life.scope, &digest).await.unwrap(), None);
        let solos = life.store.stats().solo_segments;
        let chunks = chunk(&life, &digest).await.unwrap();
        assert!(chunks.len() > 5 && joined(&life, &chunks).await == body);
        assert_eq!(life.cache.chunks_of(&life.scope, &digest).await.unwrap().as_ref(), Some(&chunks));
        assert!(life.get(&digest).await.unwrap() == body);
        life.wait(std::time::Duration::from_secs(5)).await;
        let now = life.store.stats().solo_segments;
        assert_eq!(now, solos - 1 + chunks.len() as u64, "its bytes are stored once: what it was stored in is gone");
        let written = life.store.stats().bytes_written;
        assert_eq!(chunk(&life, &digest).await, Some(chunks));
        assert_eq!(life.store.stats().bytes_written, written, "it is cut once");
    });
}

#[test]
fn blobs_that_are_alike_share_chunks() {
    live(async |life| {
        let body = noise(2, 6 * MIB);
        let changed = [&body[..3 * MIB], b"in between", &body[3 * MIB..]].concat();
        let (one, two) = (life.add(&body).await, life.add(&changed).await);
        let first = chunk(&life, &one).await.unwrap();
        let written = life.store.stats().bytes_written;
        let second = chunk(&life, &two).await.unwrap();
        assert!(life.store.stats().bytes_written - written <= 2 * MAX_CHUNK_SIZE);
        let shared = second.iter().filter(|chunk| first.contains(chunk)).count();
        assert!(shared + 3 >= second.len(), "{shared} of {}", second.len());
        assert!(life.get(&one).await.unwrap() == body && life.get(&two).await.unwrap() == changed);
    });
}

#[test]
fn what_is_stored_as_zstd_stays_small() {
    live(async |life| {
        let body = compressible(3, 5 * MIB);
        let digest = life.add_zstd(&body, &frame(&body)).await;
        let written = life.store.stats().bytes_written;
        let chunks = chunk(&life, &digest).await.unwrap();
        assert!(life.store.stats().bytes_written - written < 7 * body.len() as u64 / 10);
        for chunk in &chunks {
            let found = life.cache.get_as(&life.blob(chunk), Form::Stored).await.unwrap().unwrap();
            assert_eq!(found.compression, Compression::Zstd);
        }
        assert!(joined(&life, &chunks).await == body && life.get(&digest).await.unwrap() == body);
    });
}

#[test]
fn a_short_blob_is_its_own_only_chunk() {
    live(async |life| {
        for length in [1, 1000, 2 * MIB] {
            let digest = life.add(&noise(4, length)).await;
            assert_eq!(chunk(&life, &digest).await, Some(vec![digest]));
            assert_eq!(life.cache.chunks_of(&life.scope, &digest).await.unwrap(), None);
        }
        assert_eq!(chunk(&life, &Digest::of(SHA256, b"")).await, Some(vec![]));
        assert_eq!(chunk(&life, &Digest::of(SHA256, b"not there")).await, None);
    });
}

#[test]
fn chunks_have_the_digest_function_of_their_blob() {
    live(async |life| {
        let body = noise(5, 3 * MIB);
        let digest = Digest::of(DigestFunction::Blake3, &body);
        life.put_zstd(&digest, &frame(&body)).await.unwrap();
        let chunks = chunk(&life, &digest).await.unwrap();
        assert!(chunks.len() > 1 && chunks.iter().all(|chunk| chunk.function() == DigestFunction::Blake3));
        assert!(life.get(&digest).await.unwrap() == body);
    });
}

#[test]
fn a_blob_whose_chunks_are_gone_is_gone() {
    live(async |life| {
        let body = noise(6, 5 * MIB);
        let digest = life.add(&body).await;
        let chunks = chunk(&life, &digest).await.unwrap();
        life.delete(&chunks[1]).await;
        assert_eq!(chunk(&life, &digest).await, None);
        assert!(!life.has(&digest).await);
        life.add(&body).await;
        assert_eq!(chunk(&life, &digest).await, Some(chunks));
    });
}

#[test]
fn a_part_that_is_cut_stays_a_part() {
    live(async |life| {
        let (head, tail) = (noise(7, 5 * MIB), noise(8, 1000));
        let parts = [life.add(&head).await, life.add(&tail).await];
        let whole = [head, tail].concat();
        let digest = Digest::of(SHA256, &whole);
        life.splice(&digest, &parts).await.unwrap();
        assert!(chunk(&life, &parts[0]).await.unwrap().len() > 1);
        assert!(life.has(&digest).await && life.get(&digest).await.unwrap() == whole);
    });
}

#[test]
fn a_blob_that_could_not_be_cut_stays_what_it_was() {
    for after in [0, 3, 10] {
        live(async |life| {
            let body = noise(9, 5 * MIB);
            let digest = life.add(&body).await;
            let rule = Rule { operation: Some(Operation::Write), path: "segments/", after, times: u64::MAX, errno: 28 };
            life.disk.faults(|faults| faults.fail(rule));
            let refusal = life.cache.chunk(&life.scope, &digest).await;
            assert!(matches!(refusal, Err(Error::Store(_) | Error::Full(_) | Error::Busy { .. })), "{refusal:?}");
            life.disk.faults(kura_disk::sim::Faults::heal);
            assert!(life.get(&digest).await.unwrap() == body);
            assert_eq!(life.cache.chunks_of(&life.scope, &digest).await.unwrap(), None);
            let chunks = chunk(&life, &digest).await.unwrap();
            assert!(joined(&life, &chunks).await == body);
        });
    }
}
