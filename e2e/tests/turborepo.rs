//! A workspace through Turborepo: the second clean build is all remote hits, with signed artifacts too, and through turborepo-remote-cache with its artifacts
//! in S3; also after a restart and after `kill -9`.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs::{self, File};
use std::process::Child;

use kura_e2e::{Kura, S3, node_command, run, until};
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
    let workspace = workspace(signed);
    build(&workspace, &kura.url(""), 0);
    assert_eq!(kura.metrics().stored("turborepo"), PACKAGES.len() as u64);
    kura.in_each_life(|kura| {
        let before = kura.metrics();
        build(&workspace, &kura.url(""), PACKAGES.len());
        assert_eq!(kura.metrics().hits("turborepo") - before.hits("turborepo"), PACKAGES.len() as u64);
    });
}

#[test]
fn second_builds_hit_through_turborepo_remote_cache_over_s3() {
    let s3 = S3::new();
    let mut kura = Kura::start(&[&["--capacity", "256MiB"], &s3.flags()[..]].concat());
    let between = Between::start(&kura.url("/s3"));
    let workspace = workspace(false);
    build(&workspace, &between.url, 0);
    assert_eq!(kura.metrics().stored("s3"), PACKAGES.len() as u64);
    kura.in_each_life(|kura| {
        let before = kura.metrics();
        build(&workspace, &between.url, PACKAGES.len());
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
            "{{\"name\":\"{name}\",\"version\":\"1.0.0\",\"scripts\":{{\"build\":\"mkdir -p dist && echo built {name} > dist/out.txt\"}}}}"
        );
        fs::write(package.join("package.json"), manifest).unwrap();
    }
    directory
}

/// A clean build without anything of this machine's: so many of its tasks hit.
fn build(workspace: &TempDir, url: &str, hits: usize) {
    let root = workspace.path();
    let _ = fs::remove_dir_all(root.join(".turbo"));
    let package = |name: &str| root.join("packages").join(name);
    for name in PACKAGES {
        let _ = fs::remove_dir_all(package(name).join("dist"));
        // Its log of the last build, which would count as a source.
        let _ = fs::remove_dir_all(package(name).join(".turbo"));
    }
    let mut turbo = node_command("turbo", root);
    turbo.env("TURBO_API", url).env("TURBO_TOKEN", "any").env("TURBO_TEAM", "web");
    turbo
        .env("TURBO_TELEMETRY_DISABLED", "1")
        .env("TURBO_REMOTE_CACHE_SIGNATURE_KEY", "a secret of at least 32 bytes, the team's");
    let printed = run(turbo.args(["run", "build", "--cache=remote:rw"]));
    assert!(printed.contains(&format!("{hits} cached, {} total", PACKAGES.len())), "{printed}");
    for name in PACKAGES {
        assert_eq!(fs::read_to_string(package(name).join("dist/out.txt")).unwrap(), format!("built {name}\n"));
    }
}
