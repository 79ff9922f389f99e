//! SIGTERM and SIGINT: the first lets requests end, the second does not wait. What was acknowledged is there after both.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::io::{Read, Write};
use std::net::TcpStream;

use kura_e2e::{Kura, until};
use rustix::process::Signal;

/// What a process that was told twice exits with.
const TOLD_TWICE: i32 = 130;

#[test]
fn sigterm_lets_an_upload_end_and_exits_with_0() {
    let mut kura = Kura::start(&["--capacity", "256MiB"]);
    let mut upload = begin_upload(&kura);
    kura.signal(Signal::TERM);
    until("the drain", || kura.logged().contains("draining"));
    upload.write_all(b" second").unwrap();
    let mut answer = String::new();
    upload.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(kura.wait().success());
    kura.start_again();
    assert_eq!(kura.get("/http/e2e/upload").text(), "first second");
}

#[test]
fn a_second_sigint_stops_at_once_and_loses_nothing() {
    let mut kura = Kura::start(&["--capacity", "256MiB"]);
    assert_eq!(kura.put("/http/e2e/kept", b"kept").status, 200);
    // An upload that never ends keeps the drain waiting.
    let _upload = begin_upload(&kura);
    kura.signal(Signal::INT);
    until("the drain", || kura.logged().contains("draining"));
    kura.signal(Signal::INT);
    assert_eq!(kura.wait().code(), Some(TOLD_TWICE));
    kura.start_again();
    assert_eq!(kura.get("/http/e2e/kept").text(), "kept");
    assert_eq!(kura.get("/http/e2e/upload").status, 404);
}

/// Half an upload. Returns once the server has that half.
fn begin_upload(kura: &Kura) -> TcpStream {
    let received = || kura.metrics().of("kura_http_received_bytes_total{surface=\"http\"}");
    let before = received();
    let mut stream = TcpStream::connect(kura.address()).unwrap();
    let head = "PUT /http/e2e/upload HTTP/1.1\r\nhost: kura\r\ncontent-length: 12\r\n\r\n";
    stream.write_all(format!("{head}first").as_bytes()).unwrap();
    until("the upload to be under way", || received() == before + 5);
    stream
}
