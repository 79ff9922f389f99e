//! The same blob from several sides at once: all succeed, one copy is stored.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::task::{Context, Waker};

use bytes::Bytes;
use futures_util::future::{join, join_all};
use kura_cache::{Attributes, Digest, Error, Settings, Upload};
use support::{Life, SHA256, compressible, frame, live, live_with, send};

/// An upload that has sent everything and was not ended yet.
async fn sent(life: &Life, digest: &Digest, body: &[u8], as_zstd: bool) -> Upload {
    let (key, attributes) = (life.blob(digest), Attributes::default());
    let mut upload = match as_zstd {
        true => life.cache.put_zstd(&key, attributes, None).await.unwrap(),
        false => life.cache.put(&key, attributes, digest.size()).await.unwrap(),
    };
    let body = if as_zstd { frame(body) } else { body.to_vec() };
    upload.write(Bytes::from(body)).await.unwrap();
    upload
}

#[test]
fn of_two_uploads_of_one_blob_the_second_finds_it_there() {
    for length in [1000, 500_000] {
        live(async |life| {
            let body = compressible(1, length);
            let digest = Digest::of(SHA256, &body);
            let first = sent(&life, &digest, &body, false).await;
            let second = sent(&life, &digest, &body, true).await;
            assert!(second.known().is_none());
            let first = first.commit().await.unwrap();
            let written = life.store.stats().bytes_written;
            let second = second.commit().await.unwrap();
            assert_eq!((first.known, second.known, second.version), (false, true, first.version));
            assert_eq!(life.store.stats().bytes_written, written);
            assert!(life.get(&digest).await.unwrap() == body);
        });
    }
}

#[test]
fn of_many_that_end_at_once_one_is_stored() {
    for compress in [false, true] {
        live_with(Settings { compress, ..Settings::default() }, async |life| {
            let body = compressible(2, 30_000);
            let digest = Digest::of(SHA256, &body);
            let mut uploads = Vec::new();
            for _ in 0..10 {
                uploads.push(sent(&life, &digest, &body, false).await);
            }
            let stored = join_all(uploads.into_iter().map(Upload::commit)).await;
            let stored: Vec<_> = stored.into_iter().map(Result::unwrap).collect();
            assert_eq!(stored.iter().filter(|stored| !stored.known).count(), 1);
            assert!(stored.iter().all(|other| other.version == stored[0].version));
            assert!(life.store.stats().bytes_written <= body.len() as u64);
        });
    }
}

#[test]
fn one_that_goes_away_lets_the_next_have_its_turn() {
    live(async |life| {
        let body = compressible(3, 30_000);
        let digest = Digest::of(SHA256, &body);
        let (leaving, staying) = (sent(&life, &digest, &body, false).await, sent(&life, &digest, &body, false).await);
        let mut leaving = Box::pin(leaving.commit());
        let polled = leaving.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending(), "it has its turn");
        let (stored, ()) = join(staying.commit(), async { drop(leaving) }).await;
        stored.unwrap();
        assert!(life.get(&digest).await.unwrap() == body);
    });
}

#[test]
fn a_blob_that_was_known_and_is_cleaned_meanwhile_was_not_stored() {
    live(async |life| {
        let body = compressible(4, 30_000);
        let digest = life.add(&body).await;
        let known = sent(&life, &digest, &body, false).await;
        assert!(known.known().is_some());
        life.cache.clean(&life.scope).await.unwrap();
        assert!(matches!(known.commit().await, Err(Error::Evicted)));
    });
}

#[test]
fn a_splice_and_an_upload_of_one_blob_leave_one_of_them() {
    live(async |life| {
        let (head, tail) = (compressible(5, 3000), compressible(6, 4000));
        let parts = [life.add(&head).await, life.add(&tail).await];
        let body = [head, tail].concat();
        let digest = Digest::of(SHA256, &body);
        let upload = sent(&life, &digest, &body, false).await;
        let (uploaded, spliced) = join(upload.commit(), life.splice(&digest, &parts)).await;
        assert!(uploaded.unwrap().known != spliced.unwrap().known);
        assert!(life.get(&digest).await.unwrap() == body);
        let again = life.cache.put(&life.blob(&digest), Attributes::default(), None).await.unwrap();
        assert!(send(again, &body).await.unwrap().known);
    });
}
