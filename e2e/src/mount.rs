//! A filesystem of its own for a data directory. Its bytes are nobody else's.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::tool::run;

/// A mounted filesystem; unmounted when dropped.
pub struct Mount {
    directory: TempDir,
    _image: Option<TempDir>,
}

impl Mount {
    /// ext4 in an image of `mebibytes`.
    #[must_use]
    pub fn ext4(mebibytes: u64) -> Mount {
        let image = tempfile::tempdir().unwrap();
        let file = image.path().join("image");
        std::fs::File::create(&file).unwrap().set_len(mebibytes << 20).unwrap();
        run(Command::new("mkfs.ext4").args(["-q", "-m", "0"]).arg(&file));
        let directory = tempfile::tempdir().unwrap();
        run(Command::new("mount").args(["-o", "loop"]).arg(&file).arg(directory.path()));
        Mount { directory, _image: Some(image) }
    }

    /// A tmpfs of `mebibytes`.
    #[must_use]
    pub fn tmpfs(mebibytes: u64) -> Mount {
        let directory = tempfile::tempdir().unwrap();
        let size = format!("size={mebibytes}m");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(directory.path()));
        Mount { directory, _image: None }
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Bytes in use on it.
    #[must_use]
    pub fn used(&self) -> u64 {
        let stat = rustix::fs::statvfs(self.path()).unwrap();
        (stat.f_blocks - stat.f_bfree) * stat.f_frsize
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a test that failed may have left its server running.
        let _ = rustix::mount::unmount(self.path(), rustix::mount::UnmountFlags::DETACH);
    }
}
