//! Artifacts that come in parts: in any order, each again if need be, over restarts; there as a whole or not at all.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join;
use kura_cache::{
    ArtifactKey, Attributes, Digest, Error, Kind, Multipart, Namespace, Part, PartLimits, PartNumber, Scope, Tenant,
    UploadId, Version, limits,
};
use kura_disk::sim::Crash;
use support::{BUDGET, Life, MIB, Machine, SHA256, live, noise, send};

const LIMITS: PartLimits = PartLimits { part: 2 << 20, whole: 8 << 20 };

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn number(number: u64) -> PartNumber {
    PartNumber::new(number).unwrap()
}

fn module(life: &Life) -> ArtifactKey {
    ArtifactKey::keyed(&life.scope, Kind::Module, b"builds/hash/name").unwrap()
}

async fn start(life: &Life) -> Multipart {
    life.cache.start_multipart(&module(life), Attributes::default()).await.unwrap()
}

async fn find(life: &Life, id: &UploadId) -> Option<Multipart> {
    life.cache.multipart(&life.scope, id).await.unwrap()
}

async fn put(multipart: &Multipart, at: u64, body: &[u8]) -> Result<Version, Error> {
    let mut part = multipart.put_part(number(at), Some(body.len() as u64), LIMITS).await?;
    for piece in body.chunks(100_000) {
        part.write(Bytes::copy_from_slice(piece)).await?;
    }
    part.commit().await
}

async fn complete(multipart: &Multipart) -> Result<bool, Error> {
    let parts = multipart.parts().await?;
    multipart.complete(parts, None, LIMITS).await.map(|stored| stored.known)
}

async fn read(life: &Life) -> Option<Vec<u8>> {
    let found = life.cache.get(&module(life)).await.unwrap()?;
    let length = found.length;
    let body = found.body.collect().await.unwrap();
    assert_eq!(body.len() as u64, length);
    assert_eq!(life.cache.present(&module(life)).await.unwrap().unwrap().length, length);
    Some(body.to_vec())
}

#[test]
fn parts_come_in_any_order_and_again_and_are_read_back_as_one() {
    let lengths = [1_200_000, 5, 700_000, 0, 900_000];
    live(async |life| {
        let upload = start(&life).await;
        for at in [4, 1, 0, 3, 2] {
            put(&upload, at * 3 + 2, &noise(99, 10_000)).await.unwrap();
            put(&upload, at * 3 + 2, &noise(at, lengths[usize::try_from(at).unwrap()])).await.unwrap();
        }
        assert_eq!(read(&life).await, None, "nothing is there before it is complete");
        let whole: Vec<u8> = (0..5).flat_map(|at| noise(at, lengths[at as usize])).collect();
        let written = life.store.stats().bytes_written;
        let digest = Digest::of(SHA256, &whole);
        let parts = upload.parts().await.unwrap();
        assert!(!upload.complete(parts, Some(&digest), LIMITS).await.unwrap().known);
        assert!(life.store.stats().bytes_written - written < 1000, "the parts keep their bytes");
        assert!(read(&life).await.unwrap() == whole);
        for range in [0..1, 1_199_990..1_200_010, 1_200_005..1_900_005, 2_800_004..9_000_000, 1_200_000..1_200_000] {
            let found = life.cache.get(&module(&life)).await.unwrap().unwrap();
            let part = found.body.select(range.start as u64..range.end as u64).collect().await.unwrap();
            assert!(part == whole[range.start..range.end.min(whole.len())], "{range:?}");
        }
    });
}

#[test]
fn an_upload_is_complete_once_and_takes_no_part_then() {
    live(async |life| {
        let upload = start(&life).await;
        put(&upload, 1, b"one").await.unwrap();
        let mut late = upload.put_part(number(1), None, LIMITS).await.unwrap();
        late.write(Bytes::from_static(b"two")).await.unwrap();
        let (first, second) = join(complete(&upload), complete(&upload)).await;
        assert!(first.unwrap() != second.unwrap(), "one of them stored it");
        assert!(matches!(late.commit().await, Err(Error::UnknownUpload)));
        let again = find(&life, upload.id()).await.unwrap();
        assert!(again.completed().is_some() && complete(&again).await.unwrap());
        assert!(matches!(put(&again, 2, b"more").await, Err(Error::UnknownUpload)));
        assert!(matches!(upload.abandon().await, Err(Error::UnknownUpload)));
        assert_eq!(read(&life).await.unwrap(), b"one");
        assert!(life.cache.delete(&module(&life)).await.unwrap());
        assert!(matches!(complete(&again).await, Err(Error::UnknownUpload)));
        assert_eq!(read(&life).await, None, "what was deleted does not come back");
    });
}

