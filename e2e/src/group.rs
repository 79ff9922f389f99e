//! A control group that bounds the memory of what runs in it: beyond, the kernel kills it.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where control groups are mounted.
const MOUNT: &str = "/sys/fs/cgroup";

static GROUPS: AtomicU32 = AtomicU32::new(0);

/// A group; removed when dropped, by when nothing may run in it.
pub struct Group(PathBuf);

impl Group {
    /// One whose processes may have so much memory together, cached files included.
    #[must_use]
    pub fn with_memory(mebibytes: u64) -> Group {
        let name = format!("kura-e2e-{}-{}", std::process::id(), GROUPS.fetch_add(1, Ordering::Relaxed));
        let older = PathBuf::from(MOUNT).join("memory");
        let (group, limit) = if older.is_dir() {
            (older.join(name), "memory.limit_in_bytes")
        } else {
            (PathBuf::from(MOUNT).join(name), "memory.max")
        };
        fs::create_dir(&group).unwrap();
        fs::write(group.join(limit), (mebibytes << 20).to_string()).unwrap();
        Group(group)
    }

    /// The command that enters it, and becomes the command that follows.
    #[must_use]
    pub fn enter(&self) -> Vec<String> {
        let script = format!("echo $$ > {}/cgroup.procs && exec \"$0\" \"$@\"", self.0.display());
        vec!["/bin/sh".to_owned(), "-c".to_owned(), script]
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}
