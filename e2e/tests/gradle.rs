//! A Gradle build: with its local state wiped, `compileJava` comes FROM-CACHE, also after a restart and after `kill -9`.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::process::Command;

use kura_e2e::{Kura, run};

#[test]
fn a_second_build_comes_from_the_cache() {
    let mut kura = Kura::start(&["--capacity", "256MiB"]);
    let project = Project::new(&kura);
    let (printed, compiled) = project.build();
    assert!(!printed.contains("FROM-CACHE"), "the first build finds nothing: {printed}");
    kura.in_each_life(|kura| project.hits(kura, &compiled));
}

struct Project {
    directory: tempfile::TempDir,
}

impl Project {
    fn new(kura: &Kura) -> Project {
        let directory = tempfile::tempdir().unwrap();
        let settings = format!(
            "buildCache {{ local {{ enabled = false }}; remote(HttpBuildCache) {{ url = '{}'; push = true }} }}\n",
            kura.url("/cache/")
        );
        std::fs::write(directory.path().join("settings.gradle"), settings).unwrap();
        std::fs::write(directory.path().join("build.gradle"), "apply plugin: 'java'\n").unwrap();
        let sources = directory.path().join("src/main/java");
        std::fs::create_dir_all(&sources).unwrap();
        std::fs::write(sources.join("Hello.java"), "public class Hello { public int answer() { return 42; } }\n")
            .unwrap();
        Project { directory }
    }

    /// A clean build. Returns what Gradle printed, and the class that it made.
    fn build(&self) -> (String, Vec<u8>) {
        let root = self.directory.path();
        for state in ["build", ".gradle"] {
            let _ = std::fs::remove_dir_all(root.join(state));
        }
        let mut command = Command::new("gradle");
        command.current_dir(root).args(["--no-daemon", "--console=plain", "--build-cache", "-g"]);
        let printed = run(command.arg(root.join("home")).arg("compileJava"));
        (printed, std::fs::read(root.join("build/classes/java/main/Hello.class")).unwrap())
    }

    fn hits(&self, kura: &Kura, compiled: &[u8]) {
        let before = kura.metrics();
        let (printed, class) = self.build();
        let after = kura.metrics();
        assert!(printed.contains(":compileJava FROM-CACHE"), "{printed}");
        assert!(class == compiled, "what was fetched is what was compiled");
        assert_eq!(after.hits("gradle") - before.hits("gradle"), 1);
        assert_eq!(after.misses("gradle"), before.misses("gradle"));
    }
}
