//! `kura setup --check` against what tests beside the binary cannot have: a filesystem that is full, and nginx. For each client the sentence is right.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use kura_e2e::{Kura, Mount, Neighbour, S3, kura_binary, run_for_status, until};
use tempfile::TempDir;

const CLIENTS: [&str; 14] = [
    "bazel",
    "gradle",
    "ccache",
    "sccache",
    "turbo",
    "nx",
    "metro",
    "buildstream",
    "buck2",
    "pants",
    "moon",
    "xcode",
    "http",
    "s3",
];

/// Puts of one size that are refused in a row before the next smaller one is tried.
const ENOUGH: usize = 3;

fn each_says(server: &str, status: i32, sentence: &str, mut before: impl FnMut()) {
    for client in CLIENTS {
        before();
        let mut command = Command::new(kura_binary());
        command.env_clear().env("AWS_ACCESS_KEY_ID", S3::ID).env("AWS_SECRET_ACCESS_KEY", S3::SECRET);
        let (ended, text) = run_for_status(command.args(["setup", "--check", client, "--server", server]));
        assert!(text.contains(sentence), "{client}: {text}");
        assert!(!text.trim_end().ends_with(':'), "it says why: {text}");
        assert_eq!(ended.code(), Some(status), "{client}: {text}");
    }
}

#[test]
fn a_full_disk_is_called_one_and_a_server_with_room_a_healthy_one() {
    let mount = Mount::ext4(512);
    let s3 = S3::new();
    let flags = [&["--capacity", "256MiB", "--room-wait", "200ms"], &s3.flags()[..]].concat();
    let kura = Kura::start_in(&mount.path().join("data"), &flags);
    each_says(&kura.url(""), 0, "can store and fetch at", || {});
    let mut neighbour = Neighbour::new(&mount);
    for size in [1 << 20, 64 << 10, 4 << 10, 256, 1] {
        let mut refused = 0;
        let mut number = 0;
        while refused < ENOUGH {
            neighbour.take_all();
            let status = kura.put(&format!("/http/e2e/{size}/{number}"), &vec![1; size]).status;
            refused = if status == 200 { 0 } else { refused + 1 };
            number += 1;
        }
    }
    let sentence = format!("the disk of {} is full, and no room could be made on it", kura.address());
    each_says(&kura.url(""), 3, &sentence, || neighbour.take_all());
    neighbour.leave();
    until("room", || kura.put("/http/e2e/last", &[1; 1 << 20]).status == 200);
    each_says(&kura.url(""), 0, "can store and fetch at", || {});
}

#[test]
fn nginx_is_called_by_its_name() {
    let nginx = Nginx::start();
    let sentence = format!("what listens at {} is not Kura: it calls itself nginx", nginx.address);
    each_says(&nginx.address, 3, &sentence, || {});
}

/// A server of files, as it comes.
struct Nginx {
    process: Child,
    address: String,
    _directory: TempDir,
}

impl Nginx {
    fn start() -> Nginx {
        let directory = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let root = directory.path().display();
        let settings = format!(
            "daemon off; pid {root}/pid; error_log stderr;\nevents {{}}\n\
             http {{ access_log off; client_body_temp_path {root}; server {{ listen {address}; root {root}; }} }}\n"
        );
        std::fs::write(directory.path().join("nginx.conf"), settings).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-c").arg(directory.path().join("nginx.conf")).stderr(Stdio::null());
        let process = command.spawn().unwrap_or_else(|error| panic!("nginx: {error}: is it installed? See .ci/run"));
        let nginx = Nginx { process, address, _directory: directory };
        until("nginx to listen", || TcpStream::connect(&nginx.address).is_ok());
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Asked to, and not killed: it has workers of its own.
        let pid = rustix::process::Pid::from_child(&self.process);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.process.wait();
    }
}
