//! I/O errors that say what was done to which file, and still tell their errno.

use std::fmt;
use std::io;

/// An I/O error with its operation and path.
#[derive(Debug)]
struct OnFile {
    operation: &'static str,
    path: String,
    source: io::Error,
}

impl fmt::Display for OnFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.operation, self.path, self.source)
    }
}

impl std::error::Error for OnFile {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Names the operation and the file of an error; its kind stays.
pub(crate) fn on_file(operation: &'static str, path: &str, source: io::Error) -> io::Error {
    io::Error::new(source.kind(), OnFile { operation, path: path.to_owned(), source })
}

/// The error number that the system gave, if it did.
#[must_use]
pub fn errno(error: &io::Error) -> Option<i32> {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<OnFile>());
    error.raw_os_error().or_else(|| inner.and_then(|inner| inner.source.raw_os_error()))
}

/// The same error once more, for another who waits for it.
#[must_use]
pub fn again(error: &io::Error) -> io::Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<OnFile>()) {
        Some(inner) => on_file(inner.operation, &inner.path, again(&inner.source)),
        None => match error.raw_os_error() {
            Some(errno) => io::Error::from_raw_os_error(errno),
            None => io::Error::new(error.kind(), error.to_string()),
        },
    }
}
