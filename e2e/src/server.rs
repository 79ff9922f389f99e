//! The released binary as a child process.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use ureq::Agent;

use crate::metrics::Metrics;

/// No test waits longer than this for one thing.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at something that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Longest answer that a test takes, in bytes.
const MAX_ANSWER: u64 = 1 << 30;

/// The binary under test.
///
/// # Panics
/// If `KURA_BIN` does not name it.
#[must_use]
pub fn kura_binary() -> PathBuf {
    PathBuf::from(std::env::var_os("KURA_BIN").expect("KURA_BIN names the released binary: run `just e2e`"))
}

/// Waits until `done`, looking again and again.
///
/// # Panics
/// With `what`, when patience ends.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// A client that takes every status as an answer.
#[must_use]
pub fn agent() -> Agent {
    let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
    config.max_idle_connections_per_host(64).build().into()
}

/// A server and its data directory. What it writes to standard error is looked through for panics at its end.
pub struct Kura {
    child: Child,
    flags: Vec<String>,
    data: PathBuf,
    address: String,
    printed: Arc<Mutex<String>>,
    agent: Agent,
    scratch: TempDir,
}

impl Kura {
    /// A server with a data directory of its own, ready to serve.
    #[must_use]
    pub fn start(flags: &[&str]) -> Kura {
        let scratch = tempfile::tempdir().unwrap();
        let data = scratch.path().join("data");
        Kura::launch(scratch, &data, flags)
    }

    /// The same with its data in `data`.
    #[must_use]
    pub fn start_in(data: &Path, flags: &[&str]) -> Kura {
        Kura::launch(tempfile::tempdir().unwrap(), data, flags)
    }

    fn launch(scratch: TempDir, data: &Path, flags: &[&str]) -> Kura {
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let (child, address, printed) = spawn(&scratch, data, "127.0.0.1:0", &flags);
        let kura = Kura { child, flags, data: data.to_owned(), address, printed, agent: agent(), scratch };
        kura.wait_until_ready();
        kura
    }

    fn wait_until_ready(&self) {
        until("the server to be ready", || self.get("/ready").status == 200);
    }

    /// Starts again on the same port, after [`Kura::stop`] or [`Kura::kill`].
    pub fn start_again(&mut self) {
        let (child, _, printed) = spawn(&self.scratch, &self.data, &self.address, &self.flags);
        (self.child, self.printed) = (child, printed);
        self.wait_until_ready();
    }

    /// SIGTERM, and its end.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.wait();
    }

    /// Waits for the end of the process.
    pub fn wait(&mut self) -> ExitStatus {
        let status = self.child.wait().unwrap();
        let log = std::fs::read_to_string(self.log()).unwrap();
        assert!(!log.contains("panicked"), "the server panicked:\n{log}");
        status
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn log(&self) -> PathBuf {
        self.scratch.path().join("log")
    }

    /// What it has logged.
    #[must_use]
    pub fn logged(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap()
    }

    /// What it has printed.
    #[must_use]
    pub fn printed(&self) -> String {
        self.printed.lock().clone()
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its data directory.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `GET`.
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        request(&self.agent, "GET", &self.url(path), &[])
    }

    /// `HEAD`.
    #[must_use]
    pub fn head(&self, path: &str) -> Answer {
        request(&self.agent, "HEAD", &self.url(path), &[])
    }

    /// `PUT`.
    #[must_use]
    pub fn put(&self, path: &str, body: &[u8]) -> Answer {
        request(&self.agent, "PUT", &self.url(path), body)
    }

    /// The address of `path`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Its counters.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        Metrics::parse(&self.get("/metrics").text())
    }
}

impl Drop for Kura {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What was answered. Status 0: nothing was.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One request.
#[must_use]
pub fn request(agent: &Agent, method: &str, url: &str, body: &[u8]) -> Answer {
    let sent = match method {
        "GET" => agent.get(url).call(),
        "HEAD" => agent.head(url).call(),
        "DELETE" => agent.delete(url).call(),
        _ => agent.put(url).send(body),
    };
    let Ok(mut answer) = sent else { return Answer { status: 0, body: Vec::new() } };
    let status = answer.status().as_u16();
    match answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec() {
        Ok(body) => Answer { status, body },
        Err(_) => Answer { status: 0, body: Vec::new() },
    }
}

/// Spawns the server and waits for the line that says where it listens.
fn spawn(scratch: &TempDir, data: &Path, listen: &str, flags: &[String]) -> (Child, String, Arc<Mutex<String>>) {
    let log = std::fs::File::options().create(true).append(true).open(scratch.path().join("log")).unwrap();
    let mut command = Command::new(kura_binary());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("KURA_")) {
        command.env_remove(name);
    }
    command.args(["serve", "--listen", listen, "--data-dir"]).arg(data).args(flags);
    let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    let address = first.trim().rsplit_once("http://").map(|(_, address)| address.to_owned());
    let address = address.unwrap_or_else(|| {
        panic!("it did not start: {}", std::fs::read_to_string(scratch.path().join("log")).unwrap())
    });
    let printed = Arc::new(Mutex::new(first));
    keep_reading(out, Arc::clone(&printed));
    (child, address, printed)
}

fn keep_reading(mut out: BufReader<ChildStdout>, printed: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = out.read(&mut bytes) {
            printed.lock().push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    });
}
