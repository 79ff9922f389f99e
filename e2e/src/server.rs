//! The released binary as a child process.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use ureq::Agent;

use crate::http::{Answer, agent, request};
use crate::metrics::Metrics;
use crate::tool::run;
use crate::wait::{PATIENCE, end_of, until};

/// A free port, on this machine only.
const ANY_PORT: &str = "127.0.0.1:0";

/// Where data is without configuration, below the home directory.
const DEFAULT_DATA: &str = ".local/share/kura";

/// The binary under test.
///
/// # Panics
/// If `KURA_BIN` does not name it.
#[must_use]
pub fn kura_binary() -> PathBuf {
    PathBuf::from(std::env::var_os("KURA_BIN").expect("KURA_BIN names the released binary: run `just e2e`"))
}

/// Sets limits of a process, then becomes the command that follows.
const PRLIMIT: &str = "/usr/bin/prlimit";

/// A server whose environment is a home directory of its own. It ends with this; its log is looked through for panics at each of its ends.
pub struct Kura {
    process: Process,
    /// The command that becomes the server, if there is one before it.
    through: Vec<String>,
    flags: Vec<OsString>,
    data: PathBuf,
    /// Scheme, host and port.
    origin: String,
    agent: Agent,
    home: TempDir,
}

impl Kura {
    /// A server, ready to serve, with its data where it is without configuration.
    #[must_use]
    pub fn start(flags: &[&str]) -> Kura {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join(DEFAULT_DATA);
        Kura::launch(home, data, flags.iter().map(OsString::from).collect(), Vec::new(), agent())
    }

    /// The same for whoever asks otherwise.
    pub(crate) fn start_asked_by(agent: Agent, flags: &[&str]) -> Kura {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join(DEFAULT_DATA);
        Kura::launch(home, data, flags.iter().map(OsString::from).collect(), Vec::new(), agent)
    }

    /// The same under a limit of the system, as `prlimit` takes it.
    #[must_use]
    pub fn start_limited(limit: &str, flags: &[&str]) -> Kura {
        Kura::start_through(vec![PRLIMIT.to_owned(), limit.to_owned()], flags)
    }

    /// The same, started by a command that becomes the one that follows it.
    #[must_use]
    pub fn start_through(command: Vec<String>, flags: &[&str]) -> Kura {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join(DEFAULT_DATA);
        Kura::launch(home, data, flags.iter().map(OsString::from).collect(), command, agent())
    }

    /// The same with its data in `data`.
    #[must_use]
    pub fn start_in(data: &Path, flags: &[&str]) -> Kura {
        let place = ["--data-dir".into(), data.as_os_str().to_owned()];
        let flags = place.into_iter().chain(flags.iter().map(OsString::from)).collect();
        Kura::launch(tempfile::tempdir().unwrap(), data.to_owned(), flags, Vec::new(), agent())
    }

    fn launch(home: TempDir, data: PathBuf, flags: Vec<OsString>, through: Vec<String>, agent: Agent) -> Kura {
        let mut process = Process::spawn(home.path(), ANY_PORT, &flags, &through);
        let origin = process.wait_for_address();
        let kura = Kura { process, through, flags, data, origin, agent, home };
        kura.wait_until_ready();
        kura
    }

    fn wait_until_ready(&self) {
        until("the server to be ready", || self.get("/ready").status == 200);
    }

    /// Starts again on the same port, after [`Kura::stop`] or [`Kura::kill`].
    pub fn start_again(&mut self) {
        self.process = Process::spawn(self.home.path(), self.address(), &self.flags, &self.through);
        self.process.wait_for_address();
        self.wait_until_ready();
    }

    /// Starts again, and kills it once it has taken its port, wherever its start stands then.
    pub fn start_and_kill(&mut self) {
        self.process = Process::spawn(self.home.path(), self.address(), &self.flags, &self.through);
        self.process.wait_for_address();
        self.kill();
    }

