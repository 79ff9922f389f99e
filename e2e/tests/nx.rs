//! A workspace through Nx: the second clean build is all remote hits, also after a restart and after `kill -9`.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;

use kura_e2e::{Kura, node_command, node_modules, run};
use tempfile::TempDir;

const PROJECTS: [&str; 3] = ["one", "two", "three"];

#[test]
fn second_builds_hit() {
    let mut kura = Kura::start(&["--capacity", "256MiB"]);
    let workspace = workspace();
    build(&workspace, &kura);
    assert_eq!(kura.metrics().stored("nx"), PROJECTS.len() as u64);
    kura.in_each_life(|kura| {
        let before = kura.metrics();
        let printed = build(&workspace, kura);
        assert_eq!(printed.matches("[remote cache]").count(), PROJECTS.len(), "{printed}");
        assert_eq!(kura.metrics().hits("nx") - before.hits("nx"), PROJECTS.len() as u64);
    });
}

fn workspace() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    std::os::unix::fs::symlink(node_modules(), root.join("node_modules")).unwrap();
    fs::write(root.join("package.json"), "{\"name\":\"root\",\"private\":true}").unwrap();
    fs::write(root.join("nx.json"), "{}").unwrap();
    for name in PROJECTS {
        let project = root.join("packages").join(name);
        fs::create_dir_all(&project).unwrap();
        fs::write(project.join("source.txt"), name).unwrap();
        let command =
            format!("mkdir -p packages/{name}/dist && cp packages/{name}/source.txt packages/{name}/dist/out.txt");
        let manifest = format!(
            "{{\"name\":\"{name}\",\"targets\":{{\"build\":{{\"command\":\"{command}\",\"cache\":true,\
             \"inputs\":[\"{{projectRoot}}/source.txt\"],\"outputs\":[\"{{projectRoot}}/dist\"]}}}}}}"
        );
        fs::write(project.join("project.json"), manifest).unwrap();
    }
    directory
}

/// A clean build without anything of this machine's.
fn build(workspace: &TempDir, kura: &Kura) -> String {
    let _ = fs::remove_dir_all(workspace.path().join(".nx"));
    let dist = |name: &str| workspace.path().join("packages").join(name).join("dist");
    PROJECTS.iter().for_each(|name| drop(fs::remove_dir_all(dist(name))));
    let mut nx = node_command("nx", workspace.path());
    nx.env("NX_SELF_HOSTED_REMOTE_CACHE_SERVER", kura.url("")).env("NX_SELF_HOSTED_REMOTE_CACHE_ACCESS_TOKEN", "any");
    nx.env("NX_DAEMON", "false").env("NX_NO_CLOUD", "true").env("NX_ISOLATE_PLUGINS", "false");
    let printed = run(nx.args(["run-many", "-t", "build"]));
    for name in PROJECTS {
        assert_eq!(fs::read_to_string(dist(name).join("out.txt")).unwrap(), name, "{printed}");
    }
    printed
}
