//! A BuildStream project over gRPC: what was built and pushed is pulled into an empty cache and checked out with the same files, also after a restart
//! and after `kill -9`, whether one remote is configured for everything or one for blobs and one for names. Sources are kept as artifacts are.
//! Under TLS each gets what its token allows. Nothing in it runs a command, so that no sandbox is needed.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, ExitStatus};

use kura_e2e::{Came, Guarded, Kura, files, run_for_status};
use tempfile::TempDir;

const ELEMENTS: [(&str, &str); 4] = [
    ("one", "kind: import\nsources:\n- kind: local\n  path: files/one\n"),
    ("two", "kind: import\nsources:\n- kind: local\n  path: files/two\n"),
    ("both", "kind: compose\nbuild-depends: [one.bst, two.bst]\nconfig:\n  integrate: false\n"),
    ("all", "kind: stack\ndepends: [both.bst]\n"),
];

/// Longer than a batch may be, so that it is streamed.
const LARGE: usize = 9 << 20;

/// How remotes are configured.
#[derive(Debug, Clone, Copy)]
enum Remotes {
    /// One for everything.
    One,
    /// One for blobs, and one for names.
    Split,
}

impl Remotes {
    fn servers(self, url: &str) -> String {
        match self {
            Remotes::One => format!("  - {{url: '{url}', push: true}}\n"),
            Remotes::Split => {
                ["storage", "index"].map(|kind| format!("  - {{url: '{url}', push: true, type: {kind}}}\n")).concat()
            }
        }
    }
}

#[test]
fn what_was_pushed_is_pulled_into_an_empty_cache() {
    let mut kura = Kura::start(&["--capacity", "1GiB"]);
    let project = Project::new();
    let built = project.bst(&kura, Remotes::One, &["build", "all.bst"]);
    assert_eq!(processed(&built, "Build"), ELEMENTS.len(), "{built}");
    assert_eq!(processed(&built, "Push"), ELEMENTS.len(), "{built}");
    assert!(processed(&built, "Src-push") > 0, "{built}");
    project.is_pulled(&kura, Remotes::One);
    assert!(kura.stop().success());
    kura.start_again();
    project.is_pulled(&kura, Remotes::Split);
    kura.kill();
    kura.start_again();
    project.is_pulled(&kura, Remotes::One);
    project.sources_are_pulled(&kura);
}

#[test]
fn blobs_and_names_may_have_a_remote_each() {
    let kura = Kura::start(&["--capacity", "1GiB"]);
    let project = Project::new();
    let built = project.bst(&kura, Remotes::Split, &["build", "all.bst"]);
    assert_eq!(processed(&built, "Push"), ELEMENTS.len(), "{built}");
    project.is_pulled(&kura, Remotes::Split);
}

#[test]
fn what_nobody_pushed_is_built() {
    let kura = Kura::start(&["--capacity", "1GiB"]);
    let project = Project::new();
    let built = project.bst(&kura, Remotes::One, &["build", "two.bst"]);
    assert_eq!(processed(&built, "Push"), 1, "{built}");
    project.forget();
    let built = project.bst(&kura, Remotes::One, &["build", "all.bst"]);
    assert_eq!((processed(&built, "Pull"), processed(&built, "Build")), (1, ELEMENTS.len() - 1), "{built}");
}

#[test]
fn under_tls_each_gets_what_its_token_allows() {
    let (project, guarded) = (Project::new(), Guarded::under_tls());
    let build = |token: &str, lines: &str, number: u32| {
        let _ = std::fs::remove_dir_all(project.path("cache"));
        project.write("project/files/one/empty", number.to_string().as_bytes());
        project.write("token", token.as_bytes());
        let lines = lines.replace("/path/to/token", &project.path("token").display().to_string());
        let (status, printed) = project.bst_by(&lines, &["build", "all.bst"]);
        Came::of(status, &printed, processed(&printed, "Build") == 0)
    };
    guarded.tried("buildstream", Came::Built, |who, number| {
        let lines = if who.stores { who.lines.clone() } else { who.lines.replace("push: true", "push: false") };
        build(who.token, &lines, number)
    });
    let pushing = guarded.lines("buildstream", &guarded.reader);
    assert_eq!(build(&guarded.reader, &pushing, 1), Came::Built, "who wants to push and may not does not pull either");
}