    /// Does that now, again after a restart, and again after `kill -9`.
    pub fn in_each_life(&mut self, what: impl Fn(&Kura)) {
        what(self);
        assert!(self.stop().success());
        self.start_again();
        what(self);
        self.kill();
        self.start_again();
        what(self);
    }

    /// SIGTERM, and its end.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.child.kill().unwrap();
        self.wait();
    }

    /// Waits for the end of the process.
    pub fn wait(&mut self) -> ExitStatus {
        let status = end_of(&mut self.process.child, PATIENCE);
        assert!(!self.logged().contains("panicked"), "the server panicked:\n{}", self.logged());
        status.unwrap_or_else(|| panic!("the server does not end:\n{}", self.logged()))
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process.child), signal).unwrap();
    }

    /// What it has logged, over all its starts.
    #[must_use]
    pub fn logged(&self) -> String {
        self.process.logged()
    }

    /// What it has printed since it was started last.
    #[must_use]
    pub fn printed(&self) -> String {
        self.process.printed.lock().clone()
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> &str {
        self.origin.split_once("://").unwrap().1
    }

    /// Its data directory.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// `GET`.
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        request(&self.agent, "GET", &self.url(path), &[])
    }

    /// `PUT`.
    #[must_use]
    pub fn put(&self, path: &str, body: &[u8]) -> Answer {
        request(&self.agent, "PUT", &self.url(path), body)
    }

    /// `POST`.
    #[must_use]
    pub fn post(&self, path: &str, body: &[u8]) -> Answer {
        request(&self.agent, "POST", &self.url(path), body)
    }

    /// `DELETE`.
    #[must_use]
    pub fn delete(&self, path: &str) -> Answer {
        request(&self.agent, "DELETE", &self.url(path), &[])
    }

    /// The address of `path`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// The lines that `kura setup` prints for a client of it, with those flags.
    #[must_use]
    pub fn lines(&self, client: &str, flags: &[&str]) -> String {
        let mut command = Command::new(kura_binary());
        let printed = run(command.env_clear().args(["setup", client, "--server", &self.origin]).args(flags));
        printed.split_once('\n').unwrap().1.to_owned()
    }

    /// Its counters.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        Metrics::parse(&self.get("/metrics").text())
    }
}

impl Drop for Kura {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = self.process.child.kill();
            self.wait();
        }
    }
}

/// One run of the binary; killed when dropped.
struct Process {
    child: Child,
    printed: Arc<Mutex<String>>,
    log: PathBuf,
}

impl Process {
    fn spawn(home: &Path, listen: &str, flags: &[OsString], through: &[String]) -> Process {
        let log = home.join("log");
        let stderr = File::options().create(true).append(true).open(&log).unwrap();
        let mut command = match through {
            [] => Command::new(kura_binary()),
            [first, others @ ..] => {
                let mut command = Command::new(first);
                command.args(others).arg(kura_binary());
                command
            }
        };
        command.env_clear().env("HOME", home).args(["serve", "--listen", listen]).args(flags);
        let mut child = command.stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let printed = Arc::new(Mutex::new(String::new()));
        keep_reading(child.stdout.take().unwrap(), Arc::clone(&printed));
        Process { child, printed, log }
    }

    /// Waits for the line that says where it listens.
    fn wait_for_address(&mut self) -> String {
        let mut address = None;
        until("the server to say where it listens", || {
            address = address_in(&self.printed.lock());
            address.is_some() || self.child.try_wait().unwrap().is_some()
        });
        address.unwrap_or_else(|| panic!("it did not start:\n{}", self.logged()))
    }

    fn logged(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Scheme, host and port in the first line, once that is complete.
fn address_in(printed: &str) -> Option<String> {
    let (line, _) = printed.split_once('\n')?;
    line.find("http").map(|at| line[at..].to_owned())
}

fn keep_reading(mut out: ChildStdout, printed: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = out.read(&mut bytes) {
            printed.lock().push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    });
}
