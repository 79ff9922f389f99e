//! Connections that send nothing keep nobody out: not a thousand of them, and not as many as the server takes.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::io::{Read, Write};
use std::net::TcpStream;

use kura_e2e::{Kura, until};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[test]
fn a_thousand_silent_connections_keep_nobody_out() {
    let kura = Kura::start(&["--capacity", "256MiB"]);
    let silent = connect(&kura, 1000);
    let open = || kura.metrics().of("kura_http_connections");
    until("all to be open at once, and ours", || open() == 1001);
    a_request_is_answered(&kura);
    drop(silent);
    until("all to be let go", || open() == 1);
}

/// Bytes of memory of a process now.
fn resident(kura: &Kura) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", kura.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[test]
fn ten_thousand_idle_connections_cost_less_than_they_are_accounted_for_with() {
    const IDLE: usize = 9_500;
    let kura = Kura::start(&["--capacity", "256MiB", "--max-connections", "10000"]);
    a_request_is_answered(&kura);
    let before = resident(&kura);
    let mut idle = connect(&kura, IDLE);
    for stream in &mut idle {
        stream.write_all(b"GET /http/e2e/key HTTP/1.1\r\nHost: e2e\r\n\r\n").unwrap();
    }
    for stream in &mut idle {
        let mut first = [0; 12];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
    }
    let each = (resident(&kura) - before) / IDLE as u64;
    println!("{each} bytes of memory for an idle connection");
    assert!(each <= 32 << 10, "{each} bytes each");
    let accounted = kura.metrics().of("kura_memory_bytes{part=\"connections\"}");
    assert!(accounted >= IDLE as u64 * each, "{accounted} bytes are accounted for");
    a_request_is_answered(&kura);
}

#[test]
fn as_many_silent_connections_as_are_taken_are_closed_and_make_room() {
    let kura = Kura::start(&["--capacity", "256MiB", "--idle-timeout", "1s", "--max-connections", "100"]);
    let silent = connect(&kura, 200);
    a_request_is_answered(&kura);
    all_are_closed(silent);
}

fn connect(kura: &Kura, count: usize) -> Vec<TcpStream> {
    // The customary soft limit is 1,024 files, and other tests run in this process.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    (0..count).map(|_| TcpStream::connect(kura.address()).unwrap()).collect()
}

fn a_request_is_answered(kura: &Kura) {
    assert_eq!(kura.put("/http/e2e/key", b"value").status, 200);
    assert_eq!(kura.get("/http/e2e/key").text(), "value");
}

/// Without a word: nothing was asked.
fn all_are_closed(silent: Vec<TcpStream>) {
    for mut stream in silent {
        let mut said = Vec::new();
        stream.read_to_end(&mut said).unwrap();
        assert!(said.is_empty(), "{:?}", String::from_utf8_lossy(&said));
    }
}
