//! Blobs in zstd: stored as they come, served as they are wanted, and never more than they said they would be.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use bazel_remote_apis::build::bazel::remote::execution::v2 as reapi;
use bytes::Bytes;
use kura_cache::{ArtifactKey, Attributes, Body, Compression, Digest, DigestFunction, Error, Form, Kind, Settings};
use proptest::prelude::*;
use prost::Message;
use support::{SHA256, compressible, content, frame, live, live_with, send};

const MIB: usize = 1 << 20;

fn skippable(hidden: usize) -> Vec<u8> {
    let length = u32::try_from(hidden).unwrap();
    [&0x184d_2a50_u32.to_le_bytes()[..], &length.to_le_bytes(), &vec![1; hidden]].concat()
}

#[test]
fn what_comes_as_zstd_is_stored_as_it_came() {
    for length in [1, 1000, 100_000, 3 * MIB] {
        live(async |life| {
            let body = compressible(1, length);
            let (head, tail) = body.split_at(length / 3);
            let frames = [frame(head), skippable(10), frame(b""), frame(tail)].concat();
            let digest = life.add_zstd(&body, &frames).await;
            assert_eq!(life.store.stats().bytes_written, frames.len() as u64);
            for form in [Form::Stored, Form::Zstd { from: 0 }] {
                let found = life.cache.get_as(&life.blob(&digest), form).await.unwrap().unwrap();
                assert_eq!((found.compression, found.length), (Compression::Zstd, length as u64));
                assert!(found.body.collect().await.unwrap() == frames, "untouched");
            }
            let found = life.cache.get(&life.blob(&digest)).await.unwrap().unwrap();
            assert_eq!((found.compression, found.length), (Compression::Identity, length as u64));
            assert!(found.body.collect().await.unwrap() == body);
            assert_eq!(
                life.cache.present(&life.blob(&digest)).await.unwrap().map(|found| found.length),
                Some(length as u64)
            );
        });
    }
}

#[test]
fn what_is_stored_as_it_is_can_be_had_as_zstd() {
    for length in [0, 1, 1000, 100_000, 3 * MIB] {
        live(async |life| {
            let body = compressible(2, length);
            let digest = life.add(&body).await;
            let found = life.cache.get_as(&life.blob(&digest), Form::Zstd { from: 0 }).await.unwrap().unwrap();
            assert_eq!((found.compression, found.length), (Compression::Zstd, length as u64));
            assert!(content(&found.body.collect().await.unwrap()) == body);
            let found = life.cache.get_as(&life.blob(&digest), Form::Stored).await.unwrap().unwrap();
            assert_eq!(found.compression, Compression::Identity);
        });
    }
}

#[test]
fn a_blob_in_zstd_is_verified_in_every_digest_function_and_not_stored_twice() {
    live(async |life| {
        let body = compressible(3, 50_000);
        for function in DigestFunction::ALL {
            let digest = Digest::of(function, &body);
            assert!(!life.put_zstd(&digest, &frame(&body)).await.unwrap().known);
            let written = life.store.stats().bytes_written;
            assert!(life.put_zstd(&digest, &frame(&body)).await.unwrap().known);
            let upload = life.cache.put(&life.blob(&digest), Attributes::default(), None).await.unwrap();
            assert!(send(upload, &body).await.unwrap().known);
            assert_eq!(life.store.stats().bytes_written, written);
        }
    });
}

#[test]
fn what_does_not_hold_the_blob_is_refused_and_not_stored() {
    live(async |life| {
        let body = compressible(4, 50_000);
        let digest = Digest::of(SHA256, &body);
        let good = frame(&body);
        let shorter = &body[..40_000];
        let mut damaged = good.clone();
        damaged[good.len() / 2] ^= 1;
        let refused = async |frames: &[u8]| {
            let refusal = life.put_zstd(&digest, frames).await.expect_err("it is not the blob");
            assert!(
                life.cache.present(&life.blob(&digest)).await.unwrap().is_none() && life.get(&digest).await.is_none()
            );
            refusal
        };
        assert!(matches!(refused(&frame(shorter)).await, Error::DigestMismatch { .. }));
        assert!(matches!(refused(&frame(&vec![7; body.len()])).await, Error::DigestMismatch { .. }));
        assert!(matches!(refused(b"").await, Error::DigestMismatch { .. }));
        assert!(matches!(refused(&good[..good.len() - 1]).await, Error::NotZstd(_)));
        assert!(matches!(refused(&[&good[..], b"more"].concat()).await, Error::NotZstd(_)));
        assert!(matches!(refused(&body).await, Error::NotZstd(_)));
        assert!(matches!(refused(&[&good[..], &frame(b"more")].concat()).await, Error::LengthMismatch { .. }));
        assert!(matches!(refused(&damaged).await, Error::NotZstd(_) | Error::DigestMismatch { .. }));
        life.put_zstd(&digest, &good).await.unwrap();
        let again = life.put_zstd(&digest, &frame(shorter)).await;
        assert!(matches!(again, Err(Error::DigestMismatch { .. })), "what is there is verified all the same");
        assert_eq!(life.get(&digest).await.unwrap(), body);
    });
}