#[test]
fn to_complete_again_is_to_name_the_same() {
    live(async |life| {
        let upload = start(&life).await;
        put(&upload, 1, b"one").await.unwrap();
        put(&upload, 2, b"two").await.unwrap();
        let all = upload.parts().await.unwrap();
        let first = &all[..1];
        for known_digest in [false, true] {
            let (right, wrong) = (Digest::of(SHA256, b"one"), Digest::of(SHA256, b"two"));
            let upload = if known_digest { start(&life).await } else { upload.clone() };
            put(&upload, 1, b"one").await.unwrap();
            put(&upload, 2, b"two").await.unwrap();
            let all = upload.parts().await.unwrap();
            upload.complete(all[..1].to_vec(), Some(&right).filter(|_| known_digest), LIMITS).await.unwrap();
            for upload in [find(&life, upload.id()).await.unwrap(), upload] {
                assert_eq!(upload.made_of().await.unwrap().unwrap(), all[..1]);
                for expected in [None, Some(&right)] {
                    assert!(upload.complete(all[..1].to_vec(), expected, LIMITS).await.unwrap().known);
                }
                let others = upload.complete(all.clone(), None, LIMITS).await;
                assert!(matches!(others, Err(Error::OtherParts)));
                let another = upload.complete(all[..1].to_vec(), Some(&wrong), LIMITS).await;
                assert!(matches!(another, Err(Error::DigestMismatch { .. })));
            }
        }
        // The second has taken the place of what the first made.
        assert_eq!(upload.made_of().await.unwrap(), None);
        assert!(matches!(upload.complete(first.to_vec(), None, LIMITS).await, Err(Error::UnknownUpload)));
    });
}

#[test]
fn an_upload_is_completed_with_the_parts_that_are_there() {
    live(async |life| {
        let upload = start(&life).await;
        assert!(matches!(complete(&upload).await, Err(Error::OtherParts)), "there are none");
        put(&upload, 1, b"one").await.unwrap();
        put(&upload, 2, b"two").await.unwrap();
        let parts = upload.parts().await.unwrap();
        let refused = async |parts: Vec<Part>| {
            assert!(matches!(upload.complete(parts, None, LIMITS).await, Err(Error::OtherParts)));
            assert_eq!(read(&life).await, None);
        };
        refused(vec![parts[1], parts[0]]).await;
        refused(vec![parts[0], parts[0]]).await;
        refused(vec![parts[0], Part { number: number(3), ..parts[1] }]).await;
        refused(vec![Part { size: 4, ..parts[0] }]).await;
        let digest = Digest::of(SHA256, b"onetwo!");
        let mismatch = upload.complete(parts.clone(), Some(&digest), LIMITS).await;
        assert!(matches!(mismatch, Err(Error::DigestMismatch { .. })));
        put(&upload, 2, b"TWO").await.unwrap();
        refused(parts.clone()).await;
        let one = upload.parts().await.unwrap()[..1].to_vec();
        upload.complete(one, None, LIMITS).await.unwrap();
        assert_eq!(read(&life).await.unwrap(), b"one");
    });
}

#[test]
fn what_is_too_large_or_too_old_is_refused() {
    live(async |life| {
        let upload = start(&life).await;
        let longer = LIMITS.part + 1;
        assert!(matches!(upload.put_part(number(1), Some(longer), LIMITS).await, Err(Error::TooLarge { .. })));
        let mut unknown = upload.put_part(number(1), None, LIMITS).await.unwrap();
        let wrote = unknown.write(Bytes::from(vec![0; usize::try_from(longer).unwrap()])).await;
        assert!(matches!(wrote, Err(Error::TooLarge { .. })));
        assert!(unknown.commit().await.is_err());
        for at in 1..=4 {
            put(&upload, at, &noise(at, 2 * MIB)).await.unwrap();
        }
        assert!(matches!(put(&upload, 5, b"x").await, Err(Error::WholeTooLarge { .. })));
        let mut unknown = upload.put_part(number(5), None, LIMITS).await.unwrap();
        unknown.write(Bytes::from_static(b"x")).await.unwrap();
        assert!(matches!(unknown.commit().await, Err(Error::WholeTooLarge { .. })), "where no length is declared");
        put(&upload, 4, &noise(9, MIB)).await.unwrap();
        put(&upload, 5, &noise(5, MIB)).await.unwrap();
        let tight = PartLimits { whole: LIMITS.whole - 1, ..LIMITS };
        let refused = upload.complete(upload.parts().await.unwrap(), None, tight).await;
        assert!(matches!(refused, Err(Error::WholeTooLarge { .. })));
        assert_eq!((PartNumber::new(0), PartNumber::new(10_001)), (None, None));
        let blob = life.blob(&Digest::of(SHA256, b"blob"));
        assert!(life.cache.start_multipart(&blob, Attributes::default()).await.is_err());
        life.wait(DAY + Duration::from_secs(60)).await;
        assert!(find(&life, upload.id()).await.is_none());
        assert!(matches!(put(&upload, 1, b"x").await, Err(Error::UnknownUpload)));
    });
}

