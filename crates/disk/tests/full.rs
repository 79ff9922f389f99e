//! A process whose files may not grow: the lock is held although nothing can be written into it. In a process of its own, since the limit is the
//! whole process's.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use kura_disk::Disk;
use kura_disk::real::RealDisk;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

/// Linux's number of SIGXFSZ, which would end the process.
const FILE_SIZE_EXCEEDED: i32 = 25;

/// While it lives no file may grow; the test's own output may be one, so it ends with the test.
struct Limited(Rlimit);

impl Limited {
    fn new() -> Limited {
        let before = getrlimit(Resource::Fsize);
        setrlimit(Resource::Fsize, Rlimit { current: Some(0), ..before }).unwrap();
        Limited(before)
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        let _ = setrlimit(Resource::Fsize, self.0);
    }
}

#[tokio::test]
async fn a_lock_that_has_no_room_for_a_process_id_is_held_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let disk = RealDisk::new(directory.path());
    std::fs::write(directory.path().join("lock"), "4711").unwrap();
    let _handled = signal(SignalKind::from_raw(FILE_SIZE_EXCEEDED)).unwrap();
    let _limited = Limited::new();

    let lock = disk.lock("lock").await.unwrap();
    assert_eq!(disk.lock_holder("lock").await.unwrap(), None, "not the one that held it before");
    assert_eq!(disk.lock("lock").await.err().unwrap().kind(), std::io::ErrorKind::WouldBlock);
    drop(lock);
    assert!(disk.lock("lock").await.is_ok());
}
