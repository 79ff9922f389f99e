//! A filesystem of its own for a data directory. Its bytes are nobody else's.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fs::StatVfs;
use tempfile::TempDir;

use crate::tool::run;

/// How often the bytes in use are looked at under load.
const SAMPLE_EVERY: Duration = Duration::from_millis(100);

/// The file that holds an ext4.
const IMAGE: &str = "image";

/// A mounted filesystem; unmounted when dropped.
pub struct Mount {
    directory: TempDir,
    image: Option<TempDir>,
}

impl Mount {
    /// ext4 in an image of `mebibytes`.
    #[must_use]
    pub fn ext4(mebibytes: u64) -> Mount {
        let image = tempfile::tempdir().unwrap();
        let file = image.path().join(IMAGE);
        std::fs::File::create(&file).unwrap().set_len(mebibytes << 20).unwrap();
        run(Command::new("mkfs.ext4").args(["-q", "-m", "0"]).arg(&file));
        let directory = tempfile::tempdir().unwrap();
        mount_image(&file, directory.path());
        Mount { directory, image: Some(image) }
    }

    /// Takes no more writes, as after an error of the device. Only of ext4.
    pub fn stop_writing(&self) {
        run(Command::new("mount").args(["-o", "remount,abort"]).arg(self.path()));
    }

    /// Mounts it anew, once nobody uses it. Only of ext4.
    pub fn mount_again(&self) {
        let image = self.image.as_ref().expect("an image to mount");
        run(Command::new("umount").arg(self.path()));
        mount_image(&image.path().join(IMAGE), self.path());
    }

    /// A tmpfs of `mebibytes`.
    #[must_use]
    pub fn tmpfs(mebibytes: u64) -> Mount {
        let directory = tempfile::tempdir().unwrap();
        let size = format!("size={mebibytes}m");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(directory.path()));
        Mount { directory, image: None }
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Bytes in use on it.
    #[must_use]
    pub fn used(&self) -> u64 {
        let stat = self.stat();
        (stat.f_blocks - stat.f_bfree) * stat.f_frsize
    }

    /// Bytes free on it.
    #[must_use]
    pub fn free(&self) -> u64 {
        let stat = self.stat();
        stat.f_bavail * stat.f_frsize
    }

    fn stat(&self) -> StatVfs {
        rustix::fs::statvfs(self.path()).unwrap()
    }

    /// Does `work`. Returns what it returned, and the most bytes in use that were seen meanwhile.
    pub fn watched<T>(&self, work: impl FnOnce() -> T) -> (T, u64) {
        let watching = AtomicBool::new(true);
        std::thread::scope(|scope| {
            let most = scope.spawn(|| self.most_used_while(&watching));
            let end = OnDrop(|| watching.store(false, Ordering::Relaxed));
            let done = work();
            drop(end);
            (done, most.join().unwrap())
        })
    }

    fn most_used_while(&self, watching: &AtomicBool) -> u64 {
        let mut most = self.used();
        while watching.load(Ordering::Relaxed) {
            std::thread::sleep(SAMPLE_EVERY);
            most = most.max(self.used());
        }
        most
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a test that failed may have left its server running.
        let _ = rustix::mount::unmount(self.path(), rustix::mount::UnmountFlags::DETACH);
    }
}

fn mount_image(image: &Path, directory: &Path) {
    run(Command::new("mount").args(["-o", "loop"]).arg(image).arg(directory));
}

/// Does its work when dropped, also by a panic: without that, a failed test would be watched for ever.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