#[test]
fn a_bomb_is_refused_at_the_size_that_was_declared() {
    live(async |life| {
        let bomb = frame(&vec![0; 64 * MIB]);
        for size in [1000, 2 * MIB as u64] {
            let digest = Digest::of(SHA256, b"small").with_size(size);
            let refusal = life.put_zstd(&digest, &bomb).await;
            let Err(Error::LengthMismatch { declared, received }) = refusal else { panic!("{refusal:?}") };
            assert_eq!(declared, size);
            assert!(received <= size + (256 << 10), "decoding stopped at once: {received}");
        }
        let absurd = life.blob(&Digest::of(SHA256, b"small").with_size(1 << 50));
        let refusal = life.cache.put_zstd(&absurd, Attributes::default(), None).await.err();
        assert!(matches!(refusal, Some(Error::TooLarge { .. })), "before its first byte");
    });
}

#[test]
fn who_sends_slowly_holds_a_decoder_only_for_a_long_body() {
    live(async |life| {
        let mut slow = Vec::new();
        for (length, until) in [(MIB, 40), (2 * MIB, 32)] {
            for at in 0..until {
                let body = compressible(at, length);
                let key = life.blob(&Digest::of(SHA256, &body));
                let mut upload = life.cache.put_zstd(&key, Attributes::default(), None).await.unwrap();
                upload.write(Bytes::copy_from_slice(&frame(&body)[..1000])).await.unwrap();
                slow.push(upload);
            }
        }
        let body = compressible(99, 2 * MIB);
        let digest = Digest::of(SHA256, &body);
        assert!(matches!(life.put_zstd(&digest, &frame(&body)).await, Err(Error::Busy { .. })));
        slow.pop();
        life.put_zstd(&digest, &frame(&body)).await.unwrap();
    });
}

#[test]
fn frames_that_hold_nothing_do_not_pile_up() {
    live(async |life| {
        let body = compressible(5, 1000);
        let digest = Digest::of(SHA256, &body);
        let refusal = life.put_zstd(&digest, &[frame(&body), skippable(100_000)].concat()).await;
        assert!(matches!(refusal, Err(Error::TooLarge { .. })));
        let refusal = life.put_zstd(&digest, &frame(b"").repeat(10_000)).await;
        assert!(matches!(refusal, Err(Error::TooLarge { .. })));
        life.put_zstd(&digest, &[frame(&body), skippable(60_000)].concat()).await.unwrap();
    });
}

#[test]
fn only_blobs_of_known_size_are_taken_as_zstd() {
    live(async |life| {
        let keyed = ArtifactKey::keyed(&life.scope, Kind::Http, b"key").unwrap();
        let unknown = Digest::from_hex(SHA256, Digest::of(SHA256, b"x").to_string().as_bytes()).unwrap();
        for key in [keyed, life.blob(&unknown)] {
            let refusal = life.cache.put_zstd(&key, Attributes::default(), None).await.err();
            assert!(matches!(refusal, Some(Error::Invalid(_))));
        }
    });
}

#[test]
fn a_tree_that_is_stored_as_zstd_is_read_for_the_action_result_that_names_it() {
    live(async |life| {
        let spelled = |digest: &Digest| {
            let size_bytes = digest.size().unwrap().try_into().unwrap();
            Some(reapi::Digest { hash: digest.to_string(), size_bytes })
        };
        let file = Digest::of(SHA256, b"file");
        let files = vec![reapi::FileNode { digest: spelled(&file), ..Default::default() }];
        let root = reapi::Directory { files, ..Default::default() };
        let tree = reapi::Tree { root: Some(root), children: vec![] }.encode_to_vec();
        let tree = life.add_zstd(&tree, &frame(&tree)).await;
        let result = reapi::ActionResult {
            output_directories: vec![reapi::OutputDirectory { tree_digest: spelled(&tree), ..Default::default() }],
            ..Default::default()
        };
        let result = result.encode_to_vec();
        assert!(!life.cache.is_complete(&life.scope, SHA256, &result).await.unwrap());
        life.add_zstd(b"file", &frame(b"file")).await;
        assert!(life.cache.is_complete(&life.scope, SHA256, &result).await.unwrap());
    });
}

