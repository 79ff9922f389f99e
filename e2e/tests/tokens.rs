//! Bazel and ccache with tokens: who may store does, who may only fetch builds and fetches all the same, and what is stored in an overlay is seen there
//! only. The outputs of Bazel's builds are random: the same bytes can come from nowhere but the cache.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::process::Command;

use kura_e2e::{Came, Guarded, Workspace, run, run_for_status, summary};

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
