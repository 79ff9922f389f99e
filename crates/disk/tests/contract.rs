//! What every disk promises, run against the real one and the simulated one.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::future::Future;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use kura_disk::real::RealDisk;
use kura_disk::sim::World;
use kura_disk::{Buffer, Disk};

type Check = Pin<Box<dyn Future<Output = ()>>>;

/// Runs one check on both.
fn on_every_disk(check: fn(Arc<dyn Disk>) -> Check) {
    World::new(1).block_on_disk(check);
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async { check(Arc::new(RealDisk::new(directory.path()))).await });
}

trait OnDisk {
    fn block_on_disk(self, check: fn(Arc<dyn Disk>) -> Check);
}

impl OnDisk for World {
    fn block_on_disk(mut self, check: fn(Arc<dyn Disk>) -> Check) {
        let disk = self.disk();
        self.block_on(check(disk));
    }
}

async fn read(disk: &Arc<dyn Disk>, path: &str, offset: u64, length: usize) -> Vec<u8> {
    let file = disk.open(path).await.unwrap();
    file.read_at(offset, Buffer::unpooled(length)).await.unwrap().to_vec()
}

async fn write(disk: &Arc<dyn Disk>, path: &str, text: &'static str) {
    let file = disk.create(path).await.unwrap();
    file.write_at(0, vec![Bytes::from(text)]).await.unwrap();
}

async fn names(disk: &Arc<dyn Disk>, directory: &str) -> Vec<String> {
    let mut names: Vec<String> =
        disk.list(directory).await.unwrap().into_iter().filter_map(|entry| entry.name).collect();
    names.sort();
    names
}

#[test]
fn buffers_are_written_one_behind_another_and_read_back() {
    on_every_disk(|disk| {
        Box::pin(async move {
            let file = disk.create("file").await.unwrap();
            file.write_at(3, vec![Bytes::from("one"), Bytes::from("two")]).await.unwrap();
            assert_eq!(file.len().await.unwrap(), 9);
            assert_eq!(read(&disk, "file", 0, 9).await, b"\0\0\0onetwo");
            assert_eq!(read(&disk, "file", 4, 3).await, b"net");
        })
    });
}

#[test]
fn a_read_past_the_end_is_no_short_read() {
    on_every_disk(|disk| {
        Box::pin(async move {
            write(&disk, "file", "short").await;
            let file = disk.open("file").await.unwrap();
            let error = file.read_at(2, Buffer::unpooled(10)).await.err().unwrap();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        })
    });
}

#[test]
fn allocated_bytes_are_zero_and_there() {
    on_every_disk(|disk| {
        Box::pin(async move {
            let file = disk.create("file").await.unwrap();
            file.allocate(10_000).await.unwrap();
            assert_eq!(file.len().await.unwrap(), 10_000);
            assert!(read(&disk, "file", 0, 10_000).await.iter().all(|byte| *byte == 0));
            let entry = disk.list("").await.unwrap().into_iter().find(|entry| entry.name.as_deref() == Some("file"));
            let entry = entry.unwrap();
            assert!(entry.is_file && entry.length == 10_000 && entry.allocated >= 10_000, "{entry:?}");
        })
    });
}

#[test]
fn a_file_is_created_once() {
    on_every_disk(|disk| {
        Box::pin(async move {
            write(&disk, "file", "first").await;
            assert_eq!(disk.create("file").await.err().unwrap().kind(), ErrorKind::AlreadyExists);
            assert_eq!(read(&disk, "file", 0, 5).await, b"first");
        })
    });
}

#[test]
fn what_is_not_there_is_not_found() {
    on_every_disk(|disk| {
        Box::pin(async move {
            assert_eq!(disk.open("absent").await.err().unwrap().kind(), ErrorKind::NotFound);
            assert_eq!(disk.unlink("absent").await.unwrap_err().kind(), ErrorKind::NotFound);
            assert_eq!(disk.rename("absent", "other").await.unwrap_err().kind(), ErrorKind::NotFound);
            assert_eq!(disk.list("absent").await.err().unwrap().kind(), ErrorKind::NotFound);
        })
    });
}

#[test]
fn a_rename_replaces_what_had_the_name() {
    on_every_disk(|disk| {
        Box::pin(async move {
            write(&disk, "old", "1").await;
            write(&disk, "new", "2").await;
            disk.rename("new", "old").await.unwrap();
            assert_eq!(names(&disk, "").await, ["old"]);
            assert_eq!(read(&disk, "old", 0, 1).await, b"2");
            disk.sync_directory("", "test").await.unwrap();
        })
    });
}

#[test]
fn an_unlinked_file_is_readable_through_what_holds_it_open() {
    on_every_disk(|disk| {
        Box::pin(async move {
            write(&disk, "file", "still").await;
            let file = disk.open("file").await.unwrap();
            disk.unlink("file").await.unwrap();
            assert_eq!(names(&disk, "").await, Vec::<String>::new());
            assert_eq!(file.read_at(0, Buffer::unpooled(5)).await.unwrap().to_vec(), b"still");
            file.close().await.unwrap();
        })
    });
}

#[test]
fn directories_are_made_with_their_parents_and_twice_does_no_harm() {
    on_every_disk(|disk| {
        Box::pin(async move {
            disk.create_directory("a/b").await.unwrap();
            disk.create_directory("a/b").await.unwrap();
            write(&disk, "a/b/file", "x").await;
            assert_eq!(names(&disk, "a/b").await, ["file"]);
            assert!(disk.list("a").await.unwrap().iter().all(|entry| !entry.is_file));
        })
    });
}

#[test]
fn a_cut_file_ends_there() {
    on_every_disk(|disk| {
        Box::pin(async move {
            write(&disk, "file", "a longer text").await;
            let file = disk.open("file").await.unwrap();
            file.truncate(8).await.unwrap();
            file.sync("test").await.unwrap();
            file.forget_cached().await.unwrap();
            assert_eq!(file.len().await.unwrap(), 8);
            assert_eq!(read(&disk, "file", 0, 8).await, b"a longer");
        })
    });
}

#[test]
fn a_lock_keeps_others_out_until_it_is_dropped() {
    on_every_disk(|disk| {
        Box::pin(async move {
            let lock = disk.lock("lock").await.unwrap();
            assert_eq!(disk.lock("lock").await.err().unwrap().kind(), ErrorKind::WouldBlock);
            assert!(disk.lock_holder("lock").await.unwrap().is_some());
            drop(lock);
            assert!(disk.lock("lock").await.is_ok());
        })
    });
}

#[test]
fn a_file_tells_when_it_was_changed() {
    on_every_disk(|disk| {
        Box::pin(async move {
            let modified = async || {
                let entries = disk.list("").await.unwrap();
                let find = |name: &str| entries.iter().find(|entry| entry.name.as_deref() == Some(name)).unwrap();
                (find("first").modified_unix_millis, find("second").modified_unix_millis)
            };
            write(&disk, "first", "1").await;
            write(&disk, "second", "2").await;
            let (first, second) = modified().await;
            assert!(first <= second && first > 1_700_000_000_000, "milliseconds of this century: {first} {second}");
            disk.open("first").await.unwrap().write_at(0, vec![Bytes::from("3")]).await.unwrap();
            assert!(modified().await.0 >= second);
        })
    });
}

#[test]
fn a_filesystem_has_no_more_free_than_it_is_large() {
    on_every_disk(|disk| {
        Box::pin(async move {
            let space = disk.space().await.unwrap();
            assert!(space.available <= space.total && space.total > 0, "{space:?}");
        })
    });
}
