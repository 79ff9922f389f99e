//! C and Rust through sccache, over WebDAV and over S3: the second clean build is all hits, also after a restart and after `kill -9`; over
//! WebDAV under TLS each gets what its token allows.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use kura_e2e::{Came, Guarded, Kura, S3, run, run_for_status, variables};

const SOURCES: usize = 4;

#[test]
fn second_builds_hit_in_c() {
    second_builds_hit("C/C++", SOURCES, |sccache, directory| {
        for number in 0..SOURCES {
            let (source, object) = (format!("f{number}.c"), format!("f{number}.o"));
            std::fs::write(directory.join(&source), format!("int f{number}(int x) {{ return x + {number}; }}\n"))
                .unwrap();
            let _ = std::fs::remove_file(directory.join(&object));
            run(sccache.command().current_dir(directory).args(["gcc", "-O1", "-c", &source, "-o", &object]));
        }
    });
}

#[test]
fn second_builds_hit_as_the_wrapper_of_rustc() {
    second_builds_hit("Rust", 1, |sccache, directory| {
        let package = "[package]\nname = \"built\"\nedition = \"2021\"\n[workspace]\n";
        std::fs::create_dir_all(directory.join("src")).unwrap();
        std::fs::write(directory.join("Cargo.toml"), package).unwrap();
        std::fs::write(directory.join("src/lib.rs"), "pub fn answer() -> u32 { 42 }\n").unwrap();
        let _ = std::fs::remove_dir_all(directory.join("target"));
        let mut cargo = sccache.environment(Command::new("cargo"));
        cargo.env("RUSTC_WRAPPER", "sccache").env("CARGO_INCREMENTAL", "0").env("CARGO_TARGET_DIR", "target");
        run(cargo.current_dir(directory).args(["build", "--offline"]));
    });
}

#[test]
fn under_tls_each_gets_what_its_token_allows() {
    let directory = tempfile::tempdir().unwrap();
    Guarded::under_tls().tried("sccache", Came::Failed, |who, number| {
        std::fs::write(directory.path().join("f.c"), format!("int f(void) {{ return {number}; }}\n")).unwrap();
        // The compilation starts it.
        let sccache = Sccache::with(variables(&who.lines));
        let mut compile = sccache.command();
        let (status, printed) =
            run_for_status(compile.current_dir(directory.path()).args(["gcc", "-c", "f.c", "-o", "f.o"]));
        Came::of(status, &printed, status.success() && sccache.statistics("C/C++").0 == 1)
    });
}

fn second_builds_hit(language: &str, units: usize, build: impl Fn(&Sccache, &Path)) {
    for over in ["webdav", "s3"] {
        second_builds_hit_over(over, language, units, &build);
    }
}

fn second_builds_hit_over(over: &'static str, language: &str, units: usize, build: impl Fn(&Sccache, &Path)) {
    let s3 = S3::new();
    let mut kura = Kura::start(&[&["--capacity", "256MiB"], &s3.flags()[..]].concat());
    let directory = tempfile::tempdir().unwrap();
    let built = |kura: &Kura| {
        let before = kura.metrics();
        let sccache = Sccache::start(kura, over);
        build(&sccache, directory.path());
        let (hits, misses, failed) = sccache.statistics(language);
        assert_eq!(failed, 0, "of the writes");
        let after = kura.metrics();
        // It reads its own check once at each start.
        (hits, misses, after.hits(over) - before.hits(over), after.stored(over) - before.stored(over))
    };
    let (hits, misses, _, stored) = built(&kura);
    assert_eq!((hits, misses), (0, units));
    assert!(stored >= units as u64, "{stored} stored");
    kura.in_each_life(|kura| {
        let (hits, misses, served, _) = built(kura);
        assert_eq!((hits, misses), (units, 0));
        assert!(served >= units as u64, "{served} served");
    });
}

/// A server of sccache's: it keeps nothing on this machine.
struct Sccache {
    variables: Vec<(String, String)>,
}

impl Sccache {
    fn start(kura: &Kura, over: &str) -> Sccache {
        let variables = match over {
            "webdav" => variables(&kura.lines("sccache", &[])),
            _ => [
                ("SCCACHE_BUCKET", "sccache"),
                ("SCCACHE_REGION", "us-east-1"),
                ("SCCACHE_S3_USE_SSL", "false"),
                ("SCCACHE_S3_KEY_PREFIX", "team/ci"),
                ("SCCACHE_ENDPOINT", &kura.url("/s3")),
                ("AWS_ACCESS_KEY_ID", S3::ID),
                ("AWS_SECRET_ACCESS_KEY", S3::SECRET),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        };
        let sccache = Sccache::with(variables);
        run(sccache.command().arg("--start-server"));
        sccache
    }

    /// One that is not started yet.
    fn with(mut variables: Vec<(String, String)>) -> Sccache {
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port().to_string();
        variables.push(("SCCACHE_SERVER_PORT".to_owned(), port));
        Sccache { variables }
    }

    fn environment(&self, mut command: Command) -> Command {
        command.envs(self.variables.iter().cloned());
        command
    }

    fn command(&self) -> Command {
        self.environment(Command::new("sccache"))
    }

    /// Hits and misses of a language, and writes that failed.
    fn statistics(&self, language: &str) -> (usize, usize, u64) {
        let printed = run(self.command().args(["--show-stats", "--stats-format=json"]));
        let printed: serde_json::Value = serde_json::from_str(&printed).unwrap();
        let stats = &printed["stats"];
        let count =
            |name: &str| stats[name]["counts"][language].as_u64().map_or(0, |count| usize::try_from(count).unwrap());
        (count("cache_hits"), count("cache_misses"), stats["cache_write_errors"].as_u64().unwrap())
    }
}

impl Drop for Sccache {
    fn drop(&mut self) {
        let _ = self.command().arg("--stop-server").output();
    }
}