#[test]
fn as_many_uploads_as_may_be_are_under_way() {
    live(async |life| {
        for _ in 0..limits::MAX_UPLOADS {
            start(&life).await;
        }
        let refused = life.cache.start_multipart(&module(&life), Attributes::default()).await;
        assert!(matches!(refused, Err(Error::Busy { .. })));
        life.wait(Duration::from_secs(600)).await;
        start(&life).await;
    });
}

#[test]
fn an_upload_is_nobody_elses() {
    live(async |life| {
        let upload = start(&life).await;
        let tenant = Scope { tenant: Tenant::parse("other").unwrap(), ..Scope::default() };
        let namespace = Scope { namespace: Namespace::parse("other").unwrap(), ..Scope::default() };
        for scope in [tenant, namespace] {
            assert!(life.cache.multipart(&scope, upload.id()).await.unwrap().is_none());
        }
        assert_eq!(UploadId::parse(&upload.id().to_string()), Some(*upload.id()));
        for bad in ["", "00", &upload.id().to_string().replace(|_| true, "A"), &format!("{}0", upload.id())] {
            assert_eq!(UploadId::parse(bad), None);
        }
    });
}

#[test]
fn what_is_cleaned_or_abandoned_leaves_no_part() {
    live(async |life| {
        let (cleaned, abandoned) = (start(&life).await, start(&life).await);
        put(&abandoned, 1, b"one").await.unwrap();
        abandoned.abandon().await.unwrap();
        assert!(find(&life, abandoned.id()).await.is_none() && abandoned.parts().await.unwrap().is_empty());
        put(&cleaned, 1, b"one").await.unwrap();
        let mut late = cleaned.put_part(number(2), None, LIMITS).await.unwrap();
        late.write(Bytes::from_static(b"two")).await.unwrap();
        life.cache.clean(&life.scope).await.unwrap();
        assert!(matches!(late.commit().await, Err(Error::UnknownUpload)));
        assert!(matches!(complete(&cleaned).await, Err(Error::OtherParts | Error::UnknownUpload)));
        assert!(find(&life, cleaned.id()).await.is_none() && cleaned.parts().await.unwrap().is_empty());
    });
}

#[test]
fn what_is_cleaned_while_it_is_completed_is_not_called_complete() {
    let mut cleaned_between = 0;
    for late in 0..100 {
        live(async |life| {
            let upload = start(&life).await;
            put(&upload, 1, b"one").await.unwrap();
            let clean = async {
                for _ in 0..late {
                    life.runtime.yield_now().await;
                }
                life.cache.clean(&life.scope).await.unwrap();
            };
            let (completed, ()) = join(complete(&upload), clean).await;
            let found = find(&life, upload.id()).await;
            assert!(read(&life).await.is_none() || found.is_some(), "{late}");
            if let Some(found) = found.filter(|found| found.completed().is_some()) {
                assert!(found.made_of().await.unwrap().is_some(), "{late}: it says that it is complete");
            }
            cleaned_between += u32::from(matches!(completed, Err(Error::UnknownUpload)));
        });
    }
    assert!(cleaned_between > 0);
}

#[test]
fn parts_go_with_the_artifact_that_is_deleted_or_replaced() {
    live(async |life| {
        for how in 0..3 {
            let upload = start(&life).await;
            put(&upload, 1, &noise(1, MIB)).await.unwrap();
            put(&upload, 7, &noise(2, MIB)).await.unwrap();
            complete(&upload).await.unwrap();
            assert!(read(&life).await.is_some());
            match how {
                0 => assert!(life.cache.delete(&module(&life)).await.unwrap()),
                1 => {
                    let put = life.cache.put(&module(&life), Attributes::default(), None).await.unwrap();
                    send(put, b"in one piece").await.unwrap();
                    assert_eq!(read(&life).await.unwrap(), b"in one piece");
                }
                _ => {
                    let other = start(&life).await;
                    put(&other, 1, b"another").await.unwrap();
                    complete(&other).await.unwrap();
                    assert_eq!(read(&life).await.unwrap(), b"another");
                }
            }
            assert!(upload.parts().await.unwrap().is_empty());
        }
    });
}

