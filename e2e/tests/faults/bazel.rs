//! Bazel, with one genrule, over HTTP and over gRPC.

use std::process::Command;

use tempfile::TempDir;

use crate::{Came, PATIENCE, Tried, came_of, tried};

/// What each build begins with, over gRPC.
const CAPABILITIES: &str = "/GetCapabilities";

#[test]
fn over_http() {
    let client = Tried { page: "bazel.md", heading: "Bazel, over HTTP", ..Tried::default() };
    bazel(&client, |address| format!("http://{address}/bazel"));
}

#[test]
fn over_grpc_as_a_build_starts() {
    let fetching = &["403", "404", "413", "429", "500", "no answer", "down"];
    let heading = "Bazel, over gRPC, as a build starts";
    let client = Tried { page: "bazel.md", heading, fetching, storing: &["down"], spared: &[] };
    bazel(&client, |address| format!("grpc://{address}"));
}

#[test]
fn over_grpc_once_it_runs() {
    let (down, spared) = (&["down"], &[CAPABILITIES]);
    let heading = "Bazel, over gRPC, once it runs";
    let client = Tried { page: "bazel.md", heading, fetching: down, storing: down, spared };
    bazel(&client, |address| format!("grpc://{address}"));
}

fn bazel(client: &Tried, url: impl Fn(&str) -> String) {
    let workspace = Workspace::new();
    tried(client, |address, number| workspace.build(&url(address), number));
}

/// Bazel's server is kept over the builds: it takes longer to start than to build.
struct Workspace(TempDir);

impl Workspace {
    fn new() -> Workspace {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("WORKSPACE"), "").unwrap();
        Workspace(directory)
    }

    fn bazel(&self) -> Command {
        let mut command = Command::new("bazel");
        command.current_dir(self.0.path());
        command.arg(format!("--output_user_root={}", self.0.path().join("root").display()));
        command.arg("--max_idle_secs=120");
        command
    }

    fn build(&self, remote: &str, number: usize) -> Came {
        let rule = format!("genrule(name = \"one\", outs = [\"one.txt\"], cmd = \"echo {number} > $@\")\n");
        std::fs::write(self.0.path().join("BUILD"), rule).unwrap();
        let mut build = self.bazel();
        build.args(["build", "//:one", "--spawn_strategy=local", "--remote_timeout=2", "--remote_retries=1"]);
        came_of(build.arg(format!("--remote_cache={remote}")), PATIENCE)
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        let _ = self.bazel().arg("shutdown").output();
    }
}
