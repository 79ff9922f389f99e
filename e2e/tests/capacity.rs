//! On a filesystem of its own, under five times its capacity from 32 writers: never a byte above the capacity, and the newest is there.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use kura_e2e::{Kura, Mount, agent, request, run, until};
use parking_lot::Mutex;

const CAPACITY: u64 = 256 << 20;
const WRITERS: u64 = 32;
const PUSHED: u64 = 5 * CAPACITY;
const LARGEST: usize = (CAPACITY / 4) as usize;

/// One acknowledged body: it can be made again from its number.
#[derive(Clone, Copy)]
struct Written {
    number: u64,
    length: usize,
}

impl Written {
    fn path(self) -> String {
        format!("/http/e2e/{}", self.number)
    }

    fn body(self) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(self.number);
        let mut body = vec![0; self.length];
        random.fill(&mut body);
        body
    }
}

/// From one byte to the largest allowed, small ones far more often.
fn length(number: u64) -> usize {
    match number {
        0 => 1,
        1 => LARGEST,
        _ => {
            let mut random = fastrand::Rng::with_seed(!number);
            let magnitude = random.u32(0..=LARGEST.ilog2());
            random.usize(1..=(1 << magnitude))
        }
    }
}

#[test]
fn five_times_the_capacity_never_takes_more_than_the_capacity() {
    let mount = Mount::ext4(768);
    let bare = mount.used();
    let capacity = CAPACITY.to_string();
    let ((mut kura, written), most) = mount.watched(|| {
        let kura = Kura::start_in(&mount.path().join("data"), &["--capacity", &capacity, "--min-free", "0"]);
        let written = push(&kura);
        (kura, written)
    });
    let most = most - bare;
    assert!(most <= CAPACITY, "{most} bytes in use under load");
    assert!(most > CAPACITY / 2, "{most} bytes in use under load: is this where the data is?");
    assert!(written.iter().any(|artifact| artifact.length == LARGEST), "the largest allowed was among them");
    the_newest_quarter_is_there(&kura, &written);
    assert!(disk_usage(kura.data()) <= CAPACITY, "at rest");
    assert!(kura.stop().success());
    assert!(disk_usage(kura.data()) <= CAPACITY, "stopped");
    kura.start_again();
    the_newest_quarter_is_there(&kura, &written);
}

/// Five times the capacity from many writers. Returns what was acknowledged, in that order.
fn push(kura: &Kura) -> Vec<Written> {
    let written = Mutex::new(Vec::new());
    let (pushed, next) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| write(kura, &pushed, &next, &written));
        }
    });
    written.into_inner()
}

fn write(kura: &Kura, pushed: &AtomicU64, next: &AtomicU64, written: &Mutex<Vec<Written>>) {
    let agent = agent();
    while pushed.load(Ordering::Relaxed) < PUSHED {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let artifact = Written { number, length: length(number) };
        let (url, body) = (kura.url(&artifact.path()), artifact.body());
        until("a body to be taken", || {
            let answer = request(&agent, "PUT", &url, &body);
            // The last: a clean "come back later".
            assert!(matches!(answer.status, 200 | 429 | 507), "{}: {}", answer.status, answer.text());
            answer.status == 200
        });
        written.lock().push(artifact);
        pushed.fetch_add(artifact.length as u64, Ordering::Relaxed);
    }
}

/// What `du` says of a directory, in bytes.
fn disk_usage(directory: &Path) -> u64 {
    let du = run(Command::new("du").args(["-s", "--block-size=1"]).arg(directory));
    du.split_whitespace().next().unwrap().parse().unwrap()
}

fn the_newest_quarter_is_there(kura: &Kura, written: &[Written]) {
    let mut checked = 0;
    for artifact in written.iter().rev() {
        checked += artifact.length as u64;
        if checked > CAPACITY / 4 {
            break;
        }
        let answer = kura.get(&artifact.path());
        assert_eq!((answer.status, answer.body == artifact.body()), (200, true), "{} bytes", artifact.length);
    }
}
