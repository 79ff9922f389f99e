//! How long a start takes, and what an artifact costs in memory.

use crate::Options;
use crate::client::Client;
use crate::load::{Until, drive};
use crate::process::pin_client;
use crate::servers::Server;
use crate::summary::Summary;

const BODY: &[u8] = b"a small artifact, as most are";

const CAPACITY: &str = "4GiB";

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    println!("\nStart");
    println!("| artifacts | ready after a clean stop, ms | ready after kill -9, ms | resident bytes an artifact |");
    println!("|---|---|---|---|");
    pin_client()?;
    for artifacts in [options.artifacts / 10, options.artifacts] {
        measure(options, artifacts)?;
    }
    Ok(())
}

fn measure(options: &Options, artifacts: usize) -> anyhow::Result<()> {
    let data = tempfile::tempdir_in(&options.directory)?;
    let flags = ["--capacity", CAPACITY, "--durability", "none"];
    let server = Server::kura(options, data.path(), &flags)?;
    let empty = server.watched.resident()?;
    let put = |client: &mut Client, number: u64| {
        let status = client.put(&format!("/http/bench/{number}"), BODY)?;
        anyhow::ensure!(status == 200, "status {status}");
        Ok(())
    };
    drive(&server, 64, Until::Requests(artifacts as u64), put)?;
    server.stop()?;
    let (mut clean, mut killed, mut resident) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.runs {
        let server = Server::kura(options, data.path(), &flags)?;
        clean.push(server.started_in.as_secs_f64() * 1e3);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        resident.push(server.watched.resident()?.saturating_sub(empty) as f64 / artifacts as f64);
        server.kill()?;
        let server = Server::kura(options, data.path(), &flags)?;
        killed.push(server.started_in.as_secs_f64() * 1e3);
        server.stop()?;
    }
    println!("| {artifacts} | {} | {} | {} |", Summary::of(clean), Summary::of(killed), Summary::of(resident));
    Ok(())
}
