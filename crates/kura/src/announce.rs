//! What stands on standard output at the start: where Kura listens, and the lines to paste into each client.

use std::net::SocketAddr;
use std::path::Path;

use kura_http::clients::{Address, CLIENTS, Client};

use crate::memory::Plan;

/// The first line, once the port is taken.
pub(crate) fn listening(address: &Address) -> String {
    format!("Kura {} listens on {}", env!("CARGO_PKG_VERSION"), address.url)
}

/// The rest, once it serves.
pub(crate) fn serving(address: &Address, data_dir: &Path, capacity: u64, plan: &Plan) -> String {
    let memory = memory(capacity, plan);
    let capacity = bytesize::ByteSize(capacity).display().iec();
    let clients: String = CLIENTS.iter().map(|client| section(client, address)).collect();
    let url = &address.url;
    format!(
        "
  dashboard   {url}/
  health      {url}/up  {url}/ready  {url}/metrics
  data        {} (at most {capacity})
  memory      {memory}

Paste into your client, then try it: kura setup --check NAME --server {url}

{clients}Stop it with Ctrl-C; what is stored stays.
",
        data_dir.display()
    )
}

/// What may be taken, and how small artifacts may be before it is memory that bounds how many there are.
fn memory(capacity: u64, plan: &Plan) -> String {
    let size = |bytes| bytesize::ByteSize(bytes).display().iec();
    let artifacts = plan.artifacts();
    format!(
        "at most {}; {} of it for the index of up to {} million artifacts, which fill the capacity at {} each",
        size(plan.total),
        size(plan.index),
        artifacts / 1_000_000,
        size(capacity / artifacts.max(1)),
    )
}

fn section(client: &Client, address: &Address) -> String {
    let lines: String = client.lines(address).lines().map(|line| format!("    {line}\n")).collect();
    format!("  {}, {}\n{lines}\n", client.title, client.place)
}

/// How clients reach it: a listener on all addresses is named by its host.
pub(crate) fn reachable(address: SocketAddr, tls: bool) -> Address {
    if !address.ip().is_unspecified() {
        return Address::of(&address.to_string(), tls);
    }
    let name = rustix::system::uname();
    let host = name.nodename().to_str().ok().filter(|host| !host.is_empty()).unwrap_or("localhost").to_owned();
    Address::of(&format!("{host}:{}", address.port()), tls)
}
