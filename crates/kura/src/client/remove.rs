//! `kura rm` and `kura clean`: what admins remove. They reach a server by its address, or by the socket in its data directory, which is for whoever it runs as;
//! its files are its own.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, value_parser};
use kura_cache::{Kind, Namespace, Overlay, Tenant};
use ureq::SendBody;

use super::{Failure, KEY, SERVER, Target, given, local, spelled, target, text_of};
use crate::socket;

const DATA_DIR: &str = "data-dir";
const TENANT: &str = "tenant";
const NAMESPACE: &str = "namespace";
const OVERLAY: &str = "overlay";
const KIND: &str = "kind";

/// Adds to a command what says where it removes.
pub(super) fn with_place(command: Command) -> Command {
    let help = "The server that uses this data directory, by the socket in it: for the user that it runs as, without a token [env: KURA_DATA_DIR]";
    let directory = Arg::new(DATA_DIR).long(DATA_DIR).value_name("DIR").value_parser(value_parser!(PathBuf));
    let tenant = Arg::new(TENANT).long(TENANT).value_name("TENANT").help("Whose [default: the token's, or `default`]");
    let overlay =
        Arg::new(OVERLAY).long(OVERLAY).value_name("NAME").help("An overlay of the namespace, in place of itself");
    command
        .arg(directory.conflicts_with(SERVER).help(help))
        .arg(tenant.value_parser(|name: &str| Tenant::parse(name.to_owned()).map_err(|error| error.to_string())))
        .arg(overlay.value_parser(|name: &str| Overlay::parse(name.to_owned()).map_err(|error| error.to_string())))
}

/// Of `clean`: what is emptied.
pub(super) fn namespace() -> Arg {
    let namespace = Arg::new(NAMESPACE).long(NAMESPACE).value_name("NAMESPACE").required(true);
    let namespace =
        namespace.value_parser(|name: &str| Namespace::parse(name.to_owned()).map_err(|error| error.to_string()));
    namespace.help("Which namespace")
}

/// Of `rm`: which of the artifacts that have the same key.
pub(super) fn kind() -> Arg {
    let kinds = Kind::ALL.into_iter().filter(|kind| !matches!(kind, Kind::Upload | Kind::Part | Kind::Probe));
    let help = "Through what it came, as `kura inspect` says; blobs and action results are named by their hash";
    Arg::new(KIND)
        .long(KIND)
        .value_name("KIND")
        .value_parser(kinds.map(Kind::name).collect::<Vec<_>>())
        .default_value("http")
        .help(help)
}

/// Empties a namespace, or an overlay of it.
pub(super) fn clean(matches: &ArgMatches) -> Result<(), Failure> {
    let namespace = matches.get_one::<Namespace>(NAMESPACE).expect("clap requires it");
    let path = place(matches, &component(namespace.as_str()), "");
    match delete(matches, &path) {
        // A namespace is always there.
        Err(Failure::Miss(said)) => Err(Failure::Refused(said)),
        ended => ended,
    }
}

/// Deletes an artifact. One that is not there is no failure.
pub(super) fn rm(matches: &ArgMatches) -> Result<(), Failure> {
    let name = matches.get_one::<String>(KEY).expect("clap requires it");
    let (namespace, key) = super::split(name).map_err(Failure::Usage)?;
    let kind = matches.get_one::<String>(KIND).expect("clap has a default");
    let path = place(matches, &component(namespace), &format!("/{kind}/{}", spelled(key)));
    match delete(matches, &path) {
        Err(Failure::Miss(_)) => Ok(()),
        ended => ended,
    }
}

fn component(namespace: &str) -> String {
    spelled(namespace).replace('/', "%2F")
}

fn place(matches: &ArgMatches, namespace: &str, artifact: &str) -> String {
    let tenant = matches.get_one::<Tenant>(TENANT).map(|tenant| format!("tenant_id={}", spelled(tenant.as_str())));
    let overlay = matches.get_one::<Overlay>(OVERLAY).map(|overlay| format!("overlay={}", spelled(overlay.as_str())));
    let query = [tenant, overlay].into_iter().flatten().collect::<Vec<_>>().join("&");
    format!("/admin/namespaces/{namespace}{artifact}{}{query}", if query.is_empty() { "" } else { "?" })
}

fn delete(matches: &ArgMatches, path: &str) -> Result<(), Failure> {
    if let Some(directory) = directory(matches) {
        return delete_over(&directory.join(socket::ADMIN), path);
    }
    let target = target(matches, Target::new)?;
    let url = target.url(path);
    let response = target.send("DELETE", &url, &[], SendBody::none()).map_err(|error| target.unreachable(&error))?;
    let status = response.status();
    if status.is_success() { Ok(()) } else { Err(Failure::of_answer("DELETE", &url, status, &text_of(response))) }
}

/// The directory of a server that is reached by the socket in it: one that is named there, where no address is.
fn directory(matches: &ArgMatches) -> Option<PathBuf> {
    let flag = matches.get_one::<PathBuf>(DATA_DIR).cloned();
    flag.or_else(|| match given(matches, SERVER, "KURA_SERVER") {
        Some(_) => None,
        None => std::env::var_os("KURA_DATA_DIR").filter(|directory| !directory.is_empty()).map(PathBuf::from),
    })
}

fn delete_over(socket: &Path, path: &str) -> Result<(), Failure> {
    let at = socket.display();
    match local::ask(socket, "DELETE", path) {
        Ok((status, _)) if status.is_success() => Ok(()),
        Ok((status, body)) => Err(Failure::of_answer("DELETE", path, status, &body)),
        Err(error) => Err(match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
                Failure::Later(format!("no server listens on {at}: is Kura started with this data directory?"))
            }
            ErrorKind::PermissionDenied => {
                Failure::Refused(format!("this user may not open {at}: that is for the user that Kura runs as"))
            }
            _ => Failure::Later(format!("the connection to {at} broke off: {error}")),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(arguments: &[&str]) -> String {
        let matches = crate::command().try_get_matches_from([&["kura"], arguments].concat()).unwrap();
        let (_, matches) = matches.subcommand().unwrap();
        let namespace = matches.try_get_one::<Namespace>(NAMESPACE).ok().flatten();
        place(matches, &component(namespace.map_or("ns", Namespace::as_str)), "")
    }

    #[test]
    fn a_place_is_spelled_so_that_it_stays_one() {
        assert_eq!(path(&["clean", "--namespace", "ios"]), "/admin/namespaces/ios");
        assert_eq!(
            path(&["clean", "--namespace", "a/b c", "--tenant", "x&y", "--overlay", "pr/1"]),
            "/admin/namespaces/a%2Fb%20c?tenant_id=x%26y&overlay=pr/1"
        );
        assert_eq!(path(&["rm", "ns/key", "--overlay", "1"]), "/admin/namespaces/ns?overlay=1");
        for wrong in [&["clean"][..], &["clean", "--namespace", ".."], &["rm", "ns/key", "--kind", "toy"]] {
            assert!(crate::command().try_get_matches_from([&["kura"], wrong].concat()).is_err(), "{wrong:?}");
        }
    }
}
