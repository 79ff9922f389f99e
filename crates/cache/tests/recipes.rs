//! Blobs that are made of others: verified before they exist, read back as one, there only while all of their parts are.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::time::Duration;

use bazel_remote_apis::build::bazel::remote::execution::v2 as reapi;
use kura_cache::{Attributes, Body, Compression, Digest, DigestFunction, Error, Form};
use proptest::prelude::*;
use prost::Message;
use support::{BUDGET, Life, Machine, SHA256, compressible, content, frame, live, send};

/// Some parts, every third of them stored as zstd, and the whole.
async fn parts(life: &Life, lengths: &[usize]) -> (Vec<Digest>, Vec<u8>, Digest) {
    let (mut parts, mut whole) = (Vec::new(), Vec::new());
    for (at, length) in lengths.iter().enumerate() {
        let part = compressible(at as u64, *length);
        let digest = if at % 3 == 0 { life.add_zstd(&part, &frame(&part)).await } else { life.add(&part).await };
        parts.push(digest);
        whole.extend(part);
    }
    let digest = Digest::of(SHA256, &whole);
    (parts, whole, digest)
}

#[test]
fn a_spliced_blob_is_read_back_through_every_door() {
    for lengths in [&[1000, 1, 0, 70_000, 2000][..], &[1 << 20, 600_000, 700_000, 1_500_000, 9]] {
        live(async |life| {
            let (parts, whole, digest) = parts(&life, lengths).await;
            assert!(!life.has(&digest).await);
            let written = life.store.stats().bytes_written;
            assert!(!life.splice(&digest, &parts).await.unwrap().known);
            assert!(life.store.stats().bytes_written - written <= 8 + 40 * 5, "the parts share their bytes");
            assert!(life.has(&digest).await && !life.has(&digest.with_size(7)).await);
            for form in [Form::Identity, Form::Stored] {
                let found = life.cache.get_as(&life.blob(&digest), form).await.unwrap().unwrap();
                assert_eq!((found.length, found.compression), (whole.len() as u64, Compression::Identity));
                assert!(found.body.collect().await.unwrap() == whole);
            }
            let found = life.get_as(&digest, Form::Zstd { from: 0 }).await.unwrap();
            assert!(content(&found) == whole);
            let there: Vec<_> = parts.iter().filter(|part| part.size() != Some(0)).copied().collect();
            assert_eq!(life.cache.chunks_of(&life.scope, &digest).await.unwrap(), Some(there));
            assert_eq!(life.cache.chunks_of(&life.scope, &parts[0]).await.unwrap(), None);
            assert!(life.splice(&digest, &parts[1..]).await.unwrap().known, "what is there is not asked again");
            let upload = life.cache.put(&life.blob(&digest), Attributes::default(), None).await.unwrap();
            assert!(upload.known().is_some());
        });
    }
}

#[test]
fn what_is_not_the_blob_does_not_become_it() {
    live(async |life| {
        let (parts, _, digest) = parts(&life, &[1000, 2000, 3000]).await;
        let [one, two, three] = parts[..] else { panic!("three parts") };
        let size = digest.size().unwrap();
        let refused = async |blob: &Digest, chunks: &[Digest]| {
            let refusal = life.splice(blob, chunks).await.expect_err("it is not the blob");
            assert!(!life.has(blob).await && life.get(blob).await.is_none());
            refusal
        };
        assert!(matches!(refused(&digest, &[two, one, three]).await, Error::DigestMismatch { .. }));
        assert!(matches!(refused(&digest, &[one, two]).await, Error::LengthMismatch { received: 3000, .. }));
        assert!(matches!(refused(&digest, &[]).await, Error::LengthMismatch { received: 0, .. }));
        assert!(matches!(refused(&digest.with_size(6001), &parts).await, Error::LengthMismatch { .. }));
        let elsewhere = Digest::of(SHA256, b"elsewhere").with_size(3000);
        let Error::Absent(absent) = refused(&digest, &[one, two, elsewhere]).await else { panic!("it is not there") };
        assert_eq!(*absent, elsewhere);
        assert!(matches!(refused(&digest, &[digest]).await, Error::Absent(_)), "not of itself");
        let nothing = Digest::of(SHA256, b"elsewhere").with_size(0);
        assert!(matches!(refused(&digest, &[one, two, three, nothing]).await, Error::Absent(_)));
        let unknown = Digest::from_hex(SHA256, one.to_string().as_bytes()).unwrap();
        assert!(matches!(refused(&digest, &[unknown, two, three]).await, Error::Invalid(_)));
        let other = Digest::of(DigestFunction::Sha1, b"other").with_size(3000);
        assert!(matches!(refused(&digest, &[one, two, other]).await, Error::Invalid(_)));
        assert!(matches!(refused(&digest, &vec![one; 65_537]).await, Error::Invalid(_)));
        assert!(matches!(refused(&digest.with_size(1 << 40), &parts).await, Error::TooLarge { .. }));
        let huge = one.with_size(u64::MAX);
        assert!(matches!(refused(&digest, &[huge, huge]).await, Error::LengthMismatch { .. }));
        let empty = Digest::of(SHA256, b"");
        life.splice(&digest.with_size(size), &[empty, one, two, empty, three]).await.unwrap();
        assert!(life.splice(&empty, &[]).await.unwrap().known);
    });
}

