//! How much memory this process may use: the machine's, or what its control group allows where that is less, as in a container.

use std::fs::read_to_string;
use std::path::Path;

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
