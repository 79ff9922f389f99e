//! `reapi-conformance grpc://HOST:PORT`: does a cache do what the Remote Execution API says?
//!
//! - `checks`: a sentence of the specification each, with what shows whether it holds.
//! - `check`, `run`, `report`, `known`: what a check is, and what becomes of them.
//! - `client`, `calls`, `names`, `raw`: the server, as a client sees it.
//! - `offers`: what the server says that it has. What it does not offer is not asked of it.
//! - `digest`, `expect`: blobs, and what differs.
//!
//! Every check brings new blobs, so that a server may be asked again and again.

mod calls;
mod check;
mod checks;
mod client;
mod digest;
mod expect;
mod known;
#[cfg(test)]
mod liars;
mod names;
mod offers;
mod raw;
mod report;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::check::Check;
use crate::client::Server;
use crate::known::Known;

fn arguments() -> Command {
    Command::new("reapi-conformance")
        .about("Checks the cache services of the Remote Execution API, version 2, sentence by sentence")
        .arg(Arg::new("server").value_name("grpc://HOST:PORT").required_unless_present("list"))
        .arg(Arg::new("instance").long("instance").default_value("").help("The instance name of all requests"))
        .arg(Arg::new("filter").long("filter").value_name("WORD").help("Only checks whose method or sentence has WORD"))
        .arg(Arg::new("list").long("list").action(ArgAction::SetTrue).help("Print the checks and run none"))
        .arg(
            Arg::new("expect")
                .long("expect")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Known differences: fail if what differs is not exactly that"),
        )
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let matches = arguments().get_matches();
    let suite = checks::all();
    let wanted = selected(&suite.checks, &matches);
    if matches.get_flag("list") {
        report::list(wanted);
        return Ok(ExitCode::SUCCESS);
    }
    let known = matches.get_one::<PathBuf>("expect").map(|file| Known::read(file)).transpose()?;
    let text = |name: &str| matches.get_one::<String>(name).map(String::as_str);
    let target = text("server").context("no server is named")?;
    let server = Server::connect(target, text("instance").unwrap_or_default()).await?;
    report::head(&server);
    let results = run::all(&server, wanted, known.as_ref()).await;
    let found = run::found(&results, &suite.checks);
    report::table(&results, &found);
    let Some(known) = known else { return Ok(exit(found.differing.is_empty())) };
    let mismatch = known.mismatch(&found);
    if mismatch.is_empty() {
        println!("\nall differences are the known ones of {}", known.server);
    } else {
        println!("\nnot what is known of {}:\n{mismatch}", known.server);
    }
    Ok(exit(mismatch.is_empty()))
}

fn selected<'a>(checks: &'a [Check], matches: &ArgMatches) -> Vec<&'a Check> {
    let word = matches.get_one::<String>("filter");
    checks.iter().filter(|check| word.is_none_or(|word| check.name().contains(word.as_str()))).collect()
}

fn exit(succeeded: bool) -> ExitCode {
    if succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
