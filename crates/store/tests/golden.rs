//! A store's files of format version 1, made on a machine whose clock stands still and compared byte for byte; and read again, by whatever Kura this is.
//! A byte that differs is a version that changes, unless one more number was taken from the clock: then new files stand beside these, which must still be read.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use bytes::Bytes;
use kura_disk::sim::{Crash, SimDisk};
use kura_store::key::{AttributeName, Attributes, NamespaceId, RecordKey};
use kura_store::types::Encoding;
use kura_store::{Commit, Error, PutRequest};
use support::{Life, Machine, PAGE, bytes_on_disk, get, key, key_of};

/// Path and bytes of every file.
type Files = BTreeMap<String, Vec<u8>>;

/// The name and attribute that an artifact has beside its body.
const CONTENT_TYPE: AttributeName = AttributeName(1);

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1/stopped-clock")
}

/// What is stored: bodies that no library's random numbers decide.
struct Artifact {
    key: RecordKey,
    length: usize,
    encoding: Encoding,
    commit: fn() -> Commit,
    known: bool,
}

impl Artifact {
    fn new(name: &str, length: usize) -> Artifact {
        Artifact { key: key(name), length, encoding: Encoding::Identity, commit: Commit::default, known: true }
    }

    fn body(&self) -> Bytes {
        (0..self.length).map(|at| (at * 31 % 251) as u8 ^ (at >> 8) as u8 ^ self.key.key()[0]).collect()
    }

    fn attributes(&self) -> Attributes {
        Attributes::default().with(CONTENT_TYPE, b"text/plain").unwrap()
    }

    async fn put(&self, life: &Life) {
        let length = self.known.then_some(self.length as u64);
        let (key, encoding, attributes) = (self.key.clone(), self.encoding, self.attributes());
        let mut upload = life.store.put(PutRequest { key, attributes, encoding, length }).await.unwrap();
        // The keeper is through before anything else takes a number: their order is the same under every seed.
        life.wait(3).await;
        upload.write(self.body()).await.unwrap();
        upload.commit((self.commit)()).await.unwrap();
        life.wait(3).await;
    }

    async fn is_there(&self, life: &Life) {
        let found = life.store.get(&self.key).await.unwrap().unwrap_or_else(|| panic!("{:?} is gone", self.key));
        let commit = (self.commit)();
        assert_eq!(found.attributes, self.attributes());
        assert_eq!((found.encoding, found.sha256), (self.encoding, commit.sha256));
        assert_eq!(found.stored_len, self.length as u64);
        assert_eq!(found.logical_len, commit.logical_len.unwrap_or(self.length as u64));
        assert!(get(&life.store, &self.key).await == Some(self.body()), "{:?} has other bytes", self.key);
    }
}

/// One of each way to be stored.
fn artifacts() -> Vec<Artifact> {
    let of_unknown_length = |name, length| Artifact { known: false, ..Artifact::new(name, length) };
    vec![
        Artifact::new("plain", 100),
        Artifact::new("empty", 0),
        Artifact {
            encoding: Encoding::Zstd,
            commit: || Commit { logical_len: Some(1000), sha256: Some([9; 32]) },
            ..Artifact::new("compressed", 300)
        },
        Artifact::new("three blocks", 9000),
        of_unknown_length("gathered", 3000),
        of_unknown_length("copied from a solo", 6000),
        Artifact::new("solo", 20_000),
        of_unknown_length("growing", 20_000),
        Artifact::new("filler 1", 15_000),
        Artifact::new("filler 2", 15_000),
        Artifact::new("filler 3", 15_000),
    ]
}

fn ended() -> [RecordKey; 2] {
    [key("deleted"), key_of("tenant", "cleaned", "artifact")]
}

async fn store_everything(life: Life) {
    life.wait(3).await;
    for ended in ended() {
        Artifact { key: ended, ..Artifact::new("ended", 70) }.put(&life).await;
    }
    life.store.delete(&key("deleted")).await.unwrap();
    life.store.clean(&NamespaceId::new("tenant", "cleaned").unwrap()).await.unwrap();
    Artifact::new("plain", 50).put(&life).await;
    for artifact in artifacts() {
        artifact.put(&life).await;
    }
    assert_eq!(life.store.stats().rotations, 1, "the first segment is sealed");
    artifacts()[0].is_there(&life).await;
    life.store.shutdown().await.unwrap();
}

fn files(disk: &SimDisk) -> Files {
    let paths = disk.paths().into_iter().filter(|path| path != "kura.lock");
    paths.map(|path| (path.clone(), disk.content(&path).unwrap())).collect()
}

fn made(seed: u64) -> Files {
    let mut machine = Machine::new(seed);
    machine.stopped_clock = true;
    machine.live(store_everything);
    files(&machine.disk())
}

/// The files that are committed; `KURA_WRITE_GOLDEN=1` writes them where there are none, and never changes one.
static GOLDEN: LazyLock<Files> = LazyLock::new(|| {
    if std::env::var_os("KURA_WRITE_GOLDEN").is_some() && !directory().exists() {
        std::fs::create_dir_all(directory().join("segments")).unwrap();
        for (path, bytes) in made(1) {
            std::fs::write(directory().join(path), bytes).unwrap();
        }
    }
    let mut files = Files::new();
    for part in ["", "segments/"] {
        for entry in std::fs::read_dir(directory().join(part)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                let path = format!("{part}{}", entry.file_name().to_str().unwrap());
                files.insert(path, std::fs::read(entry.path()).unwrap());
            }
        }
    }
    files
});

