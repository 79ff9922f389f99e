//! Futures that are dropped half-way: a body goes on where it was, an upload is lost, and nothing wrong is read or stored.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use kura_cache::{Attributes, Digest, Error, Form};
use support::{Life, SHA256, compressible, content, frame, live};

const MIB: usize = 1 << 20;

/// Reads a body, giving up on each piece again and again before it has come.
async fn impatiently(life: &Life, digest: &Digest, form: Form) -> (Vec<u8>, u32) {
    let found = life.cache.get_as(&life.blob(digest), form).await.unwrap().unwrap();
    let mut pieces = found.body.into_pieces();
    let (mut came, mut gave_up) = (Vec::new(), 0);
    loop {
        let patience = Duration::from_micros(10 + u64::from(gave_up % 40) * 10);
        match select(pin!(pieces.next()), life.runtime.sleep(patience)).await {
            Either::Left((piece, _)) => match piece.unwrap() {
                Some(piece) => came.extend(piece),
                None => return (came, gave_up),
            },
            Either::Right(_) => gave_up += 1,
        }
    }
}

#[test]
fn a_reader_that_gives_up_and_tries_again_misses_nothing() {
    live(async |life| {
        let body = compressible(1, 3 * MIB);
        let (head, tail) = body.split_at(MIB);
        let frames: Vec<u8> = body.chunks(100_000).flat_map(frame).collect();
        let as_zstd = life.add_zstd(&body, &frames).await;
        let as_it_is = Digest::of(kura_cache::DigestFunction::Blake3, &body);
        let upload = life.cache.put(&life.blob(&as_it_is), Attributes::default(), as_it_is.size()).await.unwrap();
        support::send(upload, &body).await.unwrap();
        let parts = [life.add_zstd(head, &frame(head)).await, life.add(tail).await];
        let spliced = Digest::of(SHA256, &[head, tail, head].concat());
        life.splice(&spliced, &[parts[0], parts[1], parts[0]]).await.unwrap();
        let mut gave_up = 0;
        for (digest, expected) in [(as_zstd, body.clone()), (as_it_is, body.clone()), (spliced, [&body, head].concat())]
        {
            let (came, tries) = impatiently(&life, &digest, Form::Identity).await;
            assert!(came == expected);
            gave_up += tries;
            let (came, tries) = impatiently(&life, &digest, Form::Zstd { from: 1 }).await;
            assert!(content(&came) == expected[1..]);
            gave_up += tries;
        }
        assert!(gave_up > 50, "{gave_up}");
    });
}

#[test]
fn an_upload_whose_piece_was_given_up_is_lost() {
    live(async |life| {
        let body = compressible(2, 1_500_000);
        let digest = Digest::of(SHA256, &body);
        for as_zstd in [false, true] {
            let (key, attributes) = (life.blob(&digest), Attributes::default());
            let mut upload = match as_zstd {
                true => life.cache.put_zstd(&key, attributes, None).await.unwrap(),
                false => life.cache.put(&key, attributes, digest.size()).await.unwrap(),
            };
            let sent = if as_zstd { frame(&body) } else { body.clone() };
            let (first, second) = sent.split_at(sent.len() / 2);
            upload.write(Bytes::copy_from_slice(first)).await.unwrap();
            assert_eq!(upload.received(), first.len() as u64);
            {
                let mut writing = pin!(upload.write(Bytes::copy_from_slice(second)));
                let polled = writing.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                assert!(polled.is_pending(), "it takes its time");
            }
            let again = upload.write(Bytes::new()).await;
            assert!(matches!(again, Err(Error::Evicted)));
            assert!(matches!(upload.commit().await, Err(Error::Evicted)));
            assert!(!life.has(&digest).await);
        }
    });
}
