//! `--unix-socket` of the binary: served beside the port, refused while another listens on it, gone at a stop, and taken over after a kill.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

fn serving(directory: &Path, data: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kura"));
    command.env_clear().args(["serve", "--listen", "127.0.0.1:0", "--capacity", "136MiB", "--unix-socket"]);
    command.arg(directory.join("kura.sock")).arg("--data-dir").arg(directory.join(data));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A server that serves.
fn started(directory: &Path) -> Child {
    let mut server = serving(directory, "data").spawn().unwrap();
    let mut said = BufReader::new(server.stdout.as_mut().unwrap()).lines().map(Result::unwrap);
    assert!(said.next().unwrap().contains("listens on"));
    // What comes next is printed once it serves.
    said.next().unwrap();
    server
}

fn is_up(socket: &Path) -> bool {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(b"GET /up HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("{\"up\":true}\n")
}

/// What `setup --check` says of it.
fn check(socket: &Path) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kura"));
    command.env_clear().args(["setup", "--check", "xcode", "--server", &format!("unix:{}", socket.display())]);
    let output = command.output().unwrap();
    (output.status.code().unwrap(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[test]
fn a_socket_lives_as_long_as_its_server() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("kura.sock");
    let mut server = started(directory.path());
    assert!(is_up(&socket));

    let second = serving(directory.path(), "other").output().unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(!second.status.success() && said.contains("somebody listens on"), "{said}");
    assert!(is_up(&socket), "it is the first one's");

    server.kill().unwrap();
    server.wait().unwrap();
    assert!(socket.exists(), "nobody was left to remove it");
    assert_eq!(check(&socket), (4, format!("kura: nothing listens on {}: is Kura started there?\n", socket.display())));
    let mut server = started(directory.path());
    assert!(is_up(&socket));
    assert_eq!(check(&socket), (0, format!("Xcode can store and fetch at unix:{}\n", socket.display())));
    kill_process(Pid::from_child(&server), Signal::TERM).unwrap();
    assert!(server.wait().unwrap().success());
    assert!(!socket.exists());
    let (status, said) = check(&socket);
    assert!(status == 4 && said.starts_with("kura: there is no socket "), "{said}");
}
