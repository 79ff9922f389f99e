//! Memory is a limit too: in a control group of the documented least, under more than it can carry at once, the server refuses and lives.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};

use kura_e2e::{Client, Group, Kura, agent, request};

const MIB: u64 = 1 << 20;

/// `--memory`, the least there is.
const MEMORY: u64 = 256 * MIB;

/// What its control group has beside: what the kernel takes for sockets and for files that are being written.
const BESIDE: u64 = 64 * MIB;

fn body(number: u64, length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(number);
    std::iter::repeat_with(|| random.u8(..)).take(length).collect()
}

/// The most memory that the process ever had of its own, in bytes: files are not among it.
fn peak(kura: &Kura) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", kura.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// Uploads that begin and stand still: each may have memory, or is refused.
fn standing_uploads(kura: &Kura, count: u64) -> Vec<TcpStream> {
    let begin = |number| {
        let mut stream = TcpStream::connect(kura.address()).unwrap();
        let head = format!("PUT /http/standing/{number} HTTP/1.1\r\nHost: e2e\r\nContent-Length: 100000000\r\n\r\n");
        // It may have been refused, and closed.
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&[0; 256 << 10]));
        stream
    };
    (0..count).map(begin).collect()
}

/// Downloads that nobody takes.
fn standing_downloads(kura: &Kura, count: u64) -> Vec<TcpStream> {
    let begin = |_| {
        let mut stream = TcpStream::connect(kura.address()).unwrap();
        let _ = stream.write_all(b"GET /http/load/large HTTP/1.1\r\nHost: e2e\r\n\r\n");
        stream
    };
    (0..count).map(begin).collect()
}

#[test]
fn under_more_than_its_memory_carries_it_refuses_and_is_not_killed() {
    let group = Group::with_memory((MEMORY + BESIDE) / MIB);
    let flags = ["--capacity", "6GiB", "--memory", "256MiB"];
    let mut kura = Kura::start_through(group.enter(), &flags);
    let large = body(1, 64 << 20);
    assert_eq!(kura.put("/http/load/large", &large).status, 200);
    let refused = AtomicU64::new(0);
    let stored = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let (kura, refused, stored, large) = (&kura, &refused, &stored, &large);
        let count = move |status: u16| match status {
            200 => stored.fetch_add(1, Ordering::Relaxed),
            429 => refused.fetch_add(1, Ordering::Relaxed),
            // Closed at once, or under the body that was refused.
            0 => 0,
            other => panic!("{other}"),
        };
        let standing = (standing_uploads(kura, 200), standing_downloads(kura, 400));
        for thread in 0..24 {
            scope.spawn(move || {
                let agent = agent();
                for round in 0..4 {
                    let path = format!("/http/load/{thread}-{round}");
                    count(request(&agent, "PUT", &kura.url(&path), &large[..16 << 20]).status);
                    for small in 0..500 {
                        count(request(&agent, "PUT", &kura.url(&format!("{path}/{small}")), path.as_bytes()).status);
                    }
                    let answer = request(&agent, "GET", &kura.url("/http/load/large"), &[]);
                    assert!(answer.status != 200 || answer.body == *large, "other bytes");
                    count(answer.status);
                }
            });
        }
        for thread in 0..16 {
            scope.spawn(move || {
                let client = Client::connect(kura.address(), "load");
                for round in 0..4 {
                    match client.try_put(&body(100 * thread + round, 12 << 20)) {
                        Ok(_) => count(200),
                        Err(status) if status.code() == tonic::Code::ResourceExhausted => count(429),
                        Err(_) => count(0),
                    };
                }
            });
        }
        // They are let go while the others still run.
        drop(standing);
    });
    let (refused, stored, peak) = (refused.into_inner(), stored.into_inner(), peak(&kura));
    println!("{stored} served, {refused} refused, {} MiB at most", peak / MIB);
    assert!(kura.metrics().of("kura_memory_refused_total") > 0, "the limit was met");
    assert!(stored > 1000, "{stored}");
    assert!(peak <= MEMORY, "{} MiB", peak / MIB);
    assert_eq!(kura.put("/http/load/last", b"last").status, 200);
    assert!(kura.get("/http/load/large").body == large);
    assert!(kura.stop().success());
}
