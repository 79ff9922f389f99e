//! A C project through ccache: the second clean build is all remote hits, in each of its three layouts, also after a restart and after `kill -9`.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use kura_e2e::{Kura, run};

const SOURCES: usize = 6;

#[test]
fn layout_subdirs() {
    second_builds_hit("subdirs");
}

#[test]
fn layout_flat() {
    second_builds_hit("flat");
}

#[test]
fn layout_bazel() {
    second_builds_hit("bazel");
}

fn second_builds_hit(layout: &str) {
    let mut kura = Kura::start(&["--capacity", "256MiB"]);
    let project = Project::new(&format!("{}|layout={layout}", kura.url("/ccache")));
    project.build();
    let first = project.statistics();
    assert_eq!((first["cache_miss"], hits(&first)), (SOURCES, 0), "{first:?}");
    assert_eq!(first["remote_storage_write"] as u64, kura.metrics().stored("ccache"), "{first:?}");
    kura.in_each_life(|kura| project.all_hits(kura));
}

fn hits(statistics: &HashMap<String, usize>) -> usize {
    statistics["direct_cache_hit"] + statistics["preprocessed_cache_hit"]
}

struct Project {
    directory: tempfile::TempDir,
    storage: String,
}

impl Project {
    fn new(storage: &str) -> Project {
        let directory = tempfile::tempdir().unwrap();
        for number in 0..SOURCES {
            let text = format!("#include <stdio.h>\nint f{number}(int x) {{ return printf(\"%d\", x + {number}); }}\n");
            std::fs::write(directory.path().join(format!("f{number}.c")), text).unwrap();
        }
        Project { directory, storage: storage.to_owned() }
    }

    fn ccache(&self) -> Command {
        let mut command = Command::new("ccache");
        let cache = self.directory.path().join("local-cache");
        command.current_dir(self.directory.path()).env("CCACHE_DIR", cache).env("CCACHE_REMOTE_STORAGE", &self.storage);
        command
    }

    /// A clean build with an empty local cache.
    fn build(&self) -> Vec<Vec<u8>> {
        let _ = std::fs::remove_dir_all(self.directory.path().join("local-cache"));
        let object = |number: usize| {
            let (source, object) = (format!("f{number}.c"), format!("f{number}.o"));
            let _ = std::fs::remove_file(self.directory.path().join(&object));
            run(self.ccache().args(["gcc", "-O1", "-c", &source, "-o", &object]));
            std::fs::read(self.directory.path().join(object)).unwrap()
        };
        (0..SOURCES).map(object).collect()
    }

    fn statistics(&self) -> HashMap<String, usize> {
        let printed = run(self.ccache().arg("--print-stats"));
        printed
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .map(|(key, value)| (key.into(), value.parse().unwrap()))
            .collect()
    }

    /// Builds anew: ccache's own statistics and the server's counters agree that every file came from the server.
    fn all_hits(&self, kura: &Kura) {
        let before = kura.metrics();
        let objects = self.build();
        let (statistics, after) = (self.statistics(), kura.metrics());
        assert_eq!((statistics["cache_miss"], hits(&statistics)), (0, SOURCES), "{statistics:?}");
        let served = after.hits("ccache") - before.hits("ccache");
        assert_eq!(statistics["remote_storage_read_hit"], usize::try_from(served).unwrap(), "{statistics:?}");
        assert_eq!(statistics["remote_storage_read_miss"], 0, "{statistics:?}");
        assert_eq!(statistics["remote_storage_error"] + statistics["remote_storage_timeout"], 0, "{statistics:?}");
        assert_eq!(after.misses("ccache"), before.misses("ccache"));
        assert!(objects == plain_objects(self.directory.path()), "what was fetched is what gcc makes");
    }
}

fn plain_objects(directory: &Path) -> Vec<Vec<u8>> {
    let object = |number: usize| {
        run(Command::new("gcc").current_dir(directory).args(["-O1", "-c", &format!("f{number}.c"), "-o", "plain.o"]));
        std::fs::read(directory.join("plain.o")).unwrap()
    };
    (0..SOURCES).map(object).collect()
}
