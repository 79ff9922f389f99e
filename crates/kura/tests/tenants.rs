//! `--tenants`: one tenant that floods a server gets what it may take, and the others get their answers; what the file says may change while the server runs.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
#![allow(clippy::disallowed_methods, reason = "the threads of a test are in no simulation")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use support::{Served, run};

/// A connection that somebody asks on, again and again.
struct Asking {
    stream: TcpStream,
    request: String,
}

impl Asking {
    fn of(kura: &Served, token: &str) -> Asking {
        let stream = TcpStream::connect(&kura.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Asking {
            stream,
            request: format!("GET /cache/0123 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"),
        }
    }

    /// The status of one answer.
    fn ask(&mut self) -> u16 {
        self.stream.write_all(self.request.as_bytes()).unwrap();
        let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
        // Each body is a line of JSON.
        while !answer.ends_with(b"}\n") {
            let read = self.stream.read(&mut buffer).unwrap();
            assert!(read > 0, "closed: {}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&buffer[..read]);
        }
        String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap().parse().unwrap()
    }
}

/// Tokens of these tenants, which the server has read.
fn tokens<const N: usize>(kura: &Served, tenants: [&str; N]) -> [String; N] {
    let tokens = tenants.map(|tenant| kura.token(&["create", "--role", "reader", "--tenant", tenant]));
    let last = tokens.last().unwrap();
    let known = || run(&kura.address, &["head", "ns/key", "--token", last]).status == 1;
    // Each time is a process: that takes longer than the server takes to look.
    assert!((0..5000).any(|_| known()), "it does not know the token");
    tokens
}

#[test]
fn of_three_tenants_one_floods_and_the_others_are_answered() {
    const A_SECOND: u64 = 20;
    const ASKED: usize = 500;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tenants.toml");
    fs::write(&file, format!("[tenant.flood]\nrequests = {A_SECOND}\n")).unwrap();
    let kura = Served::with(&["--auth", "--tenants", file.to_str().unwrap()]);
    let [flood, one, other] = tokens(&kura, ["flood", "one", "other"]);
    let (over, answered, begun) = (AtomicBool::new(false), AtomicU64::new(0), Instant::now());
    std::thread::scope(|scope| {
        // More connections than turns that anybody waits for: some are refused.
        for _ in 0..64 {
            scope.spawn(|| {
                let mut asking = Asking::of(&kura, &flood);
                while !over.load(Ordering::Relaxed) {
                    match asking.ask() {
                        404 => drop(answered.fetch_add(1, Ordering::Relaxed)),
                        status => assert_eq!(status, 429),
                    }
                }
            });
        }
        let others = [&one, &other].map(|token| {
            scope.spawn(|| {
                let mut asking = Asking::of(&kura, token);
                (0..ASKED).filter(|_| asking.ask() == 404).count()
            })
        });
        let counts = others.map(|other| other.join().unwrap());
        over.store(true, Ordering::Relaxed);
        assert_eq!(counts, [ASKED; 2], "each of them had each of its answers");
    });
    // What it had saved up, what came since, and what may wait.
    let most = A_SECOND * (begun.elapsed().as_secs() + 1 + 1 + 2) + 1;
    let answered = answered.into_inner();
    assert!(answered <= most, "{answered} answers, of at most {most}");
}

#[test]
fn what_the_file_says_holds_once_it_is_written_and_what_cannot_be_used_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tenants.toml");
    let flags = ["--auth", "--tenants", file.to_str().unwrap()];
    let data = tempfile::tempdir().unwrap();
    let start =
        [&["serve", "--data-dir", data.path().to_str().unwrap(), "--listen", "127.0.0.1:0"], &flags[..]].concat();
    let refused = run("", &start);
    assert!(refused.status != 0 && refused.said.contains("tenants.toml"), "{refused:?}");
    fs::write(&file, "").unwrap();
    let kura = Served::with(&flags);
    let [token] = tokens(&kura, ["acme"]);
    let mut asking = Asking::of(&kura, &token);
    // Of four a second and four at once some wait, and then one is refused.
    let refusal = |times: usize| {
        std::thread::scope(|scope| {
            let asked = (0..16).map(|_| {
                scope.spawn(|| {
                    let mut asking = Asking::of(&kura, &token);
                    (0..times).any(|_| asking.ask() == 429)
                })
            });
            let asked: Vec<_> = asked.collect();
            asked.into_iter().any(|asked| asked.join().unwrap())
        })
    };
    assert!(!refusal(4) && asking.ask() == 404);
    fs::write(&file, "[tenant.acme]\nrequests = 1\n").unwrap();
    assert!((0..1000).any(|_| refusal(1)), "it was not read again");
    fs::write(&file, "[tenant.acme]\nrequests = 0\n").unwrap();
    assert!((0..4).any(|_| refusal(1)), "what held holds still");
    fs::write(&file, "[tenant.acme]\n").unwrap();
    assert!((0..1000).any(|_| !refusal(4)), "it was not read again");
}

/// Sends requests on one connection.
struct Storing<'a> {
    stream: TcpStream,
    token: &'a str,
}

