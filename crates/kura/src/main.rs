//! The binary: command line and configuration (`settings` → `layers` → `config`), wiring and life cycle (`serve`), what people read (`announce`, `page`).
//! Absent on purpose: everything that a cache does.

mod announce;
mod config;
mod layers;
mod memory;
mod page;
mod serve;
mod settings;
mod signals;
mod telemetry;
mod value;

use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};

use crate::config::Config;
use crate::layers::Layers;
use crate::settings::{CONFIG_FILE, Setting};

fn main() -> ExitCode {
    let matches = command().get_matches();
    match run(&matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kura: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let Some((name, matches)) = matches.subcommand() else { unreachable!("a subcommand is required") };
    let layers = Layers::gather(matches, std::env::vars_os())?;
    let config = Config::check(&layers)?;
    match name {
        "config" => print!("{}", page::in_force(&layers)),
        _ => serve::serve(config, layers.remarks())?,
    }
    Ok(())
}

fn command() -> Command {
    let with_settings = |command: Command| {
        let file = Arg::new(CONFIG_FILE).long(CONFIG_FILE).value_name("FILE").help("A TOML file with settings");
        command.arg(file).args(Setting::ALL.into_iter().map(flag))
    };
    Command::new("kura")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A build-cache server: one binary, one data directory, one port, every protocol")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(with_settings(Command::new("serve").about("Serve the cache until SIGTERM or SIGINT")))
        .subcommand(with_settings(Command::new("config").about("Print the settings in force and where each came from")))
}

fn flag(setting: Setting) -> Arg {
    let spec = setting.spec();
    Arg::new(spec.name).long(spec.name).value_name(spec.value).allow_hyphen_values(true).help(format!(
        "{} [default: {}] [env: {}]",
        spec.help,
        spec.default,
        spec.variable()
    ))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::command().debug_assert();
    }
}