#[test]
fn what_comes_as_it_is_is_compressed_if_the_operator_says_so_and_it_is_worth_it() {
    let noise: Vec<u8> = (0..30_u32).flat_map(|at| *blake3::hash(&at.to_le_bytes()).as_bytes()).collect();
    for compress in [false, true] {
        live_with(Settings { compress, ..Settings::default() }, async |life| {
            for (body, shrinks) in [
                (compressible(7, 50_000), true),
                (compressible(7, MIB), true),
                (compressible(7, MIB + 1), false),
                (noise.clone(), false),
                (b"short".to_vec(), false),
            ] {
                let written = life.store.stats().bytes_written;
                let digest = life.add(&body).await;
                let written = life.store.stats().bytes_written - written;
                let found = life.cache.get_as(&life.blob(&digest), Form::Stored).await.unwrap().unwrap();
                assert_eq!(found.compression == Compression::Zstd, shrinks && compress);
                assert_eq!(written < body.len() as u64, shrinks && compress);
                assert!(life.get(&digest).await.unwrap() == body);
            }
            let digest = Digest::of(SHA256, &[1; 1000]);
            let upload = life.cache.put(&life.blob(&digest), Attributes::default(), Some(1000)).await.unwrap();
            assert!(matches!(send(upload, &[2; 1000]).await, Err(Error::DigestMismatch { .. })));
            let upload = life.cache.put(&life.blob(&digest), Attributes::default(), Some(1000)).await.unwrap();
            assert!(matches!(send(upload, &[1; 999]).await, Err(Error::LengthMismatch { .. })));
            assert!(life.cache.present(&life.blob(&digest)).await.unwrap().is_none());
        });
    }
}

#[test]
fn slow_readers_make_others_wait_for_a_decoder_only_where_bodies_are_long() {
    live(async |life| {
        let body = compressible(6, 2 * MIB);
        let long = life.add_zstd(&body, &frame(&body)).await;
        let short = life.add_zstd(b"short", &frame(b"short")).await;
        let mut slow = Vec::new();
        loop {
            let found = life.cache.get(&life.blob(&long)).await.unwrap().unwrap();
            let Body::Pieces(mut pieces) = found.body else { panic!("it is too long to come whole") };
            match pieces.next().await {
                Ok(piece) => assert!(piece.unwrap().len() <= 256 << 10),
                Err(Error::Busy { .. }) => break,
                Err(error) => panic!("{error}"),
            }
            slow.push(pieces);
        }
        assert_eq!(slow.len(), 32);
        assert!(matches!(life.cache.get(&life.blob(&short)).await, Err(Error::Busy { .. })));
        slow.pop();
        assert_eq!(life.get(&short).await.unwrap(), &b"short"[..]);
        assert!(life.get(&long).await.unwrap() == body);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_range_of_a_blob_is_what_it_should_be_however_it_is_stored(
        length in prop_oneof![0..3000_usize, 0..3 * MIB],
        as_zstd in any::<bool>(),
        ranges in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..4),
    ) {
        live(async |life| {
            let body = compressible(length as u64, length);
            let digest = if as_zstd { life.add_zstd(&body, &frame(&body)).await } else { life.add(&body).await };
            for (from, count) in ranges {
                let (from, count) = (from.index(length + 2), count.index(length + 2));
                let expected = body.get(from..).unwrap_or_default();
                let found = life.cache.get(&life.blob(&digest)).await.unwrap().unwrap();
                let part = found.body.select(from as u64..(from + count) as u64).collect().await.unwrap();
                prop_assert!(part == expected[..count.min(expected.len())]);
                let found = life.get_as(&digest, Form::Zstd { from: from as u64 }).await.unwrap();
                if from > 0 || !as_zstd {
                    prop_assert!(content(&found) == expected);
                }
            }
            Ok(())
        })?;
    }
}