fn planted(files: &Files) -> Machine {
    let machine = Machine::new(7);
    files.iter().for_each(|(path, bytes)| machine.disk().plant(path, bytes));
    machine
}

#[test]
fn the_files_of_a_store_are_those_of_version_1_byte_for_byte() {
    for seed in 0..10 {
        let made = made(seed);
        assert_eq!(made.keys().collect::<Vec<_>>(), GOLDEN.keys().collect::<Vec<_>>());
        for (path, bytes) in &made {
            let differs = bytes.iter().zip(&GOLDEN[path]).position(|(now, then)| now != then);
            assert_eq!((differs, bytes.len()), (None, GOLDEN[path].len()), "{path} differs from here on, seed {seed}");
        }
    }
}

async fn everything_is_there(life: &Life) {
    for artifact in artifacts() {
        artifact.is_there(life).await;
    }
    for ended in ended() {
        assert_eq!(get(&life.store, &ended).await, None);
    }
    let stats = life.store.stats();
    assert_eq!((stats.damaged, stats.swept, stats.solo_segments), (0, 0, 2));
    // Beside them two tombstones, and what one of them ended.
    assert_eq!(stats.index_entries, artifacts().len() as u64 + 3);
}

#[test]
fn everything_in_a_directory_of_version_1_is_read() {
    let mut machine = planted(&GOLDEN);
    for crash in [Crash::Process, Crash::Power] {
        machine.live(async |life: Life| {
            everything_is_there(&life).await;
            for (path, bytes) in GOLDEN.iter().filter(|(path, _)| path.starts_with("segments/")) {
                let now = life.disk.content(path);
                assert!(now.is_none_or(|now| now == *bytes), "{path} was changed by being read");
            }
        });
        machine.crash(crash);
    }
}

/// Gives a page (a copy of `STORE`, a segment's header) another format version; its checksum at `sum` covers all before it.
fn with_version(page: &mut [u8], version: u32, sum: usize) {
    page[8..12].copy_from_slice(&version.to_le_bytes());
    let checksum = bytes_on_disk::crc32c(&page[..sum]);
    page[sum..sum + 4].copy_from_slice(&checksum.to_le_bytes());
}

/// Where the checksums are.
const STORE_SUM: usize = 64;
const HEADER_SUM: usize = 60;

/// Tries to open, and holds that a refusal changes nothing.
fn refused(files: &Files) -> Error {
    let mut machine = planted(files);
    let error = machine.open().map(drop).expect_err("it is refused");
    assert!(self::files(&machine.disk()) == *files, "nothing is touched by a start that refuses");
    error
}

#[test]
fn a_newer_store_is_refused_with_what_to_do() {
    let mut files = GOLDEN.clone();
    let page = usize::try_from(PAGE).unwrap();
    let store = files.get_mut("STORE").unwrap();
    store.chunks_mut(page).for_each(|copy| with_version(copy, 2, STORE_SUM));
    let error = refused(&files);
    assert!(matches!(&error, Error::NewerFormat { path, found: 2, known: 1 } if path == "STORE"), "{error:?}");
    assert_eq!(
        error.to_string(),
        "STORE has format version 2, and this Kura knows versions up to 1: run the newer Kura, or use another --data-dir"
    );
    // Also where the first copy is lost.
    files.get_mut("STORE").unwrap()[20] ^= 1;
    assert!(matches!(refused(&files), Error::NewerFormat { found: 2, .. }));
}

#[test]
fn a_newer_segment_is_refused_and_named() {
    for path in GOLDEN.keys().filter(|path| path.starts_with("segments/")) {
        let mut files = GOLDEN.clone();
        with_version(files.get_mut(path).unwrap(), 2, HEADER_SUM);
        let error = refused(&files);
        assert!(matches!(&error, Error::NewerFormat { path: told, found: 2, known: 1 } if told == path), "{error:?}");
    }
}

#[test]
fn two_damaged_copies_beside_segments_are_refused_and_one_is_enough() {
    let page = usize::try_from(PAGE).unwrap();
    let damaged = |bytes: &[usize]| {
        let mut files = GOLDEN.clone();
        bytes.iter().for_each(|at| files.get_mut("STORE").unwrap()[*at] ^= 1);
        files
    };
    let segments = GOLDEN.keys().filter(|path| path.starts_with("segments/")).count();
    let gone = |files: &mut Files| drop(files.remove("STORE"));
    let cut = |files: &mut Files| files.get_mut("STORE").unwrap().truncate(50);
    let both: Vec<Files> = [0, 8, 20, 40, 66].map(|at| damaged(&[at, page + at])).into();
    let otherwise = [gone as fn(&mut Files), cut].map(|spoil| {
        let mut files = GOLDEN.clone();
        spoil(&mut files);
        files
    });
    for files in both.iter().chain(&otherwise) {
        let error = refused(files);
        assert!(matches!(error, Error::StoreDamaged { segments: told } if told == segments), "{error:?}");
        assert_eq!(
            error.to_string(),
            format!(
                "both copies in STORE are damaged: restore it from a backup, or move {segments} segments away to start empty"
            )
        );
    }
    for at in [20, page + 20] {
        planted(&damaged(&[at])).live(async |life: Life| everything_is_there(&life).await);
    }
    // What the refusal says to do helps: with the segments moved away it starts empty.
    let mut alone = damaged(&[20, page + 20]);
    alone.retain(|path, _| !path.starts_with("segments/"));
    planted(&alone).live(async |life: Life| {
        life.keep("later", 100).await;
        assert_eq!(life.store.stats().index_entries, 1);
    });
}
