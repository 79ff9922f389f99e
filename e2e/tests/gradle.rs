//! A Gradle build: with its local state wiped, `compileJava` comes FROM-CACHE, also after a restart and after `kill -9`; under TLS each gets
//! what its token allows.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::process::{Command, ExitStatus};

use kura_e2e::{Came, Guarded, Kura, run_for_status};

#[test]
fn a_second_build_comes_from_the_cache() {
    let mut kura = Kura::start(&["--capacity", "256MiB"]);
    let project = Project::new();
    let (printed, compiled) = project.build(&kura);
    assert!(!printed.contains("FROM-CACHE"), "the first build finds nothing: {printed}");
    kura.in_each_life(|kura| project.hits(kura, &compiled));
}

#[test]
fn under_tls_each_gets_what_its_token_allows() {
    let project = Project::new();
    Guarded::under_tls().tried("gradle", Came::Built, |who, number| {
        project.change(number);
        let (status, printed) = project.after_clean(&who.lines);
        Came::of(status, &printed, printed.contains(FROM_CACHE))
    });
}

const FROM_CACHE: &str = ":compileJava FROM-CACHE";

struct Project {
    directory: tempfile::TempDir,
}

impl Project {
    fn new() -> Project {
        let project = Project { directory: tempfile::tempdir().unwrap() };
        std::fs::write(project.path("build.gradle"), "apply plugin: 'java'\n").unwrap();
        std::fs::create_dir_all(project.path("src/main/java")).unwrap();
        std::fs::create_dir(project.path("home")).unwrap();
        project.change(42);
        project
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    /// Something else to build.
    fn change(&self, number: u32) {
        let class = format!("public class Hello {{ public int answer() {{ return {number}; }} }}\n");
        std::fs::write(self.path("src/main/java/Hello.java"), class).unwrap();
    }

    /// A clean build. Returns what Gradle printed, and the class that it made.
    fn build(&self, kura: &Kura) -> (String, Vec<u8>) {
        let (status, printed) = self.after_clean(&kura.lines("gradle", &[]));
        assert!(status.success(), "{printed}");
        (printed, std::fs::read(self.path("build/classes/java/main/Hello.class")).unwrap())
    }

    /// The same by the lines of `kura setup`, however it ends.
    fn after_clean(&self, lines: &str) -> (ExitStatus, String) {
        for state in ["build", ".gradle"] {
            let _ = std::fs::remove_dir_all(self.path(state));
        }
        // As the lines say themselves, that is for newer ones.
        let settings: String = lines.split_inclusive('\n').filter(|line| !line.contains("allowInsecure")).collect();
        let settings = format!("{settings}\nbuildCache {{ local {{ enabled = false }} }}\n");
        std::fs::write(self.path("settings.gradle"), settings).unwrap();
        let properties = lines.lines().filter_map(|line| line.strip_prefix("// systemProp"));
        let properties: String = properties.map(|property| format!("systemProp{property}\n")).collect();
        std::fs::write(self.path("home/gradle.properties"), properties).unwrap();
        let mut command = Command::new("gradle");
        command.current_dir(self.path("")).args(["--no-daemon", "--console=plain", "--build-cache", "-g"]);
        run_for_status(command.arg(self.path("home")).arg("compileJava"))
    }

    fn hits(&self, kura: &Kura, compiled: &[u8]) {
        let before = kura.metrics();
        let (printed, class) = self.build(kura);
        let after = kura.metrics();
        assert!(printed.contains(FROM_CACHE), "{printed}");
        assert!(class == compiled, "what was fetched is what was compiled");
        assert_eq!(after.hits("gradle") - before.hits("gradle"), 1);
        assert_eq!(after.misses("gradle"), before.misses("gradle"));
    }
}
