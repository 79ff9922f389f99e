//! A bundle through Metro's `HttpStore`: the second clean build is all remote hits, also after a restart and after `kill -9`.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;

use kura_e2e::{Kura, node_command, node_modules, run};
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

fn project() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    std::os::unix::fs::symlink(node_modules(), root.join("node_modules")).unwrap();
    fs::write(root.join("package.json"), "{\"name\":\"bundled\"}").unwrap();
    fs::write(root.join("entry.js"), "const {answer} = require('./answer');\nconsole.log(answer());\n").unwrap();
    fs::write(root.join("answer.js"), "exports.answer = () => 42;\n").unwrap();
    let config = "const {HttpStore} = require('metro-cache');\n\
                  module.exports = {\n  projectRoot: __dirname,\n  watchFolders: [require('fs').realpathSync(__dirname + '/node_modules')],\n  \
                  cacheStores: [new HttpStore({endpoint: process.env.ENDPOINT})],\n  \
                  fileMapCacheDirectory: __dirname + '/local-cache',\n};\n";
    fs::write(root.join("metro.config.js"), config).unwrap();
    directory
}

/// A clean build without anything of this machine's.
fn build(project: &TempDir, kura: &Kura) -> String {
    let root = project.path();
    let _ = fs::remove_dir_all(root.join("local-cache"));
    fs::create_dir(root.join("local-cache")).unwrap();
    let mut metro = node_command("metro", root);
    metro.env("ENDPOINT", kura.url("/metro"));
    run(metro.args(["build", "entry.js", "--out", "bundle.js", "--config", "metro.config.js"]));
    fs::read_to_string(root.join("bundle.js")).unwrap()
}