#[test]
fn a_part_that_is_gone_takes_the_blob_with_it() {
    live(async |life| {
        let (parts, whole, digest) = parts(&life, &[1000, 2000, 3000]).await;
        life.splice(&digest, &parts).await.unwrap();
        let bytes = whole[1000..3000].to_vec();
        for _ in 0..2 {
            life.delete(&parts[1]).await;
            assert!(!life.has(&digest).await && life.get(&digest).await.is_none());
            assert_eq!(life.cache.chunks_of(&life.scope, &digest).await.unwrap(), None);
            life.add(&bytes).await;
            assert!(life.get(&digest).await.unwrap() == whole);
        }
        life.delete(&parts[1]).await;
        let upload = life.cache.put(&life.blob(&digest), Attributes::default(), None).await.unwrap();
        assert!(!send(upload, &whole).await.unwrap().known, "it can be had in one piece now");
        assert!(life.get(&digest).await.unwrap() == whole);
    });
}

#[test]
fn a_part_that_goes_while_it_is_waited_for_breaks_the_answer_off() {
    live(async |life| {
        let (parts, whole, digest) = parts(&life, &[900_000, 800_000, 700_000]).await;
        life.splice(&digest, &parts).await.unwrap();
        let found = life.cache.get(&life.blob(&digest)).await.unwrap().unwrap();
        let Body::Pieces(mut pieces) = found.body else { panic!("it is too long to come whole") };
        let mut came = pieces.next().await.unwrap().unwrap().to_vec();
        life.delete(&parts[2]).await;
        let broken_off = loop {
            match pieces.next().await {
                Ok(piece) => came.extend(piece.expect("it does not end like a whole one")),
                Err(error) => break error,
            }
        };
        assert!(matches!(broken_off, Error::Evicted));
        assert!(came == whole[..1_700_000]);
    });
}

#[test]
fn what_a_blob_is_made_of_is_read_once() {
    live(async |life| {
        let (parts, _, digest) = parts(&life, &[1000, 2000, 3000]).await;
        life.splice(&digest, &parts).await.unwrap();
        assert!(life.has(&digest).await);
        life.fail_reads();
        assert!(life.has(&digest).await, "from memory");
        life.delete(&parts[0]).await;
        assert!(!life.has(&digest).await);
    });
}

#[test]
fn other_parts_of_the_same_blob_take_the_place_of_those_that_are_gone() {
    live(async |life| {
        let (parts, whole, digest) = parts(&life, &[1000, 2000, 3000]).await;
        life.splice(&digest, &parts).await.unwrap();
        life.delete(&parts[0]).await;
        assert!(!life.has(&digest).await);
        let halves = [life.add(&whole[..3000]).await, life.add(&whole[3000..]).await];
        life.splice(&digest, &halves).await.unwrap();
        assert!(life.has(&digest).await, "what was remembered is not asked for");
        assert!(life.get(&digest).await.unwrap() == whole);
    });
}

#[test]
fn an_action_result_is_complete_only_with_the_parts_of_what_it_names() {
    live(async |life| {
        let (parts, _, digest) = parts(&life, &[1000, 2000, 3000]).await;
        life.splice(&digest, &parts).await.unwrap();
        let spelled = reapi::Digest { hash: digest.to_string(), size_bytes: 6000 };
        let file = reapi::OutputFile { digest: Some(spelled), ..Default::default() };
        let result = reapi::ActionResult { output_files: vec![file], ..Default::default() }.encode_to_vec();
        assert!(life.cache.is_complete(&life.scope, SHA256, &result).await.unwrap());
        life.delete(&parts[2]).await;
        assert!(!life.cache.is_complete(&life.scope, SHA256, &result).await.unwrap());
    });
}

