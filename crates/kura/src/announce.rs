//! What stands on standard output at the start: where Kura listens, and the lines to paste into each client.

use std::net::SocketAddr;
use std::path::Path;

use kura_http::clients::{Address, CLIENTS, Client};

/// The first line, once the port is taken.
pub(crate) fn listening(address: &str) -> String {
    format!("Kura {} listens on http://{address}", env!("CARGO_PKG_VERSION"))
}

/// The rest, once it serves.
pub(crate) fn serving(address: &str, data_dir: &Path, capacity: u64) -> String {
    let capacity = bytesize::ByteSize(capacity).display().iec();
    let named = Address::plain(address);
    let clients: String = CLIENTS.iter().map(|client| section(client, &named)).collect();
    format!(
        "
  dashboard   http://{address}/
  health      http://{address}/up  http://{address}/ready  http://{address}/metrics
  data        {} (at most {capacity})

Paste into your client, then try it: kura setup --check NAME --server http://{address}

{clients}Stop it with Ctrl-C; what is stored stays.
",
        data_dir.display()
    )
}

fn section(client: &Client, address: &Address) -> String {
    let lines: String = client.lines(address).lines().map(|line| format!("    {line}\n")).collect();
    format!("  {}, {}\n{lines}\n", client.title, client.place)
}

/// How clients reach it: a listener on all addresses is named by its host.
pub(crate) fn reachable(address: SocketAddr) -> String {
    if !address.ip().is_unspecified() {
        return address.to_string();
    }
    let name = rustix::system::uname();
    let host = name.nodename().to_str().ok().filter(|host| !host.is_empty()).unwrap_or("localhost").to_owned();
    format!("{host}:{}", address.port())
}
