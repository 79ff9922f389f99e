//! One stream over a long path: it can be no faster than its window divided by the round trip, and how near it comes to that.

use std::time::{Duration, Instant};

use crate::Options;
use crate::process::pin_client;
use crate::reapi::client::{Client, STREAM_WINDOW};
use crate::reapi::delay;
use crate::reapi::operation::Operation;
use crate::reapi::sides::Side;
use crate::summary::Summary;

const BODY: usize = 256 << 20;

const ONE_WAY: Duration = Duration::from_millis(50);

/// What Kura gives a stream, unless it is told otherwise.
const SERVER_WINDOW: u32 = 8 << 20;

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    println!("\nOne stream of {} MiB over a path of {} ms", BODY >> 20, 2 * ONE_WAY.as_millis());
    println!("| call | window, MiB | MiB/s | of window ÷ round trip | grown, MiB |");
    println!("|---|---|---|---|---|");
    pin_client()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        measure(options, Operation::Read(BODY), STREAM_WINDOW).await?;
        measure(options, Operation::Write(BODY), SERVER_WINDOW).await
    })
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
async fn measure(options: &Options, operation: Operation, window: u32) -> anyhow::Result<()> {
    // The path is measured, not the device at its end.
    let side = Side::kura(options, "none")?;
    let mut prepared = operation.prepare(&Client::connect(&side.address, 1).await?, options.message).await?;
    let client = Client::connect(&delay::in_front_of(&side.address, ONE_WAY)?, 1).await?;
    let mut rates = Vec::new();
    for _ in 0..options.runs {
        let call = prepared.call();
        let start = Instant::now();
        client.call(0, &call, false).await?;
        rates.push(BODY as f64 / f64::from(1 << 20) / start.elapsed().as_secs_f64());
    }
    let window = f64::from(window) / f64::from(1 << 20);
    let most = window / (2 * ONE_WAY).as_secs_f64();
    let shares = Summary::of(rates.iter().map(|rate| rate / most));
    println!("| {operation} | {window} | {} | {shares} | {:.0} |", Summary::of(rates), side.grown()?);
    Ok(())
}
