//! The binary: command line and configuration (`settings` → `layers` → `config`), wiring and life cycle (`serve`), what people read (`announce`, `page`),
//! a stopped directory (`offline`: `check`, `inspect`), and what talks to a running server (`client`, `setup`).
//! Absent on purpose: everything that a cache does.

mod announce;
mod auth;
mod check;
mod client;
mod config;
mod inspect;
mod layers;
mod memory;
mod offline;
mod page;
mod reload;
mod s3;
mod serve;
mod settings;
mod setup;
mod signals;
mod socket;
mod telemetry;
mod tenants;
mod tls;
mod value;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::config::Config;
use crate::layers::Layers;
use crate::settings::{CONFIG_FILE, Setting};

/// Of `check` and `inspect`.
const DIRECTORY: &str = "directory";
const REPAIR: &str = "repair";
const SEGMENT: &str = "segment";

fn main() -> ExitCode {
    let matches = command().get_matches();
    match run(&matches) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("kura: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let Some((name, matches)) = matches.subcommand() else { unreachable!("a subcommand is required") };
    match name {
        "check" => {
            let is_sound = check::check(directory(matches), matches.get_flag(REPAIR))?;
            return Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        "token" => return Ok(auth::run(matches)?),
        "setup" => return Ok(client::ended(setup::run(matches))),
        "get" | "put" | "head" | "rm" | "ls" | "clean" => return Ok(client::ended(client::run(name, matches))),
        "inspect" => inspect::inspect(directory(matches), matches.get_one(SEGMENT).copied())?,
        _ => {
            let layers = Layers::gather(matches, std::env::vars_os())?;
            let config = Config::check(&layers)?;
            match name {
                "config" => print!("{}", page::in_force(&layers)),
                _ => serve::serve(config, layers.remarks())?,
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn directory(matches: &ArgMatches) -> &Path {
    matches.get_one::<PathBuf>(DIRECTORY).expect("clap requires it")
}

fn command() -> Command {
    let file = || Arg::new(CONFIG_FILE).long(CONFIG_FILE).value_name("FILE").help("A TOML file with settings");
    let with_settings = |command: Command| command.arg(file()).args(Setting::ALL.map(flag));
    let with_place = |command: Command| command.arg(file()).args([Setting::DataDir, Setting::AuthTokens].map(flag));
    let directory = || {
        let help = "A data directory that no server uses";
        Arg::new(DIRECTORY).value_name("DIR").required(true).value_parser(value_parser!(PathBuf)).help(help)
    };
    let repair = "Drop what is damaged, and nothing else";
    let repair = Arg::new(REPAIR).long(REPAIR).action(ArgAction::SetTrue).help(repair);
    let segment = "List the records of the segment with this number";
    let segment = Arg::new(SEGMENT).long(SEGMENT).value_name("NUMBER").value_parser(segment_number).help(segment);
    let check = "Read all of a stopped data directory; exits with 1 where something does not hold or is not Kura's";
    let inspect = "List the segments of a stopped data directory, oldest first";
    Command::new("kura")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A build-cache server: one binary, one data directory, one port, every protocol")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(with_settings(Command::new("serve").about("Serve the cache until SIGTERM or SIGINT")))
        .subcommand(with_settings(Command::new("config").about("Print the settings in force and where each came from")))
        .subcommand(auth::command(with_place))
        .subcommand(setup::command())
        .subcommands(client::commands())
        .subcommand(Command::new("check").about(check).arg(directory()).arg(repair))
        .subcommand(Command::new("inspect").about(inspect).arg(directory()).arg(segment))
}

/// As the file's name has it.
fn segment_number(text: &str) -> Result<u64, String> {
    u64::from_str_radix(text, 16).map_err(|_| "expected the hexadecimal number of a segment, as listed".to_owned())
}

fn flag(setting: Setting) -> Arg {
    let spec = setting.spec();
    let help = format!("{} [default: {}] [env: {}]", spec.help, spec.default, spec.variable());
    let flag = Arg::new(spec.name).long(spec.name).value_name(spec.value).help(help);
    if spec.is_switch() { flag.num_args(0..=1).default_missing_value("on") } else { flag.allow_hyphen_values(true) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::command().debug_assert();
    }
}