/// How many elements a queue of BuildStream's has worked on, by its summary.
fn processed(printed: &str, queue: &str) -> usize {
    let head = format!("{queue} Queue:");
    let line = printed.lines().rev().find(|line| line.trim_start().starts_with(&head));
    let line = line.unwrap_or_else(|| panic!("no {head}: {printed}"));
    assert!(line.contains("failed 0"), "{printed}");
    let (_, rest) = line.split_once("processed ").unwrap();
    rest.split(',').next().unwrap().parse().unwrap()
}

/// A project, and everything that BuildStream keeps for it.
struct Project {
    directory: TempDir,
}

impl Project {
    fn new() -> Project {
        let project = Project { directory: tempfile::tempdir().unwrap() };
        project.write("project/project.conf", b"name: kura\nmin-version: 2.0\nelement-path: elements\n");
        for (name, text) in ELEMENTS {
            project.write(&format!("project/elements/{name}.bst"), text.as_bytes());
        }
        project.write("project/files/one/empty", b"");
        project.write("project/files/one/a/b/large", &random(LARGE));
        for number in 0..300 {
            project.write(&format!("project/files/two/many/{number}"), number.to_string().as_bytes());
        }
        project.write("project/files/two/run", b"#!/bin/sh\necho ran\n");
        let run = project.path("project/files/two/run");
        std::fs::set_permissions(run, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink("many/1", project.path("project/files/two/link")).unwrap();
        project
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Runs BuildStream with its artifacts and sources at Kura. Returns what it printed.
    fn bst(&self, kura: &Kura, remotes: Remotes, arguments: &[&str]) -> String {
        let servers = remotes.servers(&kura.url(""));
        let lines = format!("artifacts:\n  servers:\n{servers}source-caches:\n  servers:\n{servers}");
        let (status, printed) = self.bst_by(&lines, arguments);
        assert!(status.success(), "{printed}");
        printed
    }

    /// The same by the lines of `kura setup`, however it ends.
    fn bst_by(&self, lines: &str, arguments: &[&str]) -> (ExitStatus, String) {
        let at = |name: &str| self.path(name).display().to_string();
        let settings =
            format!("{lines}\ncachedir: {}\nlogdir: {}\nsourcedir: {}\n", at("cache"), at("logs"), at("sources"));
        self.write("bst.conf", settings.as_bytes());
        let mut command = Command::new("bst");
        command.current_dir(self.path("project")).env("HOME", self.directory.path());
        run_for_status(command.arg("--config").arg(self.path("bst.conf")).arg("--no-colors").args(arguments))
    }

    /// Empties BuildStream's own cache.
    fn forget(&self) {
        std::fs::remove_dir_all(self.path("cache")).unwrap();
    }

    fn is_pulled(&self, kura: &Kura, remotes: Remotes) {
        self.forget();
        let printed = self.bst(kura, remotes, &["artifact", "pull", "--deps", "all", "all.bst"]);
        assert_eq!(processed(&printed, "Pull"), ELEMENTS.len(), "{printed}");
        let out = self.path("out");
        self.bst(kura, remotes, &["artifact", "checkout", "--directory", &out.display().to_string(), "all.bst"]);
        let mut expected = contents(&self.path("project/files/one"));
        expected.extend(contents(&self.path("project/files/two")));
        assert!(sorted(contents(&out)) == sorted(expected), "the files are identical, {remotes:?}");
        let mode = std::fs::metadata(out.join("run")).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "what may be run may be run");
        assert_eq!(std::fs::read_link(out.join("link")).unwrap(), Path::new("many/1"));
        std::fs::remove_dir_all(out).unwrap();
    }

    fn sources_are_pulled(&self, kura: &Kura) {
        self.forget();
        let printed = self.bst(kura, Remotes::One, &["source", "fetch", "--deps", "all", "all.bst"]);
        assert!(printed.contains("Pulled source"), "{printed}");
    }
}

/// The files in a directory, by their paths within it.
fn contents(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let within = |path: &Path| path.strip_prefix(directory).unwrap().display().to_string();
    files(directory).iter().map(|path| (within(path), std::fs::read(path).unwrap())).collect()
}

fn sorted(mut files: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    files.sort();
    files
}

fn random(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    fastrand::fill(&mut bytes);
    bytes
}
