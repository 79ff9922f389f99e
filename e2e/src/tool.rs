//! Commands of real clients.

use std::process::{Command, ExitStatus, Output};

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
pub fn run_for_status(command: &mut Command) -> (ExitStatus, String) {
    let Output { status, stdout, stderr } =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}: is it installed? See .ci/run"));
    (status, format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)))
}
