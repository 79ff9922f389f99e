//! Connections that send nothing keep nobody out: not a thousand of them, and not as many as the server takes.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::io::{Read, Write};
use std::net::TcpStream;

use kura_e2e::{Kura, until};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};

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
    // However long it takes to open so many, the first are still there at the end.
    let kura = Kura::start(&["--capacity", "256MiB", "--max-connections", "10000", "--idle-timeout", "1h"]);
    a_request_is_answered(&kura);
    let before = resident(&kura);
    let _idle: Vec<TcpStream> = connections(&kura, IDLE).inspect(answered).collect();
    let each = (resident(&kura) - before) / IDLE as u64;
    println!("{each} bytes of memory for an idle connection");
    assert!(each <= 32 << 10, "{each} bytes each");
    let accounted = kura.metrics().of("kura_memory_bytes{part=\"connections\"}");
    assert!(accounted >= IDLE as u64 * each, "{accounted} bytes are accounted for");
    a_request_is_answered(&kura);
}

#[test]
fn a_connection_of_http2_is_accounted_for_with_what_is_gathered_to_be_sent() {
    let kura = Kura::start(&["--capacity", "256MiB"]);
    let accounted = || kura.metrics().of("kura_memory_bytes{part=\"connections\"}");
    let before = accounted();
    let mut http2 = connect(&kura, 1).remove(0);
    // Its preface (RFC 9113, section 3.4): a text, and a frame of no settings. The server sends its own.
    http2.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    http2.read_exact(&mut [0; 9]).unwrap();
    assert_eq!(accounted() - before, 64 << 10);
    drop(http2);
    until("it to be let go", || accounted() == before);
}

#[test]
fn as_many_silent_connections_as_are_taken_are_closed_and_make_room() {
    let kura = Kura::start(&["--capacity", "256MiB", "--idle-timeout", "1s", "--max-connections", "100"]);
    let silent = connect(&kura, 200);
    a_request_is_answered(&kura);
    all_are_closed(silent);
}

/// What has come while the server could not look is served once it can: nobody's connection had to be tried again, which takes the system a second.
#[test]
fn connections_that_come_all_at_once_wait_for_their_turn() {
    let kura = Kura::start(&["--capacity", "256MiB"]);
    kura.signal(Signal::STOP);
    let waiting = connect(&kura, 2_000);
    kura.signal(Signal::CONT);
    waiting.iter().for_each(answered);
}

/// Asks, and waits for the answer.
fn answered(mut stream: &TcpStream) {
    let mut first = [0; 12];
    stream.write_all(b"GET /ready HTTP/1.1\r\nHost: e2e\r\n\r\n").unwrap();
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
}

fn connect(kura: &Kura, count: usize) -> Vec<TcpStream> {
    connections(kura, count).collect()
}

fn connections(kura: &Kura, count: usize) -> impl Iterator<Item = TcpStream> {
    // The customary soft limit is 1,024 files, and other tests run in this process.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    (0..count).map(|_| TcpStream::connect(kura.address()).unwrap())
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
