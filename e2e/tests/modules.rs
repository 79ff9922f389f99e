//! A Tuist module of 1.9 GiB in parts of 10 MiB: out of order, every tenth sent again, over a restart and a `kill -9`, completed twice. Never a byte above
//! the capacity, and hardly more memory than at rest.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::io::Read;

use kura_e2e::{Answer, Kura, Mount, agent};
use sha2::{Digest, Sha256};

/// Four times the module and a little: no artifact is larger than a quarter of it.
const CAPACITY: u64 = 8 << 30;

const PART: usize = 10 << 20;

/// 1.9 GiB.
const PARTS: u64 = 194;

const PLACE: &str = "account_handle=acme&project_handle=ios";

const MODULE: &str = "hash=h1&name=Core&cache_category=builds";

/// What the server may hold beside what it holds at rest, in bytes.
const MEMORY: u64 = 64 << 20;

fn part(number: u64) -> Vec<u8> {
    let mut body = vec![0; PART];
    fastrand::Rng::with_seed(number).fill(&mut body);
    body
}

fn post(kura: &Kura, what: &str, body: &[u8]) -> Answer {
    kura.post(&format!("/api/cache/module/{what}&{PLACE}"), body)
}

/// Sends those parts, every tenth of them twice.
fn send(kura: &Kura, id: &str, numbers: &[u64]) {
    for number in numbers {
        let path = format!("part?upload_id={id}&part_number={number}");
        if number % 10 == 0 {
            assert_eq!(post(kura, &path, &part(number + PARTS)).status, 204, "what the next takes the place of");
        }
        let answer = post(kura, &path, &part(*number));
        assert_eq!(answer.status, 204, "part {number}: {}", answer.text());
    }
}

/// The most memory that this process has had, less what it has now, both from `/proc`.
struct Memory {
    at_rest: u64,
}

impl Memory {
    fn of(kura: &Kura) -> Memory {
        Memory { at_rest: status(kura, "VmRSS:") }
    }

    fn check(&self, kura: &Kura) {
        let more = status(kura, "VmHWM:").saturating_sub(self.at_rest);
        println!("{} MiB above the {} MiB at rest", more >> 20, self.at_rest >> 20);
        assert!(more <= MEMORY, "{more} bytes of memory more than at rest");
    }
}

/// A line of `/proc/PID/status`, in bytes.
fn status(kura: &Kura, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", kura.pid())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
}

fn read_back(kura: &Kura) -> String {
    let url = kura.url(&format!("/api/cache/module/any?{PLACE}&{MODULE}"));
    let mut answer = agent().get(url).call().unwrap();
    assert_eq!(answer.status(), 200);
    let (mut body, mut hasher, mut buffer) = (answer.body_mut().as_reader(), Sha256::new(), vec![0; 1 << 20]);
    while let read @ 1.. = body.read(&mut buffer).unwrap() {
        hasher.update(&buffer[..read]);
    }
    hex(hasher)
}

fn hex(hasher: Sha256) -> String {
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_large_module_survives_restarts_and_costs_neither_memory_nor_a_second_copy() {
    let mount = Mount::tmpfs(12 << 10);
    let bare = mount.used();
    let capacity = CAPACITY.to_string();
    let mut hasher = Sha256::new();
    (1..=PARTS).for_each(|number| hasher.update(part(number)));
    let digest = hex(hasher);
    let mut order: Vec<u64> = (1..=PARTS).collect();
    fastrand::Rng::with_seed(1).shuffle(&mut order);
    let ((), most) = mount.watched(|| {
        let mut kura = Kura::start_in(&mount.path().join("data"), &["--capacity", &capacity, "--min-free", "0"]);
        let started = post(&kura, &format!("start?{MODULE}"), b"").text();
        let id = started.split('"').nth(3).unwrap().to_owned();
        let (first, rest) = order.split_at(order.len() / 3);
        let (second, third) = rest.split_at(rest.len() / 2);
        let memory = Memory::of(&kura);
        send(&kura, &id, first);
        memory.check(&kura);
        assert!(kura.stop().success());
        kura.start_again();
        let memory = Memory::of(&kura);
        send(&kura, &id, second);
        memory.check(&kura);
        kura.kill();
        kura.start_again();
        let memory = Memory::of(&kura);
        send(&kura, &id, third);
        let before = mount.used();
        let list = serde_json::json!({ "parts": (1..=PARTS).collect::<Vec<_>>(), "checksum_sha256": digest });
        for _ in 0..2 {
            let answer = post(&kura, &format!("complete?upload_id={id}"), list.to_string().as_bytes());
            assert_eq!(answer.status, 204, "{}", answer.text());
        }
        assert!(mount.used() - before <= PART as u64, "a second copy");
        assert_eq!(read_back(&kura), digest);
        memory.check(&kura);
        kura.kill();
        kura.start_again();
        assert_eq!(read_back(&kura), digest);
    });
    let most = most - bare;
    println!("{} MiB of the disk at most", most >> 20);
    assert!(most <= CAPACITY, "{most} bytes in use");
}
