//! A bundle through Metro's `HttpStore`: the second clean build is all remote hits, also after a restart and after `kill -9`; under
//! TLS each gets what its token allows.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::process::ExitStatus;

use kura_e2e::{Came, Guarded, Kura, node_command, node_modules, run_for_status};
use tempfile::TempDir;

#[test]
fn second_builds_hit() {
    let mut kura = Kura::start(&["--capacity", "256MiB"]);
    let project = project();
    let bundle = build(&project, &kura);
    let stored = kura.metrics().stored("metro");
    assert!(stored >= 2, "{stored} modules stored");
    kura.in_each_life(|kura| {
        let before = kura.metrics();
        assert_eq!(build(&project, kura), bundle);
        let after = kura.metrics();
        assert_eq!(after.hits("metro") - before.hits("metro"), stored);
        assert_eq!(after.misses("metro"), before.misses("metro"));
    });
}

#[test]
fn under_tls_each_gets_what_its_token_allows() {
    let (project, guarded) = (project(), Guarded::under_tls());
    guarded.tried("metro", Came::Failed, |who, number| {
        fs::write(project.path().join("answer.js"), format!("exports.answer = () => {number};\n")).unwrap();
        let before = guarded.kura.metrics();
        let (status, printed) = after_clean(&project, &who.lines);
        // It does not say where a module came from.
        Came::of(status, &printed, guarded.kura.metrics().misses("metro") == before.misses("metro"))
    });
}

fn project() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    std::os::unix::fs::symlink(node_modules(), root.join("node_modules")).unwrap();
    fs::write(root.join("package.json"), "{\"name\":\"bundled\"}").unwrap();
    fs::write(root.join("entry.js"), "const {answer} = require('./answer');\nconsole.log(answer());\n").unwrap();
    fs::write(root.join("answer.js"), "exports.answer = () => 42;\n").unwrap();
    directory
}

/// A clean build without anything of this machine's.
fn build(project: &TempDir, kura: &Kura) -> String {
    let (status, printed) = after_clean(project, &kura.lines("metro", &[]));
    assert!(status.success(), "{printed}");
    fs::read_to_string(project.path().join("bundle.js")).unwrap()
}

/// The same by the lines of `kura setup`, however it ends.
fn after_clean(project: &TempDir, lines: &str) -> (ExitStatus, String) {
    let root = project.path();
    let _ = fs::remove_dir_all(root.join("local-cache"));
    fs::create_dir(root.join("local-cache")).unwrap();
    let config = format!(
        "module.exports = {{\n  projectRoot: __dirname,\n  watchFolders: [require('fs').realpathSync(__dirname + '/node_modules')],\n  \
         fileMapCacheDirectory: __dirname + '/local-cache',\n  {lines}}};\n"
    );
    fs::write(root.join("metro.config.js"), config).unwrap();
    let mut metro = node_command("metro", root);
    run_for_status(metro.args(["build", "entry.js", "--out", "bundle.js", "--config", "metro.config.js"]))
}
