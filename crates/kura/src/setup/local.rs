//! A server that is reached by a unix socket: what it says of itself, and why it says nothing.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::client::{Failure, MAX_TEXT, PATIENCE};

/// The body of an answer, whatever its status.
///
/// # Errors
/// If there was no answer.
pub(super) fn get(socket: &Path, path: &str) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(MAX_TEXT).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    Ok(answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
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
