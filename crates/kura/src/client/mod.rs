//! Commands that talk to a running server: `kura get`, `put`, `head`, `rm`, `ls` and `clean` here, `kura setup` beside it.
//! What they share: where the server is (`target`), whom they trust (`tls`), why something failed and with which status scripts learn of it ([`Failure`]).

mod get;
pub(crate) mod local;
mod ls;
mod progress;
mod put;
mod remove;
mod target;
mod tls;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, value_parser};
use ureq::http::StatusCode;

pub(crate) use target::{MAX_TEXT, PATIENCE, Target, message_in, text_of};
pub(crate) use tls::Ca;

const SERVER: &str = "server";
const TOKEN: &str = "token";
const CA: &str = "ca";
const KEY: &str = "key";
const FILE: &str = "file";

/// Where Kura listens unless told otherwise.
const DEFAULT_SERVER: &str = "http://127.0.0.1:8380";

/// Why a command was not carried out. `docs/client.md` documents the statuses.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Miss(String),
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Refused(String),
    /// Not reached, broken off, or told to come back: it may do later.
    #[error("{0}")]
    Later(String),
    #[error("{path}: {source}")]
    File { path: String, source: std::io::Error },
}

impl Failure {
    fn status(&self) -> u8 {
        match self {
            Failure::Miss(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Refused(_) => 3,
            Failure::Later(_) => 4,
            Failure::File { .. } => 5,
        }
    }
}

impl Failure {
    /// What came of an answer that is none of those that were hoped for, with that body.
    fn of_answer(method: &str, url: &str, status: StatusCode, body: &str) -> Failure {
        let text = message_in(body);
        let text = if text.is_empty() { String::new() } else { format!(": {text}") };
        let said = format!("{method} {url} was answered with {status}{text}");
        match status {
            StatusCode::NOT_FOUND => Failure::Miss(said),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Failure::Later(said),
            _ => Failure::Refused(said),
        }
    }
}

/// Says what failed, and ends with its status.
pub(crate) fn ended(outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("kura: {failure}");
            ExitCode::from(failure.status())
        }
    }
}

/// The commands of this module, as the command line has them.
pub(crate) fn commands() -> [Command; 6] {
    let key = "What to name: NAMESPACE/KEY, where the key may have slashes";
    let key = || Arg::new(KEY).value_name("NAMESPACE/KEY").required(true).help(key);
    let file =
        |help| Arg::new(FILE).value_name("FILE").value_parser(value_parser!(PathBuf)).default_value("-").help(help);
    let get = Command::new("get").about("Fetch an artifact; goes on with a FILE.part that was left behind");
    let put = Command::new("put").about("Store an artifact");
    let head = Command::new("head").about("Ask whether an artifact is there; prints its size and what else is known");
    let ls =
        Command::new("ls").about("List a namespace: bytes, when it was stored, and NAMESPACE/KEY, with tabs between");
    let below = "What to list: NAMESPACE, or NAMESPACE/PREFIX";
    let below = Arg::new(KEY).value_name("NAMESPACE[/PREFIX]").required(true).help(below);
    let rm = Command::new("rm").about("Delete an artifact; one that is not there is no failure");
    let clean = Command::new("clean").about("Empty a namespace, or an overlay of it");
    [
        with_server(get.arg(key()).arg(file("Where to write it; - is standard output"))),
        with_server(put.arg(key()).arg(file("What to store; - is standard input"))),
        with_server(head.arg(key())),
        remove::with_place(with_server(rm.arg(key()).arg(remove::kind()))),
        remove::with_place(with_server(clean.arg(remove::namespace()))),
        with_server(ls.arg(below)),
    ]
}

/// Adds the flags that name a server.
pub(crate) fn with_server(command: Command) -> Command {
    let server = "The server's address [env: KURA_SERVER] [default: http://127.0.0.1:8380]";
    let token = "What the server, or a proxy in front of it, asks for [env: KURA_TOKEN]";
    let ca = "A PEM file with the authorities to trust, in place of this machine's [env: KURA_CA]";
    command
        .arg(Arg::new(SERVER).long(SERVER).value_name("URL").help(server))
        .arg(Arg::new(TOKEN).long(TOKEN).value_name("TOKEN").help(token))
        .arg(Arg::new(CA).long(CA).value_name("FILE").help(ca))
}

/// The server that the flags, or the environment, name, as `read` understands its address.
pub(crate) fn target(
    matches: &ArgMatches,
    read: impl Fn(&str, Option<String>, Option<Ca>) -> Result<Target, String>,
) -> Result<Target, Failure> {
    let url = given(matches, SERVER, "KURA_SERVER").unwrap_or_else(|| DEFAULT_SERVER.to_owned());
    let ca = given(matches, CA, "KURA_CA").map(|file| Ca::read(&file)).transpose()?;
    read(&url, given(matches, TOKEN, "KURA_TOKEN"), ca).map_err(Failure::Usage)
}

/// What a flag says, or else the environment.
fn given(matches: &ArgMatches, flag: &str, variable: &str) -> Option<String> {
    matches.get_one::<String>(flag).cloned().or_else(|| std::env::var(variable).ok()).filter(|it| !it.is_empty())
}

/// Carries one of [`commands`] out.
pub(crate) fn run(name: &str, matches: &ArgMatches) -> Result<(), Failure> {
    match name {
        "rm" => return remove::rm(matches),
        "clean" => return remove::clean(matches),
        _ => {}
    }
    let target = target(matches, Target::new)?;
    let key = matches.get_one::<String>(KEY).expect("clap requires it");
    let path = || path_of(key).map_err(Failure::Usage);
    let file = || matches.get_one::<PathBuf>(FILE).expect("clap has a default");
    match name {
        "get" => get::get(&target, &path()?, file()),
        "put" => put::put(&target, &path()?, file()),
        "head" => put::head(&target, &path()?),
        _ => ls::ls(&target, key),
    }
}

/// The path of `NAMESPACE/KEY` on the server.
fn path_of(name: &str) -> Result<String, String> {
    split(name).map(|_| format!("/http/{}", spelled(name)))
}

/// The namespace and the key.
fn split(name: &str) -> Result<(&str, &str), String> {
    let split = name.split_once('/').filter(|(namespace, key)| !namespace.is_empty() && !key.is_empty());
    split.ok_or_else(|| format!("expected NAMESPACE/KEY, and not `{name}`"))
}

/// Percent-encodes all but slashes and what RFC 3986 leaves unreserved.
fn spelled(name: &str) -> String {
    let mut path = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_paths() {
        assert_eq!(path_of("tools/a b/ü?#%").unwrap(), "/http/tools/a%20b/%C3%BC%3F%23%25");
        for bad in ["", "tools", "tools/", "/key"] {
            assert!(path_of(bad).is_err(), "{bad}");
        }
    }
}
