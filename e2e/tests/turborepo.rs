//! A workspace through Turborepo: the second clean build is all remote hits, with signed artifacts too, and through turborepo-remote-cache with its artifacts
//! in S3; also after a restart and after `kill -9`. Under TLS each gets what its token allows.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs::{self, File};
use std::process::{Child, ExitStatus};

use kura_e2e::{Came, Guarded, Kura, S3, node_command, run_for_status, until, variables};
use tempfile::TempDir;

const PACKAGES: [&str; 3] = ["one", "two", "three"];

#[test]
fn second_builds_hit() {
    second_builds_hit_where(false);
}

#[test]
fn second_builds_hit_with_signed_artifacts() {
    second_builds_hit_where(true);
}

fn second_builds_hit_where(signed: bool) {
    let mut kura = Kura::start(&["--capacity", "256MiB"]);
    let (workspace, lines) = (workspace(signed), kura.lines("turbo", &[]));
    build(&workspace, &lines, 0);
    assert_eq!(kura.metrics().stored("turborepo"), PACKAGES.len() as u64);
    kura.in_each_life(|kura| {
        let before = kura.metrics();
        build(&workspace, &lines, PACKAGES.len());
        assert_eq!(kura.metrics().hits("turborepo") - before.hits("turborepo"), PACKAGES.len() as u64);
    });
}

#[test]
fn second_builds_hit_through_turborepo_remote_cache_over_s3() {
    let s3 = S3::new();
    let mut kura = Kura::start(&[&["--capacity", "256MiB"], &s3.flags()[..]].concat());
    let between = Between::start(&kura.url("/s3"));
    let lines = kura.lines("turbo", &[]).replace(&kura.url(""), &between.url);
    let workspace = workspace(false);
    build(&workspace, &lines, 0);
    assert_eq!(kura.metrics().stored("s3"), PACKAGES.len() as u64);
    kura.in_each_life(|kura| {
        let before = kura.metrics();
        build(&workspace, &lines, PACKAGES.len());
        assert_eq!(kura.metrics().hits("s3") - before.hits("s3"), 2 * PACKAGES.len() as u64, "it looks, and fetches");
    });
}

/// A turborepo-remote-cache with its artifacts in S3.
struct Between {
    process: Child,
    url: String,
    _directory: TempDir,
}

impl Between {
    fn start(endpoint: &str) -> Between {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let mut command = node_command("turborepo-remote-cache", directory.path());
        command.env("NODE_ENV", "production").env("PORT", "0").env("TURBO_TOKEN", "any");
        command.env("STORAGE_PROVIDER", "s3").env("STORAGE_PATH", "turbo").env("S3_ENDPOINT", endpoint);
        command.env("S3_REGION", "us-east-1").env("S3_ACCESS_KEY", S3::ID).env("S3_SECRET_KEY", S3::SECRET);
        let process = command.stdout(File::create(&log).unwrap()).spawn().unwrap();
        let port = || {
            let said = fs::read_to_string(&log).unwrap();
            let (_, port) = said.split_once("Server listening at http://127.0.0.1:")?;
            port.split_once('"').map(|(port, _)| port.to_owned())
        };
        until("turborepo-remote-cache to listen", || port().is_some());
        Between { process, url: format!("http://127.0.0.1:{}", port().unwrap()), _directory: directory }
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn under_tls_each_gets_what_its_token_allows() {
    let workspace = workspace(false);
    Guarded::under_tls().tried("turbo", Came::Built, |who, number| {
        change(&workspace, number);
        let (status, printed) = after_clean(&workspace, &who.lines);
        Came::of(status, &printed, printed.contains(&hits_of(PACKAGES.len())))
    });
}

fn workspace(signed: bool) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let remote = if signed { ",\"remoteCache\":{\"signature\":true}" } else { "" };
    fs::write(root.join("turbo.json"), format!("{{\"tasks\":{{\"build\":{{\"outputs\":[\"dist/**\"]}}}}{remote}}}"))
        .unwrap();
    let manifest = "{\"name\":\"root\",\"packageManager\":\"npm@10.0.0\",\"workspaces\":[\"packages/*\"]}";
    fs::write(root.join("package.json"), manifest).unwrap();
    for name in PACKAGES {
        let package = root.join("packages").join(name);
        fs::create_dir_all(&package).unwrap();
        let manifest = format!(
            "{{\"name\":\"{name}\",\"version\":\"1.0.0\",\"scripts\":{{\"build\":\"mkdir -p dist && cp source.txt dist/out.txt\"}}}}"
        );
        fs::write(package.join("package.json"), manifest).unwrap();
    }
    change(&directory, 0);
    directory
}

fn source(name: &str, number: u32) -> String {
    format!("{name} {number}\n")
}

/// Something else to build.
fn change(workspace: &TempDir, number: u32) {
    for name in PACKAGES {
        fs::write(workspace.path().join("packages").join(name).join("source.txt"), source(name, number)).unwrap();
    }
}

fn hits_of(hits: usize) -> String {
    format!("{hits} cached, {} total", PACKAGES.len())
}

/// A clean build without anything of this machine's: so many of its tasks hit.
fn build(workspace: &TempDir, lines: &str, hits: usize) {
    let (status, printed) = after_clean(workspace, lines);
    assert!(status.success() && printed.contains(&hits_of(hits)), "{printed}");
    for name in PACKAGES {
        let built = workspace.path().join("packages").join(name).join("dist/out.txt");
        assert_eq!(fs::read_to_string(built).unwrap(), source(name, 0));
    }
}

/// The same by the lines of `kura setup`, however it ends.
fn after_clean(workspace: &TempDir, lines: &str) -> (ExitStatus, String) {
    let root = workspace.path();
    let _ = fs::remove_dir_all(root.join(".turbo"));
    for name in PACKAGES {
        let package = root.join("packages").join(name);
        let _ = fs::remove_dir_all(package.join("dist"));
        // Its log of the last build, which would count as a source.
        let _ = fs::remove_dir_all(package.join(".turbo"));
    }
    let mut turbo = node_command("turbo", root);
    turbo.envs(variables(lines)).env("TURBO_TELEMETRY_DISABLED", "1");
    turbo.env("TURBO_REMOTE_CACHE_SIGNATURE_KEY", "a secret of at least 32 bytes, the team's");
    run_for_status(turbo.args(["run", "build", "--cache=remote:rw"]))
}
