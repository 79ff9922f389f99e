//! Turborepo, Nx, Metro and moon, with one package each.

use std::fs;
use std::path::Path;
use std::time::Duration;

use kura_e2e::{MoonWorkspace, node_command, node_modules};

use crate::{PATIENCE, Tried, came_of, tried};

#[test]
fn turborepo() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let manifest = "{\"name\":\"root\",\"packageManager\":\"npm@10.0.0\",\"workspaces\":[\"packages/*\"]}";
    fs::write(root.join("turbo.json"), "{\"tasks\":{\"build\":{\"outputs\":[\"dist/**\"]}}}").unwrap();
    fs::write(root.join("package.json"), manifest).unwrap();
    let package = root.join("packages/one");
    fs::create_dir_all(&package).unwrap();
    let script = "mkdir -p dist && cp source.txt dist/out.txt";
    let manifest = format!("{{\"name\":\"one\",\"version\":\"1.0.0\",\"scripts\":{{\"build\":\"{script}\"}}}}");
    fs::write(package.join("package.json"), manifest).unwrap();
    tried(&Tried { page: "turbo.md", heading: "Turborepo", ..Tried::default() }, |address, number| {
        change(&package, number);
        let _ = fs::remove_dir_all(root.join(".turbo"));
        let mut turbo = node_command("turbo", root);
        turbo.env("TURBO_API", format!("http://{address}")).env("TURBO_TOKEN", "any").env("TURBO_TEAM", "team");
        turbo.env("TURBO_TELEMETRY_DISABLED", "1").env("TURBO_REMOTE_CACHE_TIMEOUT", "2");
        turbo.env("TURBO_REMOTE_CACHE_UPLOAD_TIMEOUT", "2");
        came_of(turbo.args(["run", "build", "--cache=remote:rw", "--no-daemon"]), PATIENCE)
    });
}

#[test]
fn nx() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    std::os::unix::fs::symlink(node_modules(), root.join("node_modules")).unwrap();
    fs::write(root.join("package.json"), "{\"name\":\"root\",\"private\":true}").unwrap();
    fs::write(root.join("nx.json"), "{}").unwrap();
    let project = root.join("packages/one");
    fs::create_dir_all(&project).unwrap();
    let command = "mkdir -p packages/one/dist && cp packages/one/source.txt packages/one/dist/out.txt";
    let manifest = format!(
        "{{\"name\":\"one\",\"targets\":{{\"build\":{{\"command\":\"{command}\",\"cache\":true,\
         \"inputs\":[\"{{projectRoot}}/source.txt\"],\"outputs\":[\"{{projectRoot}}/dist\"]}}}}}}"
    );
    fs::write(project.join("project.json"), manifest).unwrap();
    // 404 will do for a lookup, 403 for a store.
    let fetching = &["403", "413", "429", "500", "no answer", "down"];
    let storing = &["404", "413", "429", "500", "no answer", "down"];
    tried(&Tried { page: "nx.md", heading: "Nx", fetching, storing, spared: &[] }, |address, number| {
        change(&project, number);
        let _ = fs::remove_dir_all(root.join(".nx"));
        let mut nx = node_command("nx", root);
        nx.env("NX_SELF_HOSTED_REMOTE_CACHE_SERVER", format!("http://{address}"));
        nx.env("NX_SELF_HOSTED_REMOTE_CACHE_ACCESS_TOKEN", "any");
        nx.env("NX_DAEMON", "false").env("NX_NO_CLOUD", "true").env("NX_ISOLATE_PLUGINS", "false");
        came_of(nx.args(["run-many", "-t", "build"]), PATIENCE)
    });
}

#[test]
fn metro() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    std::os::unix::fs::symlink(node_modules(), root.join("node_modules")).unwrap();
    fs::write(root.join("package.json"), "{\"name\":\"bundled\"}").unwrap();
    fs::write(root.join("entry.js"), "console.log(require('./source'));\n").unwrap();
    let config = "const {HttpStore} = require('metro-cache');\n\
                  module.exports = {\n  projectRoot: __dirname,\n  watchFolders: [require('fs').realpathSync(__dirname + '/node_modules')],\n  \
                  cacheStores: [new HttpStore({endpoint: process.env.ENDPOINT, timeout: 2000})],\n  \
                  fileMapCacheDirectory: __dirname + '/local-cache',\n};\n";
    fs::write(root.join("metro.config.js"), config).unwrap();
    tried(
        &Tried {
            page: "metro.md",
            heading: "Metro",
            fetching: &["403", "413", "429", "500", "no answer", "down"],
            storing: &["down"],
            spared: &[],
        },
        |address, number| {
            fs::write(root.join("source.js"), format!("module.exports = {number};\n")).unwrap();
            let _ = fs::remove_dir_all(root.join("local-cache"));
            fs::create_dir(root.join("local-cache")).unwrap();
            let mut metro = node_command("metro", root);
            metro.env("ENDPOINT", format!("http://{address}/metro"));
            came_of(metro.args(["build", "entry.js", "--out", "bundle.js", "--config", "metro.config.js"]), PATIENCE)
        },
    );
}

#[test]
fn moon_over_grpc() {
    moon("moon, over gRPC", "grpc");
}

#[test]
fn moon_over_http() {
    moon("moon, over HTTP", "http");
}

/// A build of a second; without an answer moon waits on.
const BRIEFLY: Duration = Duration::from_secs(20);

fn moon(heading: &'static str, scheme: &str) {
    let workspace = MoonWorkspace::new(&["one"]);
    let silence = &["no answer"];
    tried(&Tried { page: "moon.md", heading, fetching: silence, storing: silence, spared: &[] }, |address, number| {
        fs::write(workspace.project("one").join("source.txt"), number.to_string()).unwrap();
        came_of(&mut workspace.clean_build(&format!("{scheme}://{address}")), BRIEFLY)
    });
}

/// Something new to build, and nothing of the last build.
fn change(package: &Path, number: usize) {
    fs::write(package.join("source.txt"), number.to_string()).unwrap();
    for left in ["dist", ".turbo"] {
        let _ = fs::remove_dir_all(package.join(left));
    }
}
