//! What it costs to know who asks, and hits under TLS beside nginx under TLS.

use crate::Options;
use crate::certificate::Certificate;
use crate::get::{CONNECTIONS, capacity, fill, print_row, write_files};
use crate::process::pin_client;
use crate::servers::{Server, nginx_version};

/// Bytes of a body and how many of them there are, under TLS.
const BODIES: [(usize, usize); 2] = [(64 << 10, 20_000), (64 << 20, 16)];

/// What tenants may take, where it is more than they ever do.
const TENANTS: &str = "[default]\nrequests = 100000000\nuploads = 1000\n";

/// Hits of 1 KiB on a server that asks for tokens and counts what tenants take, beside one that does not.
pub(crate) fn run_auth(options: &Options) -> anyhow::Result<()> {
    println!("\nGET, {CONNECTIONS} connections, Kura with tokens and limits of tenants beside Kura without");
    println!("| body | with: requests/s | CPU µs each | without: requests/s | CPU µs each | CPU ratio |");
    println!("|---|---|---|---|---|---|");
    pin_client()?;
    let (length, count) = (1 << 10, options.keys);
    let data = [tempfile::tempdir_in(&options.directory)?, tempfile::tempdir_in(&options.directory)?];
    let token = Server::token(options, data[0].path(), "default")?;
    let tenants = tempfile::NamedTempFile::new_in(&options.directory)?;
    std::fs::write(tenants.path(), TENANTS)?;
    let capacity = capacity(length, count);
    let flags = ["--capacity", &capacity, "--durability", "none"];
    let guards = ["--auth", "--tenants", &tenants.path().display().to_string()];
    let mut with = Server::kura(options, data[0].path(), &[&flags[..], &guards].concat())?;
    with.address.token = Some(token);
    let without = Server::kura(options, data[1].path(), &flags)?;
    for server in [&with, &without] {
        fill(server, length, count)?;
    }
    print_row(options, length, count, [&with, &without])
}

pub(crate) fn run_tls(options: &Options) -> anyhow::Result<()> {
    println!("\nGET under TLS 1.3, {CONNECTIONS} connections, Kura beside {}", nginx_version(options));
    println!("| body | Kura: requests/s | CPU µs each | nginx: requests/s | CPU µs each | CPU ratio |");
    println!("|---|---|---|---|---|---|");
    pin_client()?;
    let certificate = Certificate::new()?;
    for (length, count) in BODIES {
        let data = tempfile::tempdir_in(&options.directory)?;
        let files = tempfile::tempdir_in(&options.directory)?;
        let scratch = tempfile::tempdir_in(&options.directory)?;
        write_files(files.path(), length, count)?;
        let capacity = capacity(length, count);
        let flags = ["--capacity", &capacity, "--durability", "none"];
        let kura = Server::kura_under_tls(options, data.path(), &flags, &certificate)?;
        fill(&kura, length, count)?;
        let nginx = Server::nginx(options, files.path(), scratch.path(), Some(&certificate))?;
        print_row(options, length, count, [&kura, &nginx])?;
    }
    Ok(())
}
