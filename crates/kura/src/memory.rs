//! How much memory this process may use, the machine's, or what its control group allows where that is less, as in a container; and what of `--memory`
//! is for what.

use std::fs::read_to_string;
use std::path::Path;

use kura_cache::Workspace;

/// The least that everything works with, in bytes.
pub(crate) const LEAST: u64 = 256 << 20;

/// The program itself, and buffers that are kept for reuse, in bytes.
const PROGRAM: u64 = 48 << 20;

/// One part in so many is left to the allocator, which cannot use every gap.
const SLACK: u64 = 8;

/// Memory of one artifact in the index where it is fullest, in bytes.
const ENTRY: u64 = 55;

/// What is for what. Sizes are bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) total: u64,
    /// The most that the index may grow to: beyond, the oldest is evicted.
    pub(crate) index: u64,
    /// What the cache works with.
    pub(crate) workspace: Workspace,
    /// What connections and requests share with what the index has grown to.
    pub(crate) shared: u64,
}

impl Plan {
    /// Of `total` bytes, or the least where that is more.
    pub(crate) fn of(total: u64) -> Plan {
        let total = total.max(LEAST);
        let usable = total - total / SLACK - PROGRAM;
        let workspace = Workspace::within(usable / 3);
        let shared = usable - workspace.bytes();
        Plan { total, index: shared / 2, workspace, shared }
    }

    /// Artifacts that the index has room for.
    pub(crate) fn artifacts(&self) -> u64 {
        self.index / ENTRY
    }
}

/// Where control groups are mounted.
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";

/// In bytes.
pub(crate) fn available() -> u64 {
    let membership = read_to_string("/proc/self/cgroup").unwrap_or_default();
    allowed(Path::new(CONTROL_GROUPS), &membership).map_or(machine(), |allowed| allowed.min(machine()))
}

/// The machine's memory.
fn machine() -> u64 {
    let system = rustix::system::sysinfo();
    #[allow(clippy::useless_conversion, reason = "its type differs between machines")]
    u64::from(system.totalram).saturating_mul(u64::from(system.mem_unit))
}

/// The least limit among the groups of `membership` (lines of `id:controllers:path`) and those that they are in. A container may see its own group as
/// the mount's root, under the path that it has outside.
fn allowed(mount: &Path, membership: &str) -> Option<u64> {
    let limits = membership.lines().filter_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let is_of_memory = controllers.split(',').any(|controller| controller == "memory");
        let (top, file) = match controllers {
            "" => (mount.to_owned(), "memory.max"),
            _ if is_of_memory => (mount.join("memory"), "memory.limit_in_bytes"),
            _ => return None,
        };
        let group = top.join(path.trim_start_matches('/'));
        let within = group.ancestors().take_while(|group| group.starts_with(&top));
        within.filter_map(|group| read_to_string(group.join(file)).ok()?.trim().parse().ok()).min()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_no_more_than_the_whole() {
        for total in [0, LEAST, 300 << 20, 1 << 30, 3 << 30, 64 << 30, 1 << 50] {
            let plan = Plan::of(total);
            assert!(plan.total == total.max(LEAST) && plan.index < plan.shared, "{plan:?}");
            let parts = plan.shared + plan.workspace.bytes() + PROGRAM;
            assert!(parts <= plan.total - plan.total / SLACK, "{plan:?}");
            assert!(plan.shared >= 64 << 20, "{plan:?}");
        }
        assert_eq!(Plan::of(8 << 30).workspace, Workspace::default());
    }

    fn mount(files: &[(&str, &str)]) -> tempfile::TempDir {
        let mount = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = mount.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        mount
    }

    #[test]
    fn the_least_limit_of_a_group_and_those_around_it_counts() {
        let mount = mount(&[("a/memory.max", "1000\n"), ("a/b/memory.max", "2000\n"), ("a/b/c/memory.max", "max\n")]);
        assert_eq!(allowed(mount.path(), "0::/a/b/c\n"), Some(1000));
        assert_eq!(allowed(mount.path(), "0::/elsewhere\n"), None);
    }

    #[test]
    fn the_older_groups_are_understood_also_where_a_container_sees_only_its_own() {
        let mount = mount(&[("memory/memory.limit_in_bytes", "3000\n"), ("cpu/memory.limit_in_bytes", "1\n")]);
        let membership = "5:cpu,cpuacct:/docker/4711\n4:memory:/docker/4711\n1:name=systemd:/docker/4711\n";
        assert_eq!(allowed(mount.path(), membership), Some(3000));
    }

    #[test]
    fn without_limits_it_is_the_machine() {
        assert_eq!(allowed(mount(&[("memory.max", "max\n")]).path(), "0::/\n"), None);
        assert_eq!(allowed(Path::new("/nowhere"), "no group"), None);
        assert!(available() > 0 && available() <= machine());
    }
}
