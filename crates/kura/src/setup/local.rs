//! A server that is reached by a unix socket: what it says of itself, and why it says nothing.

use std::io::{self, ErrorKind};
use std::path::Path;

use crate::client::Failure;
use crate::client::local::ask;

/// The body of an answer, whatever its status.
///
/// # Errors
/// If there was no answer.
pub(super) fn get(socket: &Path, path: &str) -> io::Result<String> {
    Ok(ask(socket, "GET", path)?.1)
}

/// What came of no answer at all.
pub(super) fn unreachable(socket: &Path, error: &io::Error) -> Failure {
    let path = socket.display();
    match error.kind() {
        ErrorKind::NotFound => {
            Failure::Later(format!("there is no socket {path}: is Kura started with --unix-socket {path}?"))
        }
        ErrorKind::ConnectionRefused => Failure::Later(format!("nothing listens on {path}: is Kura started there?")),
        ErrorKind::PermissionDenied => Failure::Refused(format!(
            "this user may not open {path}: that is for the user that Kura runs as, and its group"
        )),
        _ => Failure::Later(format!("the connection to {path} broke off: {error}")),
    }
}