#[test]
fn a_part_that_is_gone_takes_the_artifact_with_it() {
    live(async |life| {
        let upload = start(&life).await;
        put(&upload, 1, &noise(1, 50_000)).await.unwrap();
        complete(&upload).await.unwrap();
        life.wait(DAY).await;
        let other = start(&life).await;
        put(&other, 1, b"x").await.unwrap();
        assert!(read(&life).await.is_some(), "and only once");
        life.wait(DAY).await;
        life.fill(2 * BUDGET).await;
        assert_eq!(life.cache.present(&module(&life)).await.unwrap(), None);
        assert_eq!(read(&life).await, None);
    });
}

#[test]
fn parts_are_kept_while_others_come_and_with_what_is_read() {
    live(async |life| {
        let (upload, hour) = (start(&life).await, Duration::from_secs(3600));
        put(&upload, 1, &noise(1, 100_000)).await.unwrap();
        for at in 2..8 {
            life.wait(2 * hour).await;
            put(&upload, at, &noise(at, 1000)).await.unwrap();
            life.fill(BUDGET).await;
        }
        complete(&upload).await.unwrap();
        for _ in 0..4 {
            life.wait(2 * hour).await;
            assert!(life.cache.present(&module(&life)).await.unwrap().is_some());
            life.fill(BUDGET).await;
        }
        assert!(read(&life).await.is_some());
    });
}

/// Starts, puts three parts, one of them twice, and completes; says what it was told.
async fn scenario(life: &Life, told: &mut Vec<(u64, u64)>, id: &mut Option<UploadId>, done: &mut bool) {
    let upload = start(life).await;
    *id = Some(*upload.id());
    for (at, seed) in [(2, 20), (1, 10), (2, 21), (3, 30)] {
        put(&upload, at, &noise(seed, 80_000)).await.unwrap();
        told.push((at, seed));
    }
    complete(&upload).await.unwrap();
    *done = true;
}

#[test]
fn a_crash_anywhere_loses_nothing_and_completing_again_makes_it_whole() {
    let whole = [noise(10, 80_000), noise(21, 80_000), noise(30, 80_000)].concat();
    let (mut after, mut finished, mut made_before) = (1, false, 0);
    while !finished {
        for crash in [Crash::Process, Crash::Power] {
            let mut machine = Machine::new();
            machine.live(async |_| ());
            let (mut told, mut id, mut done) = (Vec::new(), None, false);
            finished = machine
                .live_for(after, crash, async |life| scenario(&life, &mut told, &mut id, &mut done).await)
                .is_some();
            let Some(id) = id else { continue };
            machine.live(async |life| {
                let upload = find(&life, &id).await.unwrap_or_else(|| panic!("{after}: the upload is lost"));
                let there: Vec<_> = upload.parts().await.unwrap().iter().map(|part| part.number).collect();
                for (at, _) in &told {
                    assert!(there.contains(&number(*at)), "{after}: part {at} is lost");
                }
                let before = read(&life).await;
                assert!(before.is_some() || !done, "{after}: what was complete is lost");
                assert!(before.is_none_or(|before| before == whole), "{after}");
                if life.cache.present(&module(&life)).await.unwrap().is_some() {
                    made_before += u32::from(upload.completed().is_none());
                    let late = put(&upload, 1, b"late").await;
                    assert!(matches!(late, Err(Error::UnknownUpload)), "{after}: a part of what is complete was taken");
                } else {
                    for (at, seed) in [(1, 10), (2, 21), (3, 30)] {
                        put(&upload, at, &noise(seed, 80_000)).await.unwrap();
                    }
                }
                complete(&upload).await.unwrap();
                assert!(read(&life).await.unwrap() == whole, "{after}");
                let late = find(&life, &id).await.unwrap();
                assert!(matches!(put(&late, 1, b"late").await, Err(Error::UnknownUpload)));
                assert!(read(&life).await.unwrap() == whole, "{after}");
            });
        }
        after += 1;
    }
    assert!(made_before > 0, "no crash came between the artifact and the end of its upload");
}
