//! C and Rust through sccache, over WebDAV and over S3: the second clean build is all hits, also after a restart and after `kill -9`.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use kura_e2e::{Kura, S3, run};

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
    variables: Vec<(&'static str, String)>,
}

impl Sccache {
    fn start(kura: &Kura, over: &str) -> Sccache {
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port().to_string();
        let mut variables = match over {
            "webdav" => vec![("SCCACHE_WEBDAV_ENDPOINT", kura.url("/webdav"))],
            _ => [
                ("SCCACHE_BUCKET", "sccache"),
                ("SCCACHE_REGION", "us-east-1"),
                ("SCCACHE_S3_USE_SSL", "false"),
                ("SCCACHE_S3_KEY_PREFIX", "team/ci"),
                ("SCCACHE_ENDPOINT", &kura.url("/s3")),
                ("AWS_ACCESS_KEY_ID", S3::ID),
                ("AWS_SECRET_ACCESS_KEY", S3::SECRET),
            ]
            .map(|(name, value)| (name, value.to_owned()))
            .to_vec(),
        };
        variables.push(("SCCACHE_SERVER_PORT", port));
        let sccache = Sccache { variables };
        run(sccache.command().arg("--start-server"));
        sccache
    }

    fn environment(&self, mut command: Command) -> Command {
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
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
