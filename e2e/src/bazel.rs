//! Bazel, as Debian has it: a workspace of its own, built against a server.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use tempfile::TempDir;

use crate::tool::{run, run_for_status};

/// Debian's Bazel would fetch these from the network.
const CC_RULES: &str = "
cc_binary = native.cc_binary
cc_library = native.cc_library
cc_import = native.cc_import
cc_test = native.cc_test
cc_toolchain = native.cc_toolchain
cc_toolchain_suite = native.cc_toolchain_suite
objc_library = native.objc_library
";

const COVERAGE_TOOLS: &str = r#"filegroup(name = "coverage_report_generator", visibility = ["//visibility:public"])"#;

/// A workspace, and everything that Bazel keeps for it.
pub struct Workspace {
    directory: TempDir,
    outputs: &'static [&'static str],
}

/// What a build came to.
pub struct Built {
    /// The outputs that the workspace is asked for.
    pub outputs: Vec<Vec<u8>>,
    /// Bazel's line on where they came from.
    pub summary: String,
}

impl Built {
    /// How many actions were answered from the remote cache.
    #[must_use]
    pub fn hits(&self) -> u64 {
        let before = self.summary.split_once(" remote cache hit").map_or("0", |(before, _)| before);
        before.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{}", self.summary))
    }

    /// Whether an action was run.
    #[must_use]
    pub fn ran(&self) -> bool {
        self.summary.contains("local")
    }
}

impl Workspace {
    /// A workspace of these files, of which `outputs` are looked at.
    #[must_use]
    pub fn new(files: &[(&str, &str)], outputs: &'static [&'static str]) -> Workspace {
        let workspace = Workspace { directory: tempfile::tempdir().unwrap(), outputs };
        let rules = [
            ("rules_cc/WORKSPACE", ""),
            ("rules_cc/cc/BUILD", ""),
            ("rules_cc/cc/defs.bzl", CC_RULES),
            ("coverage/WORKSPACE", ""),
            ("coverage/BUILD", COVERAGE_TOOLS),
            ("workspace/WORKSPACE", ""),
        ];
        for (path, text) in rules {
            workspace.write(path, text);
        }
        for (path, text) in files {
            workspace.write(&format!("workspace/{path}"), text);
        }
        workspace
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.directory.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Where a file of the workspace is.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("workspace").join(name)
    }

    fn bazel(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("bazel");
        command.current_dir(self.path("")).arg("--batch");
        command.arg(format!("--output_user_root={}", self.directory.path().join("root").display()));
        command.args(arguments);
        command
    }

    /// Runs `bazel COMMAND //...` with the cache at `remote`, after `bazel clean`. Returns what Bazel printed.
    #[must_use]
    pub fn after_clean(&self, command: &str, remote: &str, flags: &[&str]) -> String {
        run(&mut self.bazel(&["clean"]));
        let remote = format!("--remote_cache={remote}");
        run(&mut self.everything(command, &[&[remote.as_str()], flags].concat()))
    }

    /// Builds everything after `bazel clean`, by the lines of a `.bazelrc`. Returns what Bazel printed.
    #[must_use]
    pub fn build_by(&self, lines: &str) -> (ExitStatus, String) {
        std::fs::write(self.path(".bazelrc"), "").unwrap();
        run(&mut self.bazel(&["clean"]));
        std::fs::write(self.path(".bazelrc"), lines).unwrap();
        run_for_status(&mut self.everything("build", &[]))
    }

    fn everything(&self, command: &str, flags: &[&str]) -> Command {
        let at = |name: &str| self.directory.path().join(name).display().to_string();
        let mut arguments = vec![command, "//...", "--spawn_strategy=local"];
        let settings = [
            format!("--override_repository=rules_cc={}", at("rules_cc")),
            "--override_repository=rules_java=/usr/share/bazel/rules/java".to_owned(),
            format!("--override_repository=remote_coverage_tools={}", at("coverage")),
        ];
        arguments.extend(settings.iter().map(String::as_str).chain(flags.iter().copied()));
        self.bazel(&arguments)
    }

    /// Builds everything after `bazel clean`.
    #[must_use]
    pub fn build(&self, remote: &str) -> Built {
        let printed = self.after_clean("build", remote, &[]);
        let read = |output: &&str| std::fs::read(self.path(output)).unwrap();
        Built { outputs: self.outputs.iter().map(read).collect(), summary: summary(&printed) }
    }
}

/// The line that says where everything came from.
#[must_use]
pub fn summary(printed: &str) -> String {
    let found = printed.lines().find(|line| line.contains(" process"));
    found.unwrap_or_else(|| panic!("{printed}")).to_owned()
}

/// All files under `directory`.
///
/// # Panics
/// If they cannot be listed.
#[must_use]
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
