//! Hits, beside nginx that serves the same bytes from files.

use std::path::Path;
use std::time::Duration;

use crate::Options;
use crate::client::Client;
use crate::load::{Measured, Until, drive};
use crate::process::pin_client;
use crate::servers::{Server, nginx_version};
use crate::summary::{Summary, size};

pub(crate) const CONNECTIONS: usize = 32;

/// Bytes of a body and how many of them; zero: as many as `--keys` says.
const BODIES: [(usize, usize); 4] = [(1 << 10, 0), (64 << 10, 0), (1 << 20, 512), (64 << 20, 16)];

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    println!("\nGET, {CONNECTIONS} connections, Kura beside {}", nginx_version(options));
    println!("| body | Kura: requests/s | CPU µs each | nginx: requests/s | CPU µs each | CPU ratio |");
    println!("|---|---|---|---|---|---|");
    pin_client()?;
    for (length, count) in BODIES {
        let count = if count == 0 { options.keys } else { count };
        compare(options, length, count)?;
    }
    Ok(())
}

/// nginx finds its files in 256 directories, as a sensible user would lay them out.
fn path(number: u64) -> String {
    format!("/http/bench/{:02x}/{number}", number % 256)
}

fn compare(options: &Options, length: usize, count: usize) -> anyhow::Result<()> {
    let data = tempfile::tempdir_in(&options.directory)?;
    let files = tempfile::tempdir_in(&options.directory)?;
    let scratch = tempfile::tempdir_in(&options.directory)?;
    write_files(files.path(), length, count)?;
    let kura = Server::kura(options, data.path(), &["--capacity", &capacity(length, count), "--durability", "none"])?;
    fill(&kura, length, count)?;
    let nginx = Server::nginx(options, files.path(), scratch.path(), None)?;
    print_row(options, length, count, [&kura, &nginx])
}

/// Bytes that so many bodies fit into.
pub(crate) fn capacity(length: usize, count: usize) -> String {
    (length * count * 2).max(1 << 30).to_string()
}

/// Measures one server beside the other, in turns, and prints what each came to and the ratio of their times.
pub(crate) fn print_row(options: &Options, length: usize, count: usize, servers: [&Server; 2]) -> anyhow::Result<()> {
    // Both once without measuring, so that all of it is in the page cache.
    for server in servers {
        measure(server, length, count, Until::Requests(count as u64))?;
    }
    let [mut ours, mut theirs] = [Vec::new(), Vec::new()];
    for _ in 0..options.runs {
        let until = Until::Elapsed(Duration::from_secs(options.seconds));
        ours.push(measure(servers[0], length, count, until)?);
        theirs.push(measure(servers[1], length, count, until)?);
    }
    let of = |runs: &[Measured], read: fn(&Measured) -> f64| Summary::of(runs.iter().map(read));
    let ratio = Summary::of(ours.iter().zip(&theirs).map(|(ours, theirs)| ours.cpu_micros() / theirs.cpu_micros()));
    println!(
        "| {} × {count} | {} | {} | {} | {} | {ratio} |",
        size(length),
        of(&ours, Measured::rate),
        of(&ours, Measured::cpu_micros),
        of(&theirs, Measured::rate),
        of(&theirs, Measured::cpu_micros),
    );
    Ok(())
}

fn body(length: usize, number: u64) -> Vec<u8> {
    let mut body = vec![0; length];
    fastrand::Rng::with_seed(number).fill(&mut body);
    body
}

pub(crate) fn write_files(root: &Path, length: usize, count: usize) -> anyhow::Result<()> {
    for number in 0..256.min(count) {
        std::fs::create_dir_all(root.join("http/bench").join(format!("{number:02x}")))?;
    }
    for number in 0..count as u64 {
        std::fs::write(root.join(path(number).trim_start_matches('/')), body(length, number))?;
    }
    Ok(())
}

pub(crate) fn fill(kura: &Server, length: usize, count: usize) -> anyhow::Result<()> {
    let put = |client: &mut Client, number: u64| {
        let status = client.put(&path(number), &body(length, number))?;
        anyhow::ensure!(status == 200, "status {status}");
        Ok(())
    };
    drive(kura, 8, Until::Requests(count as u64), put)?;
    Ok(())
}

fn measure(server: &Server, length: usize, count: usize, until: Until) -> anyhow::Result<Measured> {
    let get = |client: &mut Client, number: u64| {
        // Spread over all keys, in an order that repeats.
        let key = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % count as u64;
        let found = client.get(&path(key))?;
        anyhow::ensure!(found == length as u64, "{found} bytes");
        Ok(())
    };
    drive(server, CONNECTIONS, until, get)
}
