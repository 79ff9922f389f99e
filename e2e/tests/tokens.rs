//! Bazel, ccache and, over S3, sccache with tokens: who may store does, who may only fetch builds and fetches all the same, and what is stored in an overlay is seen there
//! only. The outputs of Bazel's builds are random: the same bytes can come from nowhere but the cache.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use kura_e2e::{Came, Guarded, Kura, Workspace, kura_binary, run, run_for_status, summary};

/// Tries Bazel by the lines of `kura setup` for it, as `adapt` leaves them.
fn bazel(guarded: &Guarded, stranger: Came, adapt: impl Fn(&str) -> String) {
    let workspace = Workspace::new(&[], &[]);
    let build = |lines: &str, number: u32| {
        let rule =
            format!("genrule(name = \"one\", outs = [\"{number}.txt\"], cmd = \"head -c 16 /dev/urandom > $@\")\n");
        std::fs::write(workspace.path("BUILD"), rule).unwrap();
        let (status, printed) = workspace.build_by(&adapt(lines));
        let came = Came::of(status, &printed, status.success() && summary(&printed).contains("1 remote cache hit"));
        (came, std::fs::read(workspace.path(&format!("bazel-bin/{number}.txt"))).unwrap_or_default())
    };
    let by = |token: &str| build(&guarded.lines("bazel", token), 1);
    let (_, poisoned) = by(&guarded.overlay);
    guarded.tried("bazel", stranger, |who, number| build(&who.lines, number).0);
    let (came, trusted) = by(&guarded.reader);
    assert!(came == Came::Hit && trusted != poisoned, "nobody else has it");
    assert_eq!(by(&guarded.overlay), (Came::Hit, poisoned), "an overlay has what it stored");
}

#[test]
fn bazel_over_grpc() {
    bazel(&Guarded::plain(), Came::Failed, str::to_owned);
}

#[test]
fn bazel_over_http_under_tls() {
    let other_lines = |lines: &str| lines.replace("# build", "build").replace("# startup", "startup");
    bazel(&Guarded::under_tls(), Came::Built, other_lines);
}

#[test]
fn ccache() {
    let directory = tempfile::tempdir().unwrap();
    Guarded::plain().tried("ccache", Came::Built, |who, number| {
        std::fs::write(directory.path().join("one.c"), format!("int f(void) {{ return {number}; }}\n")).unwrap();
        let cache = tempfile::tempdir().unwrap();
        std::fs::write(cache.path().join("ccache.conf"), &who.lines).unwrap();
        let ccache = || {
            let mut command = Command::new("ccache");
            command.current_dir(directory.path()).env("CCACHE_DIR", cache.path());
            command
        };
        let (status, printed) = run_for_status(ccache().args(["gcc", "-c", "one.c", "-o", "one.o"]));
        let statistics = run(ccache().arg("--print-stats"));
        Came::of(status, &printed, statistics.lines().any(|line| line == "direct_cache_hit\t1"))
    });
}

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
