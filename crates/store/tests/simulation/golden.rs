//! A whole data directory of version 1, made once: every later Kura reads all of it.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use kura_disk::sim::Crash;
use kura_store::{Durability, Store};

use crate::calls;
use crate::machine::{Machine, put_to};
use crate::model::{key, namespace};

/// What the directory holds: number of the key, byte, length.
const HELD: [(usize, u8, usize); 4] = [(0, 1, 100), (1, 2, 5000), (2, 3, 40_000), (3, 4, 0)];

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1/directory")
}

/// Writes it, if it is not there and `KURA_WRITE_GOLDEN` is set.
fn make() {
    let mut machine = Machine::new(Durability::Always, None);
    machine.live(|store, runtime| async move {
        for (at, byte, length) in HELD {
            put_to(&store, &key(0, at), !byte, 777).await;
            put_to(&store, &key(0, at), byte, length).await;
        }
        put_to(&store, &key(0, 9), 9, 900).await;
        store.delete(&key(0, 9)).await.expect("a delete");
        put_to(&store, &key(1, 0), 9, 900).await;
        store.clean(&namespace(1)).await.expect("a clean");
        for at in 10..30 {
            put_to(&store, &key(0, at), 5, 4000).await;
        }
        runtime.sleep(Duration::from_secs(2)).await;
        store.shutdown().await.expect("a clean stop");
    });
    let disk = machine.world.disk();
    for path in disk.paths() {
        let target = directory().join(&path);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::write(target, disk.content(&path).unwrap()).unwrap();
    }
}

async fn is_as_it_was(store: &Store) {
    for (at, byte, length) in HELD {
        let body = calls::get(store, &key(0, at)).await.expect("a read");
        assert_eq!(body, Some(Bytes::from(vec![byte; length])), "key {at}");
    }
    for ended in [key(0, 9), key(1, 0)] {
        assert_eq!(calls::get(store, &ended).await.expect("a read"), None);
    }
    for at in 10..30 {
        assert!(calls::get(store, &key(0, at)).await.expect("a read").is_some(), "key {at}");
    }
    assert_eq!((store.stats().damaged, store.stats().swept), (0, 0));
}

#[test]
fn a_directory_of_version_1_is_read() {
    if std::env::var_os("KURA_WRITE_GOLDEN").is_some() && !directory().exists() {
        make();
    }
    let mut machine = Machine::new(Durability::Always, None);
    let disk = machine.world.disk();
    for part in ["", "segments"] {
        for entry in std::fs::read_dir(directory().join(part)).expect("the golden directory") {
            let path = entry.unwrap().path();
            if path.is_file() {
                let name = path.strip_prefix(directory()).unwrap().to_str().unwrap();
                disk.plant(name, &std::fs::read(&path).unwrap());
            }
        }
    }
    machine.live(|store, _| async move { is_as_it_was(&store).await });
    machine.world.crash(Crash::Power);
    machine.live(|store, _| async move { is_as_it_was(&store).await });
}
