//! What 64 uploads of 64 MiB side by side cost in memory.

use std::time::Duration;

use crate::Options;
use crate::client::Client;
use crate::load::{Until, drive};
use crate::process::pin_client;
use crate::servers::Server;
use crate::summary::Summary;

const IN_FLIGHT: usize = 64;
const BODY: usize = 64 << 20;
const UPLOADS: u64 = 192;
const CAPACITY: &str = "16GiB";

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    println!("\nMemory under {UPLOADS} uploads of 64 MiB, {IN_FLIGHT} at a time");
    println!("| uploads | most resident above idle, MiB |");
    println!("|---|---|");
    pin_client()?;
    let body = vec![0x5a; BODY];
    for chunked in [false, true] {
        let runs: anyhow::Result<Vec<f64>> =
            (0..options.runs.min(3)).map(|_| measure(options, &body, chunked)).collect();
        println!("| {} | {} |", if chunked { "chunked" } else { "of known length" }, Summary::of(runs?));
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn measure(options: &Options, body: &[u8], chunked: bool) -> anyhow::Result<f64> {
    let data = tempfile::tempdir_in(&options.directory)?;
    let server = Server::kura(options, data.path(), &["--capacity", CAPACITY])?;
    let idle = server.watched.resident()?;
    let put = |client: &mut Client, number: u64| {
        let path = format!("/http/bench/{number}");
        let send = |client: &mut Client| {
            if chunked { client.put_chunked(&path, body) } else { client.put(&path, body) }
        };
        while send(client)? != 200 {
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    };
    drive(&server, IN_FLIGHT, Until::Requests(UPLOADS), put)?;
    Ok(server.watched.most_resident()?.saturating_sub(idle) as f64 / f64::from(1 << 20))
}
