//! Somebody else on the same filesystem, who takes the room.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use rustix::fs::FallocateFlags;

use crate::mount::Mount;

/// Somebody else's file on the same filesystem.
pub struct Neighbour {
    path: PathBuf,
    file: File,
}

impl Neighbour {
    /// With nothing in it.
    #[must_use]
    pub fn new(mount: &Mount) -> Neighbour {
        let path = mount.path().join("neighbour");
        let file = File::create(&path).unwrap();
        Neighbour { path, file }
    }

    /// Takes so many bytes at once.
    pub fn take(&self, bytes: u64) {
        rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, bytes).unwrap();
    }

    /// Takes what is free: returns once the filesystem has refused.
    pub fn take_all(&mut self) {
        let chunk = vec![1; 64 << 10];
        while self.file.write_all(&chunk).is_ok() {}
    }

    /// Gives all of it back.
    pub fn leave(self) {
        std::fs::remove_file(&self.path).unwrap();
    }
}
