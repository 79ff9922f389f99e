//! Connections that send nothing keep nobody out: not a thousand of them, and not as many as the server takes.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::io::Read;
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
