//! The file of a unix socket: made before anybody may connect, and gone when the server is.
//! Promise: a socket that somebody listens on is not taken from him; one that nobody does is what a killed server left, and is replaced; what is no socket
//! is left alone.

use std::fs::{Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixSocket, UnixStream};

/// Through which commands reach a server, by its name in the data directory.
pub(crate) const ADMIN: &str = "admin.sock";

/// Who may connect: this user and its group.
const ANYBODY_NEAR: u32 = 0o660;

/// Only this user.
const OWNER: u32 = 0o600;

/// The most connections that wait to be taken; the system may bound it further.
const BACKLOG: u32 = 4096;

/// Why it cannot be listened on, and what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    #[error("somebody listens on {0}: stop that, or choose another with --unix-socket")]
    Taken(PathBuf),
    #[error("{0} is there and is no socket: move it away, or choose another with --unix-socket")]
    NoSocket(PathBuf),
    #[error("cannot listen on {path}: {source}; choose another with --unix-socket, a path of at most 107 bytes")]
    Listen { path: PathBuf, source: io::Error },
}

/// The file, which goes with this unless it is somebody else's by then.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    made: Identity,
}

/// What tells a file from another that is made in its place: a number alone is used again.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    number: u64,
    written: (i64, i64),
}

impl Identity {
    fn of(metadata: &Metadata) -> Identity {
        Identity { device: metadata.dev(), number: metadata.ino(), written: (metadata.mtime(), metadata.mtime_nsec()) }
    }
}

/// Listens at `path`.
///
/// # Errors
/// Says what to do.
pub(crate) async fn listen(path: &Path) -> Result<(UnixListener, SocketFile), SocketError> {
    let failed = |source| SocketError::Listen { path: path.to_owned(), source };
    make_room(path).await?;
    bind(path, ANYBODY_NEAR).map_err(failed)
}

/// Listens at `path`, which only this user may connect to.
///
/// # Errors
/// As the system says: `AddrInUse` where anything is there.
pub(crate) fn listen_for_owner(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    bind(path, OWNER)
}

/// Removes what a killed server left there, and nothing else.
pub(crate) async fn remove_dead(path: &Path) {
    // Whatever it is, it is not in the way of anything but a socket.
    let _ = make_room(path).await;
}

fn bind(path: &Path, mode: u32) -> io::Result<(UnixListener, SocketFile)> {
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    let file = SocketFile { path: path.to_owned(), made: Identity::of(&path.symlink_metadata()?) };
    // Nobody can connect before it listens.
    std::fs::set_permissions(path, Permissions::from_mode(mode))?;
    Ok((socket.listen(BACKLOG)?, file))
}

/// Removes what a killed server left.
async fn make_room(path: &Path) -> Result<(), SocketError> {
    let failed = |source| SocketError::Listen { path: path.to_owned(), source };
    match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(found) if !found.file_type().is_socket() => return Err(SocketError::NoSocket(path.to_owned())),
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path).map_err(failed),
        // Its queue is full.
        Err(error) if error.kind() == ErrorKind::WouldBlock => Err(SocketError::Taken(path.to_owned())),
        Err(error) => Err(failed(error)),
        Ok(_) => Err(SocketError::Taken(path.to_owned())),
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let found = self.path.symlink_metadata();
        if found.is_ok_and(|found| Identity::of(&found) == self.made) {
            // Whatever is left is replaced at the next start.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_is_for_user_and_group_and_goes_with_its_server() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kura.sock");
        let (_listener, file) = listen(&path).await.unwrap();
        let found = path.symlink_metadata().unwrap();
        assert!(found.file_type().is_socket());
        assert_eq!(found.permissions().mode() & 0o7777, ANYBODY_NEAR);
        UnixStream::connect(&path).await.unwrap();
        drop(file);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn one_that_somebody_listens_on_is_not_taken_and_a_dead_one_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kura.sock");
        let (listener, dead) = listen(&path).await.unwrap();
        let error = listen(&path).await.unwrap_err().to_string();
        assert!(error.contains("kura.sock") && error.contains("--unix-socket"), "{error}");
        assert!(path.exists());
        drop(listener);
        let (_listener, _file) = listen(&path).await.unwrap();
        // The first server ends late.
        drop(dead);
        UnixStream::connect(&path).await.unwrap();
    }

    #[tokio::test]
    async fn an_owners_socket_is_for_its_user_only_and_what_a_killed_server_left_of_it_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(ADMIN);
        let (listener, file) = listen_for_owner(&path).unwrap();
        assert_eq!(path.symlink_metadata().unwrap().permissions().mode() & 0o7777, OWNER);
        remove_dead(&path).await;
        assert_eq!(listen_for_owner(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
        UnixStream::connect(&path).await.unwrap();
        drop(listener);
        assert!(path.exists());
        remove_dead(&path).await;
        assert!(!path.exists());
        drop(file);
        std::fs::write(&path, "mine").unwrap();
        remove_dead(&path).await;
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    }

    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "mine").unwrap();
        assert!(matches!(listen(&path).await, Err(SocketError::NoSocket(_))));
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(listen(&link).await, Err(SocketError::NoSocket(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
        let long = directory.path().join("x".repeat(120));
        assert!(matches!(listen(&long).await, Err(SocketError::Listen { .. })));
        assert!(matches!(listen(&directory.path().join("no/where")).await, Err(SocketError::Listen { .. })));
    }
}
