//! The Remote Execution API: Kura beside a plain server over a hash map in memory, or any other endpoint beside both.
//!
//! - `operation`: what is called, and what it needs to be there first.
//! - `content`: blobs that differ without costing the client a hash of all their bytes.
//! - `client`: gRPC by hand, so that the client's core is not what is measured.
//! - `load`: so many calls in flight, for a while.
//! - `sides`: the servers under measurement.
//! - `plain`: the companion.
//! - `path`: one stream over a long path, which `delay` makes.

mod client;
mod content;
mod delay;
mod load;
mod operation;
mod path;
mod plain;
mod sides;

use std::time::Duration;

use crate::Options;
use crate::process::pin_client;
use crate::reapi::client::Client;
use crate::reapi::load::Run;
use crate::reapi::operation::{Operation, Prepared};
use crate::reapi::sides::{Kind, Side};
use crate::summary::Summary;

pub(crate) use path::run as run_path;
pub(crate) use plain::serve as serve_plain;

const IN_FLIGHT: [usize; 3] = [1, 16, 64];

/// Connections of the client, for as many calls in flight and more.
const CONNECTIONS: usize = 4;

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    println!("\nRemote Execution API, up to {CONNECTIONS} connections, messages of uploads as large as --message says");
    println!(
        "| call | in flight | side | calls/s | p50 µs | p99 µs | CPU µs each | CPU s/GB | CPU to plain | grown, MiB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    pin_client()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let wanted = |operation: &Operation| operation.to_string().contains(&options.filter);
    for operation in Operation::ALL.into_iter().filter(wanted) {
        runtime.block_on(compare(options, operation))?;
    }
    Ok(())
}

/// One operation on all sides, which take turns.
async fn compare(options: &Options, operation: Operation) -> anyhow::Result<()> {
    let kinds: &[Kind] = if options.target.is_some() { &Kind::ALL } else { &Kind::ALL[..2] };
    let mut sides = Vec::new();
    for kind in kinds {
        let side = Side::start(options, *kind, operation)?;
        let client = Client::connect(&side.address, CONNECTIONS).await?;
        let prepared = operation.prepare(&client, options.message).await?;
        sides.push((side, client, prepared));
    }
    // Once without measuring.
    for (side, client, prepared) in &mut sides {
        measure(options, side, client, prepared, 1).await?;
    }
    for in_flight in IN_FLIGHT {
        let mut runs: Vec<Vec<Run>> = kinds.iter().map(|_| Vec::new()).collect();
        for _ in 0..options.runs {
            for ((side, client, prepared), runs) in sides.iter_mut().zip(&mut runs) {
                runs.push(measure(options, side, client, prepared, in_flight).await?);
            }
        }
        for ((kind, ours), (side, ..)) in kinds.iter().zip(&runs).zip(&sides) {
            print(&format!("{operation} | {in_flight} | {kind}"), ours, &runs[0], side.grown()?);
        }
    }
    Ok(())
}

async fn measure(
    options: &Options,
    side: &Side,
    client: &Client,
    prepared: &mut Prepared,
    in_flight: usize,
) -> anyhow::Result<Run> {
    let connections = in_flight.min(CONNECTIONS);
    let duration = Duration::from_secs(options.seconds);
    load::drive(client, &side.watched, connections, in_flight, duration, prepared).await
}

/// A line of the table. The companion is the first of the sides.
fn print(name: &str, runs: &[Run], plain: &[Run], grown: f64) {
    let of = |read: fn(&Run) -> f64| Summary::of(runs.iter().map(read));
    let ratio = Summary::of(runs.iter().zip(plain).map(|(ours, plain)| ours.cpu_micros() / plain.cpu_micros()));
    println!(
        "| {name} | {} | {} | {} | {} | {} | {ratio} | {grown:.0} |",
        of(Run::rate),
        of(|run| run.percentile(50)),
        of(|run| run.percentile(99)),
        of(Run::cpu_micros),
        of(Run::cpu_seconds_per_gigabyte),
    );
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::process::Watched;

    #[tokio::test]
    async fn every_operation_is_understood_by_the_companion() {
        for operation in Operation::ALL.into_iter().filter(|operation| !operation.to_string().contains("256 MiB")) {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            tokio::spawn(plain::serve_on(listener, operation.stores()));
            let client = Client::connect(&address, CONNECTIONS).await.unwrap();
            let mut prepared = operation.prepare(&client, 1000).await.unwrap();
            let watched = Watched { pids: vec![std::process::id()] };
            let duration = Duration::from_millis(20);
            let run = load::drive(&client, &watched, CONNECTIONS, 16, duration, &mut prepared).await.unwrap();
            assert!(run.rate() > 0.0, "{operation}");
        }
    }
}
