//! Commands of real clients.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::wait::end_of;

/// No client's build takes longer, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(600);

/// Runs a command to its end. Returns what it printed, standard output before standard error.
///
/// # Panics
/// With all of that, if it fails.
pub fn run(command: &mut Command) -> String {
    let (status, text) = run_for_status(command);
    assert!(status.success(), "{command:?}: {status}\n{text}");
    text
}

/// The same for a command that may fail.
///
/// # Panics
/// If it cannot be started, or does not end.
pub fn run_for_status(command: &mut Command) -> (ExitStatus, String) {
    let (status, text) = run_within(command, PATIENCE);
    (status.unwrap_or_else(|| panic!("{command:?} does not end\n{text}")), text)
}

/// The same for a command that may not end: after `patience` it is killed with all that it started, and has no status.
///
/// # Panics
/// If it cannot be started.
pub fn run_within(command: &mut Command, patience: Duration) -> (Option<ExitStatus>, String) {
    let (mut stdout, mut stderr) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    command.stdin(Stdio::null()).stdout(stdout.try_clone().unwrap()).stderr(stderr.try_clone().unwrap());
    let mut child = command
        .process_group(0)
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}: is it installed? See .ci/run"));
    let group = Pid::from_child(&child);
    let status = end_of(&mut child, patience);
    if status.is_none() {
        let _ = kill_process_group(group, Signal::KILL);
    }
    (status, format!("{}{}", text_of(&mut stdout), text_of(&mut stderr)))
}

fn text_of(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}
