//! On a filesystem of its own, under five times its capacity from 32 writers: never a byte above the capacity, and the newest is there.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use kura_e2e::{Kura, Mount, agent, request, run};
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
    let mut kura = Kura::start_in(&mount.path().join("data"), &["--capacity", &capacity, "--min-free", "0"]);
    let written = Mutex::new(Vec::new());
    let (pushed, next, done) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let most = std::thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                most = most.max(mount.used());
                std::thread::sleep(Duration::from_millis(100));
            }
            most
        });
        let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(|| write(&kura, &pushed, &next, &written))).collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, Ordering::Relaxed);
        sampler.join().unwrap()
    });
    assert!(most - bare <= CAPACITY, "{} bytes in use under load", most - bare);
    the_newest_quarter_is_there(&kura, &written.into_inner());
    assert!(kura.stop().success());
    let du = run(Command::new("du").args(["-s", "--block-size=1"]).arg(kura.data()));
    let bytes: u64 = du.split_whitespace().next().unwrap().parse().unwrap();
    assert!(bytes <= CAPACITY, "{du}");
}

fn write(kura: &Kura, pushed: &AtomicU64, next: &AtomicU64, written: &Mutex<Vec<Written>>) {
    let agent = agent();
    while pushed.load(Ordering::Relaxed) < PUSHED {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let artifact = Written { number, length: length(number) };
        let answer = request(&agent, "PUT", &kura.url(&artifact.path()), &artifact.body());
        match answer.status {
            200 => {
                written.lock().push(artifact);
                pushed.fetch_add(artifact.length as u64, Ordering::Relaxed);
            }
            // A clean "come back later".
            429 | 507 => {}
            status => panic!("{status}: {}", answer.text()),
        }
    }
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
