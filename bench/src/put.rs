//! Uploads of known length, with what reaches the device, and what durability costs.

use std::time::Duration;

use crate::Options;
use crate::client::Client;
use crate::load::{Measured, Until, drive};
use crate::process::pin_client;
use crate::servers::Server;
use crate::summary::{Summary, size};

/// Bytes of a body, and how many are in flight.
const CASES: [(usize, usize); 8] = [
    (4 << 10, 1),
    (4 << 10, 64),
    (64 << 10, 1),
    (64 << 10, 64),
    (1 << 20, 1),
    (1 << 20, 64),
    (64 << 20, 1),
    (64 << 20, 16),
];

const CAPACITY: &str = "8GiB";

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    println!("\nPUT, capacity {CAPACITY}");
    println!(
        "| body × in flight | always: requests/s | CPU µs each | device bytes a byte | none: requests/s | device bytes a byte | always ÷ none |"
    );
    println!("|---|---|---|---|---|---|---|");
    pin_client()?;
    for (length, in_flight) in CASES {
        compare(options, length, in_flight)?;
    }
    Ok(())
}

fn compare(options: &Options, length: usize, in_flight: usize) -> anyhow::Result<()> {
    let directories = [tempfile::tempdir_in(&options.directory)?, tempfile::tempdir_in(&options.directory)?];
    let start = |durability: &str, at: usize| {
        let flags = ["--capacity", CAPACITY, "--durability", durability];
        Server::kura(options, directories[at].path(), &flags)
    };
    let (always, none) = (start("always", 0)?, start("none", 1)?);
    let (mut durable, mut fast) = (Vec::new(), Vec::new());
    for run in 0..options.runs {
        durable.push(measure(&always, options, length, in_flight, run)?);
        fast.push(measure(&none, options, length, in_flight, run)?);
    }
    let of = |runs: &[Measured], read: &dyn Fn(&Measured) -> f64| Summary::of(runs.iter().map(read));
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let amplification = |run: &Measured| run.device_bytes as f64 / (run.requests as f64 * length as f64);
    let ratio = Summary::of(durable.iter().zip(&fast).map(|(durable, fast)| durable.rate() / fast.rate()));
    println!(
        "| {} × {in_flight} | {} | {} | {} | {} | {} | {ratio} |",
        size(length),
        of(&durable, &Measured::rate),
        of(&durable, &Measured::cpu_micros),
        of(&durable, &amplification),
        of(&fast, &Measured::rate),
        of(&fast, &amplification),
    );
    Ok(())
}

fn measure(
    server: &Server,
    options: &Options,
    length: usize,
    in_flight: usize,
    run: usize,
) -> anyhow::Result<Measured> {
    let mut body = vec![0; length];
    fastrand::Rng::with_seed(run as u64).fill(&mut body);
    let put = |client: &mut Client, number: u64| {
        // A client that is told to come back does so.
        while client.put(&format!("/http/bench/{run}/{number}"), &body)? != 200 {
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    };
    let until = Until::Elapsed(Duration::from_secs(options.seconds));
    drive(server, in_flight, until, put)
}
