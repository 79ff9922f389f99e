//! ccache and sccache, with one source file.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::{PATIENCE, Tried, came_of, nobody, tried};

fn change(directory: &Path, number: usize) {
    std::fs::write(directory.join("f.c"), format!("int f(int x) {{ return x + {number}; }}\n")).unwrap();
    let _ = std::fs::remove_file(directory.join("f.o"));
}

const COMPILE: [&str; 6] = ["gcc", "-O1", "-c", "f.c", "-o", "f.o"];

#[test]
fn ccache() {
    let directory = tempfile::tempdir().unwrap();
    tried(&Tried { page: "ccache.md", heading: "ccache", ..Tried::default() }, |address, number| {
        change(directory.path(), number);
        let mut ccache = Command::new("ccache");
        let storage = format!("http://{address}/ccache|connect-timeout=1000|operation-timeout=1000");
        ccache.current_dir(directory.path()).env("CCACHE_DIR", directory.path().join("local"));
        came_of(ccache.env("CCACHE_REMOTE_STORAGE", storage).args(COMPILE), PATIENCE)
    });
}

/// sccache gives a lookup a minute, and cannot be told otherwise.
const LOOKUP: Duration = Duration::from_secs(75);

/// What it reads and writes when it starts.
const CHECK: [&str; 2] = ["/.sccache_check", "/webdav/"];

#[test]
fn sccache_as_it_starts() {
    sccache("sccache, as it starts", &["403", "413", "429", "500", "no answer", "down"], &[]);
}

#[test]
fn sccache_once_it_runs() {
    sccache("sccache, once it runs", &["no answer", "down"], &CHECK);
}

fn sccache(heading: &'static str, excused: &'static [&'static str], spared: &'static [&'static str]) {
    let directory = tempfile::tempdir().unwrap();
    tried(&Tried { page: "sccache.md", heading, excused, spared }, |address, number| {
        change(directory.path(), number);
        // A server of its own for each build: it looks at the cache when it starts.
        let port = nobody();
        let port = port.rsplit(':').next().unwrap();
        let sccache = || {
            let mut command = Command::new("sccache");
            command.current_dir(directory.path()).env("SCCACHE_WEBDAV_ENDPOINT", format!("http://{address}/webdav"));
            command.env("SCCACHE_SERVER_PORT", port);
            command
        };
        let came = came_of(sccache().args(COMPILE), LOOKUP);
        let _ = sccache().arg("--stop-server").output();
        came
    });
}
