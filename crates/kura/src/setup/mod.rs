//! `kura setup CLIENT` prints the lines for a server, from the one table of clients. With `--check` it stores and fetches as that client does
//! (`http`, `grpc`, `s3`: what is sent), and says in a sentence what is wrong (`explain`).

mod explain;
mod grpc;
mod http;
mod llvm;
mod local;
mod s3;

use clap::{Arg, ArgAction, ArgMatches, Command};
use kura_http::clients::{CLIENTS, client};

use crate::client::{Failure, Target, target, with_server};

const CLIENT: &str = "client";
const CHECK: &str = "check";

/// As the command line has it.
pub(crate) fn command() -> Command {
    let names = CLIENTS.iter().map(|client| client.name);
    let client = Arg::new(CLIENT).value_name("CLIENT").required(true).value_parser(names.collect::<Vec<_>>());
    let check = "Store and fetch as the client would, and say what is wrong";
    let check = Arg::new(CHECK).long(CHECK).action(ArgAction::SetTrue).help(check);
    let about = "Print the lines that connect a client, or check that it can store and fetch";
    with_server(Command::new("setup").about(about).arg(client.help("Which client")).arg(check))
}

/// Carries it out.
pub(crate) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let name = matches.get_one::<String>(CLIENT).expect("clap requires it");
    let client = client(name).expect("clap takes no others");
    // Xcode's is reached by a socket; the address of the same server's port will do for a check.
    let target = target(matches, if client.name == "xcode" { Target::maybe_local } else { Target::new })?;
    if !matches.get_flag(CHECK) {
        println!("# {}, {}\n{}", client.title, client.place, client.lines(&target.address()));
        return Ok(());
    }
    let url = target.url("");
    check(client.name, target)?;
    println!("{} can store and fetch at {url}", client.title);
    Ok(())
}

fn check(name: &str, target: Target) -> Result<(), Failure> {
    if let Some(manner) = grpc::manner(name) {
        grpc::check(&target, &manner)?;
    }
    if name == "s3" {
        return s3::check(&target.without_token());
    }
    http::check(&target, name)?;
    if name == "ccache" && target.origin.starts_with("https://") {
        let url = target.url("");
        return Err(Failure::Refused(format!(
            "{url} is well, and ccache speaks no TLS by itself: give it the http:// address of what passes it on to there"
        )));
    }
    Ok(())
}

/// What is stored and fetched: nobody else has it.
fn artifact() -> Vec<u8> {
    format!("kura setup --check {:032x}\n", fastrand::u128(..)).into_bytes()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use kura_http::clients::Address;

    use super::*;

    #[test]
    fn each_client_has_a_page_with_its_lines() {
        let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/clients");
        for client in CLIENTS.iter().filter(|client| client.name != "http") {
            let page = std::fs::read_to_string(pages.join(format!("{}.md", client.name))).unwrap();
            let [token, ca] = ["TOKEN", "/path/to/ca.pem"].map(|text| Some(text.to_owned()));
            let secured = Address { token, ca, ..Address::of("HOST:8380", true) };
            let addresses = [Address::of("HOST:8380", false), secured];
            // Xcode reaches it by a socket, whatever its port speaks.
            let told = if client.name == "xcode" { 1 } else { addresses.len() };
            for lines in addresses[..told].iter().map(|address| client.lines(address)) {
                for line in lines.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
                    assert!(page.contains(line), "{}.md has no line\n{line}", client.name);
                }
            }
            assert!(page.contains(&format!("kura setup --check {}", client.name)), "{}.md", client.name);
        }
    }
}
