//! What the system refuses: open files, large files, writing at all. Each costs what needs it, and nothing that was acknowledged.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::sync::atomic::{AtomicU64, Ordering};

use kura_e2e::{Kura, Mount, agent, request};

/// Bodies above a quarter of a segment have a file of their own.
const LARGE: usize = 5 << 20;

const CLIENTS: u64 = 100;

fn body(number: u64, length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(number);
    std::iter::repeat_with(|| random.u8(..)).take(length).collect()
}

fn path(number: u64) -> String {
    format!("/http/e2e/{number}")
}

#[test]
fn sixty_four_open_files_serve_a_hundred_clients_of_twenty_files() {
    const FILES: u64 = 20;
    let mut kura = Kura::start_limited("--nofile=64:64", &["--capacity", "400MiB"]);
    for number in 0..FILES {
        assert_eq!(kura.put(&path(number), &body(number, LARGE)).status, 200);
    }
    let (served, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (kura, served, refused) = (&kura, &served, &refused);
            scope.spawn(move || {
                let number = client % FILES;
                let answer = request(&agent(), "GET", &kura.url(&path(number)), &[]);
                match answer.status {
                    200 => assert!(answer.body == body(number, LARGE), "other bytes"),
                    429 => _ = refused.fetch_add(1, Ordering::Relaxed),
                    status => panic!("{status}: {}", answer.text()),
                }
                served.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    assert_eq!(served.into_inner(), CLIENTS);
    assert!(refused.into_inner() < CLIENTS / 2, "most are served");
    assert!(kura.logged().contains("Too many open files"), "the limit was met");
    assert_eq!((kura.get("/ready").status, kura.put("/http/e2e/last", b"last").status), (200, 200));
    assert!(kura.stop().success());
}

#[test]
fn a_limit_of_file_sizes_refuses_what_needs_a_larger_file_and_ends_nothing() {
    // Between a segment, of 16 MiB, and the largest artifact.
    let mut kura = Kura::start_limited("--fsize=20971520", &["--capacity", "200MiB"]);
    assert_eq!(kura.put(&path(1), b"small").status, 200);
    let refused = kura.put(&path(2), &body(2, 30 << 20));
    assert!(refused.status == 500 && kura.logged().contains("File too large"), "{}", refused.text());
    assert_eq!((kura.get(&path(2)).status, kura.get(&path(1)).text()), (404, "small".to_owned()));
    assert_eq!(kura.put(&path(3), b"another").status, 200);
    assert!(kura.stop().success());
}

#[test]
fn a_filesystem_that_turns_read_only_is_read_and_takes_writes_again_once_it_is_mounted_anew() {
    const STORED: u64 = 10;
    let mount = Mount::ext4(512);
    let mut kura = Kura::start_in(&mount.path().join("data"), &["--capacity", "200MiB"]);
    let length = |number| if number == 0 { LARGE } else { 50_000 };
    for number in 0..STORED {
        assert_eq!(kura.put(&path(number), &body(number, length(number))).status, 200);
    }
    let all_are_there =
        |kura: &Kura| (0..STORED).all(|number| kura.get(&path(number)).body == body(number, length(number)));
    mount.stop_writing();
    for number in STORED..2 * STORED {
        let status = kura.put(&path(number), &body(number, 50_000)).status;
        assert!(matches!(status, 500 | 503), "{status}");
        assert_eq!(kura.get(&path(number)).status, 404);
    }
    assert!(all_are_there(&kura), "what is there is read");
    kura.kill();
    mount.mount_again();
    kura.start_again();
    assert!(all_are_there(&kura), "and is there after a start");
    assert_eq!(kura.put(&path(STORED), b"again").status, 200);
    assert!(kura.stop().success());
}
