//! Real clients with tokens: who may store does, who may only fetch builds and fetches all the same, and what is stored in an overlay is seen there only.
//! The outputs of these builds are random: the same bytes can come from nowhere but the cache.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use kura_e2e::{Kura, Workspace, kura_binary, run, summary};

const ONE: &str = r#"genrule(name = "one", outs = ["one.txt"], cmd = "head -c 16 /dev/urandom > $@")"#;

const AND_TWO: &str = r#"
genrule(name = "one", outs = ["one.txt"], cmd = "head -c 16 /dev/urandom > $@")
genrule(name = "two", outs = ["two.txt"], cmd = "head -c 16 /dev/urandom > $@")
"#;

fn token(directory: &Path, flags: &[&str]) -> String {
    let mut command = Command::new(kura_binary());
    command.args(["token", "create", "--auth-tokens"]).arg(directory.join("tokens")).arg("--role").args(flags);
    let printed = String::from_utf8(command.output().unwrap().stdout).unwrap();
    printed.trim_end().to_owned()
}

/// The variables that a tool which signs with a token's key pair has.
fn key_pair(directory: &Path, token: &str) -> Vec<(String, String)> {
    let mut command = Command::new(kura_binary());
    command.args(["token", "s3", token.split('_').nth(1).unwrap(), "--auth-tokens"]).arg(directory.join("tokens"));
    let printed = run(&mut command);
    let pairs = printed.lines().map(|line| line.split_once('=').unwrap());
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn asking(directory: &Path) -> Kura {
    let tokens = directory.join("tokens");
    Kura::start(&["--capacity", "256MiB", "--auth", "--auth-tokens", tokens.to_str().unwrap()])
}

/// Builds as somebody; the output `one.txt`, and where everything came from.
fn build(workspace: &Workspace, remote: &str, flags: &[&str]) -> (Vec<u8>, String) {
    let printed = workspace.after_clean("build", remote, flags);
    (std::fs::read(workspace.path("bazel-bin/one.txt")).unwrap(), summary(&printed))
}

fn bazel(remote: impl Fn(&str) -> (String, Vec<String>)) {
    let directory = tempfile::tempdir().unwrap();
    let [writer, reader] = ["writer", "reader"].map(|role| token(directory.path(), &[role]));
    let overlay = token(directory.path(), &["overlay", "--overlay", "pr/1"]);
    let kura = asking(directory.path());
    let (one, and_two) = (Workspace::new(&[("BUILD", ONE)], &[]), Workspace::new(&[("BUILD", AND_TWO)], &[]));
    let by = |workspace: &Workspace, token: &str| {
        let (remote, flags) = remote(token);
        let remote = remote.replace("ADDRESS", kura.address());
        build(workspace, &remote, &flags.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let (poisoned, _) = by(&one, &overlay);
    assert_eq!(by(&one, &overlay).0, poisoned, "an overlay has what it stored");
    let (trusted, from) = by(&one, &writer);
    assert!(trusted != poisoned && !from.contains("remote cache hit"), "{from}");
    let (hit, from) = by(&and_two, &reader);
    assert!(hit == trusted && from.contains("1 remote cache hit") && from.contains("1 local"), "{from}");
    let (_, from) = by(&and_two, &reader);
    assert!(from.contains("1 remote cache hit") && from.contains("1 local"), "a reader stored nothing: {from}");
    assert_eq!((by(&one, &overlay).0, by(&one, &writer).0), (poisoned, trusted));
}

#[test]
fn bazel_over_grpc() {
    bazel(|token| ("grpc://ADDRESS".to_owned(), vec![format!("--remote_header=Authorization=Bearer {token}")]));
}

#[test]
fn bazel_over_http() {
    bazel(|token| (format!("http://ci:{token}@ADDRESS/bazel"), Vec::new()));
}

#[test]
fn ccache() {
    let directory = tempfile::tempdir().unwrap();
    let [writer, reader] = ["writer", "reader"].map(|role| token(directory.path(), &[role]));
    let kura = asking(directory.path());
    let source = directory.path().join("one.c");
    let compile = |token: &str, number: u32| {
        std::fs::write(&source, format!("int f{number}(void) {{ return {number}; }}\n")).unwrap();
        let cache = tempfile::tempdir().unwrap();
        let statistics = || {
            let mut command = Command::new("ccache");
            run(command.env("CCACHE_DIR", cache.path()).arg("--print-stats"))
        };
        let mut command = Command::new("ccache");
        command.env("CCACHE_DIR", cache.path());
        command.env("CCACHE_REMOTE_STORAGE", format!("{}|bearer-token={token}", kura.url("/ccache")));
        run(command.current_dir(directory.path()).args(["gcc", "-c", "one.c", "-o", "one.o"]));
        statistics().lines().any(|line| line.strip_prefix("direct_cache_hit\t") == Some("1"))
    };
    assert!(!compile(&reader, 1) && !compile(&reader, 1), "a reader builds, and stores nothing");
    assert!(!compile(&writer, 1) && compile(&writer, 1));
    assert!(compile(&reader, 1));
}

#[test]
fn sccache_over_s3() {
    let directory = tempfile::tempdir().unwrap();
    let pair = |flags: &[&str]| key_pair(directory.path(), &token(directory.path(), flags));
    let (writer, reader) = (pair(&["writer"]), pair(&["reader"]));
    let (overlay, elsewhere) = (pair(&["overlay", "--overlay", "pr/1"]), pair(&["writer", "--tenant", "other"]));
    let kura = asking(directory.path());
    // Whether it hit.
    let compile = |pair: &[(String, String)], number: u32| {
        std::fs::write(directory.path().join("one.c"), format!("int f{number}(void) {{ return {number}; }}\n"))
            .unwrap();
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let sccache = |arguments: &[&str]| {
            let mut command = Command::new("sccache");
            command.env("SCCACHE_BUCKET", "sccache").env("SCCACHE_REGION", "us-east-1");
            command.env("SCCACHE_S3_USE_SSL", "false").env("SCCACHE_ENDPOINT", kura.url("/s3"));
            command.env("SCCACHE_SERVER_PORT", port.to_string()).envs(pair.iter().map(|(name, value)| (name, value)));
            run(command.current_dir(directory.path()).args(arguments))
        };
        sccache(&["--start-server"]);
        sccache(&["gcc", "-c", "one.c", "-o", "one.o"]);
        let printed = sccache(&["--show-stats", "--stats-format=json"]);
        sccache(&["--stop-server"]);
        let stats: serde_json::Value = serde_json::from_str(&printed).unwrap();
        stats["stats"]["cache_hits"]["counts"]["C/C++"].as_u64() == Some(1)
    };
    assert!(!compile(&reader, 1) && !compile(&reader, 1), "a reader builds, and stores nothing");
    assert!(!compile(&writer, 1) && compile(&writer, 1));
    assert!(compile(&reader, 1) && compile(&overlay, 1));
    assert!(!compile(&elsewhere, 1), "another tenant has nothing of it");
    assert!(!compile(&overlay, 2) && compile(&overlay, 2), "an overlay has what it stored");
    assert!(!compile(&reader, 2), "and nobody else has");
}
