//! Commands of real clients.

use std::fs::File;
use std::io::{Read, Seek};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

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
    let (mut stdout, mut stderr) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    command.stdin(Stdio::null()).stdout(stdout.try_clone().unwrap()).stderr(stderr.try_clone().unwrap());
    let mut child =
        command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}: is it installed? See .ci/run"));
    let status = end_of(&mut child, PATIENCE);
    let text = format!("{}{}", text_of(&mut stdout), text_of(&mut stderr));
    (status.unwrap_or_else(|| panic!("{command:?} does not end\n{text}")), text)
}

fn text_of(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}