impl Storing<'_> {
    fn of<'a>(kura: &Served, token: &'a str) -> Storing<'a> {
        Storing { stream: TcpStream::connect(&kura.address).unwrap(), token }
    }

    /// The head of an answer, whose body is left out.
    fn send(&mut self, method: &str, path: &str, body: &[u8]) -> String {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n",
            self.token,
            body.len()
        );
        self.stream.write_all(head.as_bytes()).unwrap();
        self.stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        String::from_utf8(answer).unwrap()
    }

    fn put(&mut self, at: usize, body: &[u8]) {
        let answer = self.send("PUT", &format!("/http/main/{at}"), body);
        assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
    }

    fn has(&mut self, at: usize) -> bool {
        self.send("HEAD", &format!("/http/main/{at}"), &[]).starts_with("HTTP/1.1 200")
    }
}

#[test]
fn of_two_tenants_with_quotas_one_stores_far_too_much_and_the_other_loses_nothing() {
    const KEPT: usize = 100;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tenants.toml");
    let both = "[tenant.flood]\nbytes = \"128MiB\"\n[tenant.careful]\nbytes = \"100%\"\n";
    fs::write(&file, both).unwrap();
    let flags = ["--auth", "--lease", "0s", "--tenants", file.to_str().unwrap()];
    let kura = Served::with(&flags);
    let writer = |tenant| kura.token(&["create", "--role", "writer", "--tenant", tenant]);
    let [flood, careful] = [writer("flood"), writer("careful")];
    let known = || run(&kura.address, &["head", "ns/key", "--token", &careful]).status == 1;
    assert!((0..5000).any(|_| known()), "it does not know the token");
    let mut careful = Storing::of(&kura, &careful);
    (0..KEPT).for_each(|at| careful.put(at, &[1; 50_000]));
    // Twice what the server can hold.
    let mut flood = Storing::of(&kura, &flood);
    (0..270).for_each(|at| flood.put(at, &[2; 1_000_000]));
    assert!((0..KEPT).all(|at| careful.has(at)));
    assert!(flood.has(269) && !flood.has(0));
}

#[test]
fn a_quota_that_cannot_be_kept_to_is_refused_at_the_start_and_changes_nothing_later() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tenants.toml");
    fs::write(&file, "[tenant.acme]\nbytes = \"1MiB\"\n").unwrap();
    let data = tempfile::tempdir().unwrap();
    let path = |directory: &std::path::Path| directory.to_str().unwrap().to_owned();
    let (at, terms) = (path(data.path()), path(&file));
    let start = ["serve", "--data-dir", &at, "--listen", "127.0.0.1:0", "--capacity", "136MiB", "--tenants", &terms];
    let refused = run("", &start);
    assert!(refused.status != 0 && refused.said.contains("1 MiB for acme, and 128 MiB is the least"), "{refused:?}");

    fs::write(&file, "[tenant.default]\nbytes = \"130MiB\"\n").unwrap();
    let kura = Served::with(&["--tenants", &terms]);
    let quota = || {
        let metrics = metrics(&kura);
        let line = metrics.lines().find(|line| line.starts_with("kura_store_tenant_quota_bytes{tenant=\"default\"}"));
        line.unwrap_or_else(|| panic!("{metrics}")).rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(quota(), 130 << 20);
    fs::write(&file, "[tenant.default]\nbytes = \"132MiB\"\n").unwrap();
    assert!((0..100_000).any(|_| quota() == 132 << 20), "it was not read again");
    // Of this not even the limit of requests holds, which could be kept to.
    fs::write(&file, "[default]\nrequests = 1\n[tenant.default]\nbytes = \"2MiB\"\n").unwrap();
    kura.hang_up();
    assert!((0..300).all(|_| quota() == 132 << 20), "what held holds still");
}

fn metrics(kura: &Served) -> String {
    let mut stream = TcpStream::connect(&kura.address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}
