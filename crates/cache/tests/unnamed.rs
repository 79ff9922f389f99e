//! Blobs that come without their digest.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use kura_cache::{Digest, DigestFunction, Error};
use kura_disk::sim::{Operation, Rule};
use support::{Life, MIB, SHA256, live, noise};

async fn brought(life: &Life, function: DigestFunction, body: &[u8]) -> Result<Digest, Error> {
    let mut blob = life.cache.put_unnamed(&life.scope, function);
    for piece in body.chunks(60_000) {
        blob.write(piece).await?;
    }
    blob.commit().await
}

#[test]
fn a_blob_gets_its_name_when_all_of_it_is_there() {
    live(async |life| {
        for length in [0, 1, 100_000, 2 * MIB - 1, 2 * MIB, 2 * MIB + 1, 7 * MIB] {
            for function in [SHA256, DigestFunction::Blake3] {
                let body = noise(length as u64, length);
                let digest = brought(&life, function, &body).await.unwrap();
                assert_eq!(digest, Digest::of(function, &body).with_size(length as u64));
                assert!(life.get(&digest).await.unwrap() == body, "{length}");
            }
        }
    });
}

#[test]
fn a_short_one_is_stored_in_one_piece_and_a_long_one_as_it_would_be_cut() {
    live(async |life| {
        let short = brought(&life, SHA256, &noise(1, 2 * MIB - 1)).await.unwrap();
        assert_eq!(life.cache.chunks_of(&life.scope, &short).await.unwrap(), None);
        let body = noise(2, 7 * MIB);
        let long = brought(&life, SHA256, &body).await.unwrap();
        let chunks = life.cache.chunks_of(&life.scope, &long).await.unwrap().unwrap();
        let other = life.add(&[&body[..], b"x"].concat()).await;
        let cut = life.cache.chunk(&life.scope, &other).await.unwrap().unwrap().digests;
        assert_eq!(chunks[..chunks.len() - 1], cut[..chunks.len() - 1]);
    });
}

#[test]
fn who_brings_it_again_writes_nothing() {
    live(async |life| {
        let body = noise(3, 7 * MIB);
        let digest = brought(&life, SHA256, &body).await.unwrap();
        let written = life.store.stats().bytes_written;
        assert_eq!(brought(&life, SHA256, &body).await.unwrap(), digest);
        assert_eq!(life.store.stats().bytes_written, written);
    });
}

#[test]
fn one_that_is_too_large_is_refused_when_it_becomes_so() {
    live(async |life| {
        let limit = life.cache.max_artifact_size();
        let mut blob = life.cache.put_unnamed(&life.scope, SHA256);
        let piece = noise(4, MIB);
        for _ in 0..limit / MIB as u64 {
            blob.write(&piece).await.unwrap();
        }
        assert!(matches!(blob.write(&piece).await, Err(Error::TooLarge { .. })));
        assert!(matches!(blob.commit().await, Err(Error::Evicted)), "it is lost");
    });
}

#[test]
fn one_that_cannot_be_stored_fails_and_is_not_there() {
    live(async |life| {
        let body = noise(5, 7 * MIB);
        let rule = Rule { operation: Some(Operation::Write), path: "segments/", after: 3, times: u64::MAX, errno: 28 };
        life.disk.faults(|faults| faults.fail(rule));
        assert!(brought(&life, SHA256, &body).await.is_err());
        life.disk.faults(kura_disk::sim::Faults::heal);
        assert!(!life.has(&Digest::of(SHA256, &body)).await);
        assert_eq!(brought(&life, SHA256, &body).await.unwrap(), Digest::of(SHA256, &body).with_size(7 << 20));
    });
}
