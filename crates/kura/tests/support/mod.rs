//! What the tests of client commands share: the binary as a server, a server that answers as it is told, and what a command came to.
#![allow(clippy::disallowed_methods, reason = "the threads of a test are in no simulation")]
#![allow(dead_code, reason = "each uses a part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

fn kura() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kura"));
    command.env_clear();
    command
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: i32,
    pub(crate) printed: Vec<u8>,
    pub(crate) said: String,
}

/// Runs a command against a server, in a directory, with that on standard input.
pub(crate) fn run_in(directory: &Path, server: &str, arguments: &[&str], input: &[u8]) -> Ended {
    let mut command = kura();
    command.current_dir(directory).args(arguments).env("KURA_SERVER", server);
    end_of(command, input)
}

/// The same with variables of its environment.
pub(crate) fn run_with(variables: &[(&str, &str)], server: &str, arguments: &[&str]) -> Ended {
    let mut command = kura();
    command.args(arguments).env("KURA_SERVER", server).envs(variables.iter().copied());
    end_of(command, &[])
}

fn end_of(mut command: Command, input: &[u8]) -> Ended {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that does not read it may have ended.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains("panicked"), "{said}");
    Ended { status: output.status.code().unwrap(), printed: output.stdout, said }
}

/// The same where neither matters.
pub(crate) fn run(server: &str, arguments: &[&str]) -> Ended {
    run_in(Path::new("/"), server, arguments, &[])
}

/// The binary, serving.
pub(crate) struct Served {
    process: Child,
    pub(crate) address: String,
    /// With its scheme.
    pub(crate) url: String,
    data: TempDir,
}

impl Served {
    pub(crate) fn start() -> Served {
        Served::with(&[])
    }

    pub(crate) fn with(flags: &[&str]) -> Served {
        Served::again(tempfile::tempdir().unwrap(), flags)
    }

    /// On what another left.
    pub(crate) fn again(data: TempDir, flags: &[&str]) -> Served {
        let mut command = kura();
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--capacity", "136MiB", "--data-dir"])
            .arg(data.path())
            .args(flags);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        let url = first.split(' ').next_back().unwrap().to_owned();
        let address = url.split_once("://").unwrap().1.to_owned();
        // What comes next is printed once it serves.
        lines.next().unwrap().unwrap();
        std::thread::spawn(move || lines.for_each(drop));
        Served { process, address, url, data }
    }

    pub(crate) fn data_directory(&self) -> &Path {
        self.data.path()
    }

    /// Has it read its files again.
    pub(crate) fn hang_up(&self) {
        let sent = Command::new("kill").args(["-HUP", &self.process.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Ends it; its data directory.
    pub(crate) fn stop(&mut self) -> TempDir {
        let _ = self.process.kill();
        let _ = self.process.wait();
        std::mem::replace(&mut self.data, tempfile::tempdir().unwrap())
    }

    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    /// Runs `kura token` about its tokens, with success; what it printed.
    pub(crate) fn token(&self, arguments: &[&str]) -> String {
        let place = ["--data-dir", self.data.path().to_str().unwrap()];
        let ended = run(&self.address, &[&["token"], arguments, &place].concat());
        assert_eq!(ended.status, 0, "{ended:?}");
        String::from_utf8(ended.printed).unwrap().trim_end().to_owned()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Answers each connection's first request, told by its head, and closes it. Ends with the test's process.
pub(crate) fn answering(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // Whoever goes away before the answer does not want it.
            let _ = answer_one(stream.unwrap(), &answer);
        }
    });
    address
}

fn answer_one(stream: TcpStream, answer: &impl Fn(&str) -> Vec<u8>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        if let Some(told) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = told.trim().parse().unwrap();
        }
        head.push_str(&line);
    }
    if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        let mut line = String::new();
        while line != "0\r\n" {
            line.clear();
            reader.read_line(&mut line)?;
        }
    }
    reader.take(length).read_to_end(&mut Vec::new())?;
    let mut stream = stream;
    stream.write_all(&answer(&head))
}

/// An address at which nothing listens.
pub(crate) fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Who vouches for servers.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its certificate in a file of that directory.
    pub(crate) fn file(&self, directory: &TempDir) -> String {
        written(directory, "ca.pem", &self.0.pem())
    }

    /// Flags for a server whose certificate is for that name, and not good any more after that year.
    pub(crate) fn vouch_for(&self, directory: &TempDir, name: &str, until: i32) -> Vec<String> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(until, 12, 31);
        let certificate = params.signed_by(&key, &self.0).unwrap().pem();
        let certificate = written(directory, "certificate.pem", &certificate);
        let key = written(directory, "key.pem", &key.serialize_pem());
        vec!["--tls-certificate".to_owned(), certificate, "--tls-key".to_owned(), key]
    }
}

fn written(directory: &TempDir, name: &str, text: &str) -> String {
    let path = directory.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}
