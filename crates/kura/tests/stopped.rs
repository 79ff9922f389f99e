//! `kura check` and `kura inspect`, as people run them: what they say, and with which status they exit.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use kura_disk::TokioRuntime;
use kura_disk::real::RealDisk;
use kura_store::geometry::Geometry;
use kura_store::key::{Attributes, RecordKey};
use kura_store::types::{Encoding, Kind};
use kura_store::{Commit, Progress, PutRequest, Settings, Store};
use tempfile::TempDir;

const CAPACITY: u64 = 136 << 20;

/// Larger than a quarter of a segment: it gets one of its own, which is sealed at once.
const LARGE: usize = 5 << 20;

async fn open(directory: &Path) -> Store {
    let settings = Settings::new(Geometry::standard(CAPACITY));
    let disk = Arc::new(RealDisk::new(directory));
    Store::open(disk, Arc::new(TokioRuntime::current()), settings, Arc::new(Progress::default())).await.unwrap()
}

fn key(name: &str) -> RecordKey {
    RecordKey::new(Kind(10), "default", "mine", name.as_bytes()).unwrap()
}

async fn put(store: &Store, name: &str, byte: u8, length: usize) {
    let (attributes, encoding) = (Attributes::default(), Encoding::Identity);
    let request = PutRequest { key: key(name), attributes, encoding, length: Some(length as u64) };
    let mut upload = store.put(request).await.unwrap();
    upload.write(Bytes::from(vec![byte; length])).await.unwrap();
    upload.commit(Commit::default()).await.unwrap();
}

/// A stopped store with a small artifact and a large one.
async fn stopped() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    put(&store, "small", 0xa1, 5000).await;
    put(&store, "large", 0xa2, LARGE).await;
    store.shutdown().await.unwrap();
    directory
}

/// Runs the binary; returns its status and all that it said.
fn kura(arguments: &[&str], directory: &Path) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kura"));
    let output = command.env_clear().arg(arguments[0]).arg(directory).args(&arguments[1..]).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

fn segments(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory.join("segments")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Flips a bit in the body that consists of `byte`. Returns the segment's number.
fn flip(directory: &Path, byte: u8) -> String {
    for path in segments(directory) {
        let content = fs::read(&path).unwrap();
        if let Some(at) = content.windows(64).position(|window| window == [byte; 64]) {
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.write_all_at(&[byte ^ 1], at as u64 + 100).unwrap();
            return path.file_stem().unwrap().to_str().unwrap().to_owned();
        }
    }
    panic!("no body of {byte}");
}

/// All but the lock, which says who held it last.
fn content(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let beside = ["STORE", "heat"].map(|name| directory.join(name));
    segments(directory).into_iter().chain(beside).map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_directory_is_called_sound_and_not_changed() {
    let directory = stopped().await;
    let before = content(directory.path());
    let (status, said) = kura(&["check"], directory.path());
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("2 artifacts, 0 tombstones") && said.ends_with("sound\n"), "{said}");
    assert_eq!(kura(&["check", "--repair"], directory.path()).0, Some(0));
    assert_eq!(kura(&["inspect"], directory.path()).0, Some(0));
    assert!(content(directory.path()) == before, "something was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_named_and_dropped_when_asked_for() {
    let directory = stopped().await;
    for byte in [0xa1, 0xa2] {
        let number = flip(directory.path(), byte);
        let before = content(directory.path());
        let (status, said) = kura(&["check"], directory.path());
        assert_eq!(status, Some(1), "{said}");
        assert!(said.contains(&format!("segment {number}: damaged at 4096: a block's checksum")), "{said}");
        assert!(said.contains("--repair"), "{said}");
        assert!(content(directory.path()) == before, "something was changed");
        let (status, said) = kura(&["check", "--repair"], directory.path());
        assert_eq!(status, Some(0), "{said}");
        assert!(said.contains(&format!("segment {number}: repaired")), "{said}");
        assert_eq!(kura(&["check"], directory.path()).0, Some(0), "it is sound again");
    }
    let store = open(directory.path()).await;
    assert!(store.contains(&key("small")).is_none() && store.contains(&key("large")).is_none());
    put(&store, "small", 0xa1, 5000).await;
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grown_artifact_whose_footer_does_not_hold_is_damage_and_not_an_upload_that_broke_off() {
    let directory = stopped().await;
    let store = open(directory.path()).await;
    let request =
        PutRequest { key: key("grown"), attributes: Attributes::default(), encoding: Encoding::Identity, length: None };
    let mut upload = store.put(request).await.unwrap();
    upload.write(Bytes::from(vec![0xa3; LARGE])).await.unwrap();
    upload.commit(Commit::default()).await.unwrap();
    store.shutdown().await.unwrap();
    let holds = |path: &PathBuf| fs::read(path).unwrap().windows(64).any(|window| window == [0xa3; 64]);
    let path = segments(directory.path()).into_iter().find(holds).unwrap();
    // The footer's table lies in front of its locator, which is 64 bytes long at least.
    let file = fs::File::options().read(true).write(true).open(&path).unwrap();
    let (at, mut byte) = (file.metadata().unwrap().len() - 100, [0]);
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    for arguments in [&["check"][..], &["check", "--repair"]] {
        let (status, said) = kura(arguments, directory.path());
        assert!(status == Some(1) && said.contains("the footer") && said.contains("holds no record"), "{said}");
        assert!(path.exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_start_would_warn_about_is_wrong_and_what_it_removes_is_not() {
    let directory = stopped().await;
    fs::write(directory.path().join("segments/tmp-0000000000000001.seg"), b"half").unwrap();
    let (status, said) = kura(&["check"], directory.path());
    assert!(status == Some(0) && said.contains("left by an unclean stop"), "{said}");
    fs::write(directory.path().join("notes.txt"), b"mine").unwrap();
    let (status, said) = kura(&["check", "--repair"], directory.path());
    assert!(status == Some(1) && said.contains("notes.txt: not Kura's"), "{said}");
    assert!(directory.path().join("notes.txt").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_in_use_without_a_store_or_not_there_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    for command in ["check", "inspect"] {
        let (status, said) = kura(&[command], directory.path());
        let holder = format!("in use by process {}", std::process::id());
        assert!(status == Some(1) && said.contains(&holder), "{said}");
        let empty = tempfile::tempdir().unwrap();
        for nothing in [empty.path(), &empty.path().join("nothing")] {
            let (status, said) = kura(&[command], nothing);
            assert!(status == Some(1) && said.contains("holds no store"), "{said}");
        }
        assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0, "nothing was made");
    }
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_and_records_are_listed() {
    let directory = stopped().await;
    let number = flip(directory.path(), 0xa2);
    let (status, said) = kura(&["inspect"], directory.path());
    assert_eq!((status, said.lines().count()), (Some(0), segments(directory.path()).len()), "{said}");
    let line = said.lines().find(|line| line.starts_with(&number)).unwrap();
    assert!(line.contains("solo") && line.contains("1 artifact,") && line.contains("sealed"), "{line}");
    let (status, said) = kura(&["inspect", "--segment", &number], directory.path());
    assert!(status == Some(0) && said.contains("default/mine/http/large  5.0 MiB"), "{said}");
    let (status, said) = kura(&["inspect", "--segment", "17"], directory.path());
    assert!(status == Some(1) && said.contains("0000000000000017 is not there"), "{said}");
}
