//! A workspace through Nx: the second clean build is all remote hits, also after a restart and after `kill -9`; under TLS each gets what its token allows.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::process::ExitStatus;

use kura_e2e::{Came, Guarded, Kura, node_command, node_modules, run_for_status, variables};
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
        assert!(is_hit(&printed), "{printed}");
        assert_eq!(kura.metrics().hits("nx") - before.hits("nx"), PROJECTS.len() as u64);
    });
}

#[test]
fn under_tls_each_gets_what_its_token_allows() {
    let workspace = workspace();
    Guarded::under_tls().tried("nx", Came::Failed, |who, number| {
        change(&workspace, number);
        let (status, printed) = after_clean(&workspace, &who.lines);
        Came::of(status, &printed, is_hit(&printed))
    });
}

fn is_hit(printed: &str) -> bool {
    printed.matches("[remote cache]").count() == PROJECTS.len()
}

fn source(name: &str, number: u32) -> String {
    format!("{name} {number}")
}

/// Something else to build.
fn change(workspace: &TempDir, number: u32) {
    for name in PROJECTS {
        fs::write(workspace.path().join("packages").join(name).join("source.txt"), source(name, number)).unwrap();
    }
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
        let command =
            format!("mkdir -p packages/{name}/dist && cp packages/{name}/source.txt packages/{name}/dist/out.txt");
        let manifest = format!(
            "{{\"name\":\"{name}\",\"targets\":{{\"build\":{{\"command\":\"{command}\",\"cache\":true,\
             \"inputs\":[\"{{projectRoot}}/source.txt\"],\"outputs\":[\"{{projectRoot}}/dist\"]}}}}}}"
        );
        fs::write(project.join("project.json"), manifest).unwrap();
    }
    change(&directory, 0);
    directory
}

/// A clean build without anything of this machine's.
fn build(workspace: &TempDir, kura: &Kura) -> String {
    let (status, printed) = after_clean(workspace, &kura.lines("nx", &[]));
    assert!(status.success(), "{printed}");
    for name in PROJECTS {
        let built = workspace.path().join("packages").join(name).join("dist/out.txt");
        assert_eq!(fs::read_to_string(built).unwrap(), source(name, 0), "{printed}");
    }
    printed
}

/// The same by the lines of `kura setup`, however it ends.
fn after_clean(workspace: &TempDir, lines: &str) -> (ExitStatus, String) {
    let root = workspace.path();
    let _ = fs::remove_dir_all(root.join(".nx"));
    PROJECTS.iter().for_each(|name| drop(fs::remove_dir_all(root.join("packages").join(name).join("dist"))));
    let mut nx = node_command("nx", root);
    nx.envs(variables(lines)).env("NX_DAEMON", "false").env("NX_NO_CLOUD", "true").env("NX_ISOLATE_PLUGINS", "false");
    run_for_status(nx.args(["run-many", "-t", "build"]))
}