#[test]
fn parts_may_be_made_of_parts_themselves() {
    live(async |life| {
        let (parts, whole, digest) = parts(&life, &[1000, 2000, 3000, 400_000]).await;
        let outer = Digest::of(SHA256, &[&whole[..], &whole, &whole[..1000]].concat());
        life.splice(&digest, &parts).await.unwrap();
        life.splice(&outer, &[digest, digest, parts[0]]).await.unwrap();
        assert_eq!(life.cache.chunks_of(&life.scope, &outer).await.unwrap(), Some(vec![digest, digest, parts[0]]));
        let read = life.get(&outer).await.unwrap();
        assert!(read == [&whole[..], &whole, &whole[..1000]].concat());
        life.delete(&parts[3]).await;
        assert!(!life.has(&outer).await && life.get(&outer).await.is_none());
    });
}

#[test]
fn parts_of_parts_of_parts_are_counted_and_bounded() {
    live(async |life| {
        let mut part = life.add(b"x").await;
        for doubled in 1..=20_u32 {
            let twice = Digest::of(SHA256, &vec![b'x'; 1 << doubled]);
            match life.splice(&twice, &[part, part]).await {
                Ok(_) => part = twice,
                Err(Error::Absent(_)) => {
                    assert!((14..=17).contains(&doubled), "{doubled}");
                    return;
                }
                Err(error) => panic!("{error}"),
            }
        }
        panic!("a million parts were looked at");
    });
}

#[test]
fn to_vouch_for_a_blob_is_to_vouch_for_its_parts() {
    const LEASE: Duration = Duration::from_secs(3 * 3600);
    live(async |life| {
        let (kept, whole, digest) = parts(&life, &[5000, 20_000, 100_000]).await;
        life.splice(&digest, &kept).await.unwrap();
        let forgotten = [life.add(&compressible(77, 5000)).await, life.add(&compressible(78, 5000)).await];
        let other = Digest::of(SHA256, &[compressible(77, 5000), compressible(78, 5000)].concat());
        life.splice(&other, &forgotten).await.unwrap();
        life.wait(2 * LEASE).await;
        assert!(life.has(&digest).await);
        life.fill(2 * BUDGET).await;
        assert!(life.get(&digest).await.unwrap() == whole);
        assert!(!life.has(&other).await, "nobody asked for that one");
    });
}

#[test]
fn a_recipe_outlives_its_server() {
    let mut machine = Machine::new();
    let (digest, whole) = machine.live(async |life| {
        let (parts, whole, digest) = parts(&life, &[5000, 20_000, 100_000]).await;
        life.splice(&digest, &parts).await.unwrap();
        (digest, whole)
    });
    machine.live(async |life| {
        assert!(life.has(&digest).await && life.get(&digest).await.unwrap() == whole);
        // Its segment is sealed, and read from its footer then.
        life.fill(1 << 20).await;
    });
    machine.live(async |life| {
        assert!(life.has(&digest).await && life.get(&digest).await.unwrap() == whole);
        assert_eq!(life.cache.chunks_of(&life.scope, &digest).await.unwrap().map(|parts| parts.len()), Some(3));
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_range_of_a_spliced_blob_is_what_it_should_be(
        lengths in prop::collection::vec(prop_oneof![0..3000_usize, 0..700_000_usize], 2..6),
        ranges in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..4),
    ) {
        live(async |life| {
            let (parts, whole, digest) = parts(&life, &lengths).await;
            life.splice(&digest, &parts).await.unwrap();
            for (from, count) in ranges {
                let (from, count) = (from.index(whole.len() + 2), count.index(whole.len() + 2));
                let expected = whole.get(from..).unwrap_or_default();
                let found = life.cache.get(&life.blob(&digest)).await.unwrap().unwrap();
                let part = found.body.select(from as u64..(from + count) as u64).collect().await.unwrap();
                prop_assert!(part == expected[..count.min(expected.len())]);
                let found = life.get_as(&digest, Form::Zstd { from: from as u64 }).await.unwrap();
                prop_assert!(content(&found) == expected);
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_blob_is_there_exactly_while_its_parts_are(
        changes in prop::collection::vec((0..4_usize, any::<bool>()), 1..30),
    ) {
        live(async |life| {
            let lengths = [10, 3000, 70_000, 500];
            let (parts, whole, digest) = parts(&life, &lengths).await;
            life.splice(&digest, &parts).await.unwrap();
            let mut there = [true; 4];
            for (at, add) in changes {
                match (add, there[at]) {
                    (true, _) => drop(life.add(&compressible(at as u64, lengths[at])).await),
                    (false, true) => life.delete(&parts[at]).await,
                    (false, false) => {}
                }
                there[at] = add;
                let all = there == [true; 4];
                prop_assert_eq!(life.has(&digest).await, all);
                prop_assert_eq!(life.get(&digest).await.is_some_and(|found| found == whole), all);
            }
            Ok(())
        })?;
    }
}
