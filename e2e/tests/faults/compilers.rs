//! ccache and sccache, with one source file.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use kura_e2e::S3;

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
    let fetching = &["403", "413", "429", "500", "no answer", "down"];
    let storing = &["no answer", "down"];
    let heading = "sccache, as it starts";
    sccache(&Tried { page: "sccache.md", heading, fetching, storing, spared: &[] }, over_webdav);
}

#[test]
fn sccache_once_it_runs() {
    let storing = &["no answer", "down"];
    let heading = "sccache, once it runs";
    sccache(&Tried { page: "sccache.md", heading, fetching: &["down"], storing, spared: &CHECK }, over_webdav);
}

#[test]
fn sccache_over_s3_as_it_starts() {
    // It takes 429 for an answer here.
    let fetching = &["403", "413", "500", "no answer", "down"];
    let storing = &["no answer", "down"];
    let heading = "sccache over S3, as it starts";
    sccache(&Tried { page: "s3.md", heading, fetching, storing, spared: &[] }, over_s3);
}

#[test]
fn sccache_over_s3_once_it_runs() {
    let storing = &["no answer", "down"];
    let heading = "sccache over S3, once it runs";
    sccache(&Tried { page: "s3.md", heading, fetching: &["down"], storing, spared: &CHECK }, over_s3);
}

fn over_webdav(sccache: &mut Command, address: &str) {
    sccache.env("SCCACHE_WEBDAV_ENDPOINT", format!("http://{address}/webdav"));
}

fn over_s3(sccache: &mut Command, address: &str) {
    sccache.env("SCCACHE_BUCKET", "sccache").env("SCCACHE_REGION", "us-east-1").env("SCCACHE_S3_USE_SSL", "false");
    sccache.env("SCCACHE_ENDPOINT", format!("http://{address}/s3"));
    sccache.env("AWS_ACCESS_KEY_ID", S3::ID).env("AWS_SECRET_ACCESS_KEY", S3::SECRET);
}

fn sccache(client: &Tried, over: fn(&mut Command, &str)) {
    let directory = tempfile::tempdir().unwrap();
    tried(client, |address, number| {
        change(directory.path(), number);
        // A server of its own for each build: it looks at the cache when it starts.
        let port = nobody();
        let port = port.rsplit(':').next().unwrap();
        let sccache = || {
            let mut command = Command::new("sccache");
            over(&mut command, address);
            command.current_dir(directory.path()).env("SCCACHE_SERVER_PORT", port);
            command
        };
        let came = came_of(sccache().args(COMPILE), LOOKUP);
        let _ = sccache().arg("--stop-server").output();
        came
    });
}
