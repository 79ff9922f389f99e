//! The packages from npm that real clients come in: where `NODE_PATH` says they are.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A command of one of the packages, to be run in `directory`.
#[must_use]
pub fn node_command(name: &str, directory: &Path) -> Command {
    let mut command = Command::new(node_modules().join(".bin").join(name));
    command.current_dir(directory).env("CI", "true").env("NO_COLOR", "1");
    command
}

/// The directory of the packages.
///
/// # Panics
/// Where nobody says where it is.
#[must_use]
pub fn node_modules() -> PathBuf {
    std::env::var_os("NODE_PATH").expect("NODE_PATH names the directory of npm's packages: see .ci/run").into()
}
