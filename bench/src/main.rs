//! The load generator of `docs/benchmarks.md`: `kura-bench get|auth|tls|flood|put|reapi|path|start|memory|all`.
//!
//! - `get`: hits, beside nginx that serves the same bytes from files.
//! - `auth`: hits of who shows a token, beside hits of a server that asks for none.
//! - `tls`: hits under TLS, beside nginx under TLS.
//! - `flood`: what two tenants keep, and how fast they are, while a third stores far too much.
//! - `put`: uploads, with what reaches the device.
//! - `reapi`: the Remote Execution API, beside a plain gRPC server in memory.
//! - `path`: one stream of it over a long path.
//! - `start`: how long a start takes, and what an artifact costs in memory.
//! - `memory`: what large uploads side by side cost.
//!
//! Server and client have a core each. A rate stands beside the processor time that the server took for it, as the median of several runs with the spread.

mod certificate;
mod client;
mod flood;
mod get;
mod guarded;
mod load;
mod memory;
mod process;
mod put;
mod reapi;
mod servers;
mod start;
mod summary;

use std::path::PathBuf;

use clap::{Arg, ArgAction, Command, value_parser};

/// What the command line says.
pub(crate) struct Options {
    pub(crate) kura: PathBuf,
    pub(crate) nginx: PathBuf,
    /// Where data directories are made: the device that is measured.
    pub(crate) directory: PathBuf,
    pub(crate) runs: usize,
    /// Seconds of one run.
    pub(crate) seconds: u64,
    /// Distinct small bodies.
    pub(crate) keys: usize,
    /// Artifacts at the largest start.
    pub(crate) artifacts: usize,
    /// Bytes of a message of an upload over gRPC.
    pub(crate) message: usize,
    /// Only calls over gRPC whose name has this word.
    pub(crate) filter: String,
    /// Another gRPC endpoint to measure, and the process whose time counts.
    pub(crate) target: Option<String>,
    pub(crate) target_pid: Option<u32>,
}

fn main() -> anyhow::Result<()> {
    let path = |name: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name).long(name).default_value(default).value_parser(value_parser!(PathBuf)).help(help)
    };
    let number = |name: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name).long(name).default_value(default).value_parser(value_parser!(u64)).help(help)
    };
    let parts = ["all", "get", "auth", "tls", "flood", "put", "reapi", "path", "start", "memory", "plain"];
    let matches = Command::new("kura-bench")
        .about("Measures Kura, beside nginx where there is something to compare")
        .arg(Arg::new("part").value_parser(parts).default_value("all"))
        .arg(path("kura", "target/release/kura", "The server"))
        .arg(path("nginx", "/usr/sbin/nginx", "What it is compared with"))
        .arg(path("directory", "/var/tmp", "Where the data goes"))
        .arg(number("runs", "5", "Runs of each side"))
        .arg(number("seconds", "3", "Seconds of one run"))
        .arg(number("keys", "100000", "Distinct small bodies"))
        .arg(number("artifacts", "1000000", "Artifacts at the largest start"))
        .arg(number("message", "65536", "reapi: bytes of a message of an upload"))
        .arg(Arg::new("filter").long("filter").default_value("").help("reapi: only calls whose name has this word"))
        .arg(Arg::new("target").long("target").help("reapi: another endpoint, grpc://HOST:PORT"))
        .arg(Arg::new("target-pid").long("target-pid").value_parser(value_parser!(u32)).help("reapi: its process"))
        .arg(Arg::new("discard").long("discard").action(ArgAction::SetTrue).help("plain: keep no blobs"))
        .get_matches();
    let path = |name: &str| matches.get_one::<PathBuf>(name).cloned().unwrap_or_default();
    let number = |name: &str| matches.get_one::<u64>(name).copied().unwrap_or_default();
    let options = Options {
        kura: path("kura"),
        nginx: path("nginx"),
        directory: path("directory"),
        runs: usize::try_from(number("runs"))?,
        seconds: number("seconds"),
        keys: usize::try_from(number("keys"))?,
        artifacts: usize::try_from(number("artifacts"))?,
        message: usize::try_from(number("message"))?,
        filter: matches.get_one::<String>("filter").cloned().unwrap_or_default(),
        target: matches.get_one::<String>("target").cloned(),
        target_pid: matches.get_one::<u32>("target-pid").copied(),
    };
    let part = matches.get_one::<String>("part").map_or("all", String::as_str);
    if part == "plain" {
        return reapi::serve_plain(matches.get_flag("discard"));
    }
    process::describe(&options.directory)?;
    let wanted = |name| part == name || part == "all";
    if wanted("get") {
        get::run(&options)?;
    }
    if wanted("auth") {
        guarded::run_auth(&options)?;
    }
    if wanted("tls") {
        guarded::run_tls(&options)?;
    }
    if wanted("flood") {
        flood::run(&options)?;
    }
    if wanted("put") {
        put::run(&options)?;
    }
    if wanted("reapi") {
        reapi::run(&options)?;
    }
    if wanted("path") {
        reapi::run_path(&options)?;
    }
    if wanted("start") {
        start::run(&options)?;
    }
    if wanted("memory") {
        memory::run(&options)?;
    }
    Ok(())
}
