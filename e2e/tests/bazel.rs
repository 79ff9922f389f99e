//! A Bazel workspace with genrules and a C++ rule: after `bazel clean` every action is a remote cache hit, also after a restart and after `kill -9`.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::path::Path;
use std::process::Command;

use kura_e2e::{Kura, run};

const OUTPUTS: [&str; 3] = ["bazel-bin/one.txt", "bazel-bin/two.txt", "bazel-bin/hello"];

const BUILD: &str = r#"
genrule(name = "one", outs = ["one.txt"], cmd = "echo one > $@")
genrule(name = "two", srcs = ["one.txt"], outs = ["two.txt"], cmd = "cat $< $< > $@")
cc_binary(name = "hello", srcs = ["hello.c"])
"#;

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

#[test]
fn every_action_of_a_second_build_is_a_remote_cache_hit() {
    let mut kura = Kura::start(&["--capacity", "256MiB"]);
    let workspace = Workspace::new();
    let (built, summary) = workspace.build(&kura);
    assert!(!summary.contains("remote cache hit"), "the first build finds nothing: {summary}");
    workspace.all_hits(&kura, &built);
    assert!(kura.stop().success());
    kura.start_again();
    workspace.all_hits(&kura, &built);
    kura.kill();
    kura.start_again();
    workspace.all_hits(&kura, &built);
}

struct Workspace {
    directory: tempfile::TempDir,
}

impl Workspace {
    fn new() -> Workspace {
        let directory = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("workspace/WORKSPACE", "");
        write("workspace/BUILD", BUILD);
        write("workspace/hello.c", "int main(void) { return 0; }\n");
        write("rules_cc/WORKSPACE", "");
        write("rules_cc/cc/BUILD", "");
        write("rules_cc/cc/defs.bzl", CC_RULES);
        write("coverage/WORKSPACE", "");
        write("coverage/BUILD", COVERAGE_TOOLS);
        Workspace { directory }
    }

    fn bazel(&self, arguments: &[&str]) -> String {
        let root = self.directory.path();
        let mut command = Command::new("bazel");
        command.current_dir(root.join("workspace")).arg("--batch");
        command.arg(format!("--output_user_root={}", root.join("root").display()));
        run(command.args(arguments))
    }

    /// Builds everything after `bazel clean`. Returns the outputs, and the line that says where they came from.
    fn build(&self, kura: &Kura) -> (Vec<Vec<u8>>, String) {
        self.bazel(&["clean"]);
        let at = |name: &str| self.directory.path().join(name).display().to_string();
        let printed = self.bazel(&[
            "build",
            "//...",
            "--spawn_strategy=local",
            &format!("--remote_cache={}", kura.url("/bazel")),
            &format!("--override_repository=rules_cc={}", at("rules_cc")),
            "--override_repository=rules_java=/usr/share/bazel/rules/java",
            &format!("--override_repository=remote_coverage_tools={}", at("coverage")),
        ]);
        let summary = printed.lines().find(|line| line.contains(" processes: ")).unwrap_or_else(|| panic!("{printed}"));
        (self.outputs(), summary.to_owned())
    }

    fn outputs(&self) -> Vec<Vec<u8>> {
        let read =
            |output: &&str| std::fs::read(Path::new(&self.directory.path()).join("workspace").join(output)).unwrap();
        OUTPUTS.iter().map(read).collect()
    }

    fn all_hits(&self, kura: &Kura, built: &[Vec<u8>]) {
        let before = kura.metrics();
        let (outputs, summary) = self.build(kura);
        let after = kura.metrics();
        assert!(outputs == built, "the outputs are identical");
        assert!(!summary.contains("local"), "nothing was run: {summary}");
        let hits = count(&summary, " remote cache hit");
        assert_eq!(hits, 4, "two genrules, one compilation, one link: {summary}");
        assert_eq!(after.hits("action") - before.hits("action"), hits, "{summary}");
        assert_eq!((after.misses("action"), after.misses("cas")), (before.misses("action"), before.misses("cas")));
    }
}

/// The number in front of `what`.
fn count(summary: &str, what: &str) -> u64 {
    let before = summary.split(what).next().unwrap_or_default();
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{summary}"))
}
