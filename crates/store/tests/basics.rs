//! The store on a real filesystem: what anybody would try first.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use kura_disk::TokioRuntime;
use kura_disk::real::RealDisk;
use kura_store::geometry::Geometry;
use kura_store::key::{Attributes, NamespaceId, RecordKey};
use kura_store::types::{Encoding, Kind};
use kura_store::{Commit, Durability, Error, Progress, PutRequest, Settings, Store};
use tempfile::TempDir;

const BUDGET: u64 = 4 << 20;

fn settings() -> Settings {
    Settings::new(Geometry::simulation(BUDGET))
}

async fn open(directory: &Path, settings: Settings) -> Result<Store, Error> {
    let disk = Arc::new(RealDisk::new(directory));
    Store::open(disk, Arc::new(TokioRuntime::current()), settings, Arc::new(Progress::default())).await
}

fn key(name: &str) -> RecordKey {
    RecordKey::new(Kind(1), "tenant", "namespace", name.as_bytes()).unwrap()
}

fn body(length: usize, seed: u8) -> Bytes {
    (0..length).map(|at| (at as u8).wrapping_mul(31) ^ (at >> 8) as u8 ^ seed).collect()
}

fn request(name: &str, length: Option<u64>) -> PutRequest {
    PutRequest { key: key(name), attributes: Attributes::default(), encoding: Encoding::Identity, length }
}

async fn put(store: &Store, name: &str, body: &Bytes, known: bool) -> Result<(), Error> {
    let mut upload = store.put(request(name, known.then_some(body.len() as u64))).await?;
    for piece in body.chunks(1000) {
        upload.write(body.slice_ref(piece)).await?;
    }
    upload.commit(Commit::default()).await.map(drop)
}

async fn get(store: &Store, name: &str) -> Option<Bytes> {
    let mut artifact = store.get(&key(name)).await.unwrap()?;
    let mut all = Vec::new();
    while let Some(piece) = artifact.body.next().await.unwrap() {
        all.extend_from_slice(&piece);
    }
    Some(all.into())
}

/// The directory about as a killed process leaves it. What the keeper renames meanwhile is an empty spare, and may be missing.
fn copy(directory: &Path) -> TempDir {
    let target = tempfile::tempdir().unwrap();
    std::fs::create_dir(target.path().join("segments")).unwrap();
    for part in ["", "segments"] {
        for entry in std::fs::read_dir(directory.join(part)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                match std::fs::copy(entry.path(), target.path().join(part).join(entry.file_name())) {
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    copied => assert!(copied.is_ok(), "{copied:?}"),
                }
            }
        }
    }
    target
}

fn du(directory: &Path) -> u64 {
    let of = |path: PathBuf| {
        let metadata = path.metadata().unwrap();
        metadata.blocks() * 512 + if metadata.is_dir() { du(&path) } else { 0 }
    };
    std::fs::read_dir(directory).unwrap().map(|entry| of(entry.unwrap().path())).sum()
}

const SIZES: [usize; 9] = [0, 1, 100, 2048, 5000, 12_288, 16_384, 70_000, 300_000];

#[tokio::test(flavor = "multi_thread")]
async fn what_was_put_is_got_before_and_after_a_restart_whatever_its_size() {
    let directory = tempfile::tempdir().unwrap();
    for (known, clean) in [(true, true), (true, false), (false, true), (false, false)] {
        let store = open(directory.path(), settings()).await.unwrap();
        for size in SIZES {
            let name = format!("{size} {known} {clean}");
            put(&store, &name, &body(size, 7), known).await.unwrap();
            assert_eq!(get(&store, &name).await, Some(body(size, 7)), "{name}");
        }
        let killed = (!clean).then(|| copy(directory.path()));
        store.shutdown().await.unwrap();
        drop(store);
        let left = killed.as_ref().map_or(directory.path(), TempDir::path);
        let again = open(left, settings()).await.unwrap();
        for size in SIZES {
            let name = format!("{size} {known} {clean}");
            assert_eq!(get(&again, &name).await, Some(body(size, 7)), "{name}");
        }
        again.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_put_wins_and_a_delete_or_a_clean_ends_it_also_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), settings()).await.unwrap();
    for size in [100, 40_000, 10] {
        put(&store, "overwritten", &body(size, 1), true).await.unwrap();
        assert_eq!(get(&store, "overwritten").await, Some(body(size, 1)));
    }
    put(&store, "deleted", &body(500, 2), true).await.unwrap();
    assert!(store.delete(&key("deleted")).await.unwrap());
    assert!(!store.delete(&key("deleted")).await.unwrap());
    assert_eq!(get(&store, "deleted").await, None);
    store.shutdown().await.unwrap();
    drop(store);

    let store = open(directory.path(), settings()).await.unwrap();
    assert_eq!(get(&store, "overwritten").await, Some(body(10, 1)));
    assert_eq!(get(&store, "deleted").await, None);
    store.clean(&NamespaceId::new("tenant", "namespace").unwrap()).await.unwrap();
    assert_eq!(get(&store, "overwritten").await, None);
    put(&store, "after", &body(10, 3), true).await.unwrap();
    store.shutdown().await.unwrap();
    drop(store);

    let store = open(directory.path(), settings()).await.unwrap();
    assert_eq!(get(&store, "overwritten").await, None);
    assert_eq!(get(&store, "after").await, Some(body(10, 3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn five_times_the_capacity_fits_and_the_newest_are_there() {
    for durability in [Durability::Always, Durability::None] {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path(), Settings { durability, ..settings() }).await.unwrap();
        let sizes = [10, 3000, 900, 14_000, 50_000, 200, 1500, 7000];
        let mut written = 0;
        let mut count = 0;
        while written < 5 * BUDGET {
            let size = sizes[count % sizes.len()];
            put(&store, &count.to_string(), &body(size, count as u8), true).await.unwrap();
            written += size as u64;
            count += 1;
        }
        let mut newest = 0;
        for at in (0..count).rev() {
            let size = sizes[at % sizes.len()];
            newest += size as u64;
            if newest > BUDGET / 4 {
                break;
            }
            assert_eq!(get(&store, &at.to_string()).await, Some(body(size, at as u8)), "{at} of {count}");
        }
        assert!(store.stats().evictions > 0);
        assert!(du(directory.path()) <= BUDGET);
        store.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_another_length_than_declared_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), settings()).await.unwrap();
    for length in [100, 10_000, 100_000] {
        let mut upload = store.put(request("short", Some(length))).await.unwrap();
        upload.write(body(length as usize - 1, 0)).await.unwrap();
        assert!(matches!(upload.commit(Commit::default()).await, Err(Error::LengthMismatch { .. })));
        let mut upload = store.put(request("short", Some(length))).await.unwrap();
        assert!(matches!(upload.write(body(length as usize + 1, 0)).await, Err(Error::LengthMismatch { .. })));
        drop(upload);
        assert_eq!(get(&store, "short").await, None);
    }
    assert!(matches!(store.put(request("large", Some(BUDGET))).await.map(drop), Err(Error::TooLarge { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_is_refused_while_the_lock_is_held() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), settings()).await.unwrap();
    let refused = open(directory.path(), settings()).await.map(drop);
    assert!(matches!(refused, Err(Error::Locked { pid: Some(pid) }) if pid == std::process::id()), "{refused:?}");
    store.shutdown().await.unwrap();
    drop(store);
    open(directory.path(), settings()).await.unwrap();
}
