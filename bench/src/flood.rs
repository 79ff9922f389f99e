//! Three tenants, one of them flooding: what the others keep, and how fast they still are.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::Options;
use crate::client::{Address, Client};
use crate::process::pin_client;
use crate::servers::Server;
use crate::summary::{Summary, size};

const MIB: usize = 1 << 20;

const CAPACITY: &str = "1GiB";

/// What the flood stores in a run: twice the capacity.
const FLOOD_BYTES: u64 = 2 << 30;
const FLOOD_BODY: usize = 128 << 10;

/// Artifacts that each of the others works with, and those that it stores once and asks for at the end. All of them are within its quota.
const BODY: usize = 16 << 10;
const KEYS: f64 = (96 * MIB / BODY) as f64;
const SELDOM: u64 = (64 * MIB / BODY) as u64;

/// Connections of each tenant.
const CONNECTIONS: usize = 8;

/// Requests of both of the others before anything is measured: what they work with is there then.
const SETTLED_AFTER: u64 = 60_000;

const QUOTAS: &str =
    "[tenant.flood]\nbytes = \"256MiB\"\n[tenant.one]\nbytes = \"256MiB\"\n[tenant.other]\nbytes = \"256MiB\"\n";

/// The same, and what an operator says of who floods.
const LIMITED: &str = "[tenant.flood]\nbytes = \"256MiB\"\nrequests = 1000\nuploads = 8\n[tenant.one]\nbytes = \"256MiB\"\n[tenant.other]\nbytes = \"256MiB\"\n";

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    println!(
        "\nTwo tenants that fetch, and store what they missed ({}), while a third stores {} GiB ({}), {CONNECTIONS} connections each, {CAPACITY}",
        size(BODY),
        FLOOD_BYTES >> 30,
        size(FLOOD_BODY)
    );
    println!(
        "| quotas | hits % without the flood | with | of what is seldom asked for | requests/s without | with | ratio | flood: requests/s |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    pin_client()?;
    for (name, terms) in [("none", ""), ("bytes", QUOTAS), ("bytes, requests", LIMITED)] {
        let runs: anyhow::Result<Vec<Run>> = (0..options.runs).map(|_| flood(options, terms)).collect();
        let runs = runs?;
        let of = |read: fn(&Run) -> f64| Summary::of(runs.iter().map(read));
        println!(
            "| {name} | {} | {} | {} | {} | {} | {} | {} |",
            of(|run| run.without.hits()),
            of(|run| run.with.hits()),
            of(|run| run.seldom.hits()),
            of(|run| run.without.rate()),
            of(|run| run.with.rate()),
            of(|run| run.with.rate() / run.without.rate()),
            of(|run| run.flood.rate()),
        );
    }
    Ok(())
}

/// What the two came to without the flood and beside it, the flood itself, and of what the two had not asked for, what they still have after it.
struct Run {
    without: Worked,
    with: Worked,
    flood: Worked,
    seldom: Worked,
}

/// What some came to, together.
#[derive(Debug, Clone, Copy)]
struct Worked {
    requests: u64,
    hits: u64,
    seconds: f64,
}

impl Worked {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    fn hits(&self) -> f64 {
        self.hits as f64 * 100.0 / self.requests as f64
    }

    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    fn rate(&self) -> f64 {
        self.requests as f64 / self.seconds
    }
}

fn flood(options: &Options, terms: &str) -> anyhow::Result<Run> {
    let data = tempfile::tempdir_in(&options.directory)?;
    let file = tempfile::NamedTempFile::new_in(&options.directory)?;
    std::fs::write(file.path(), terms)?;
    let tokens = ["one", "other", "flood"].map(|tenant| Server::token(options, data.path(), tenant));
    let path = file.path().display().to_string();
    // With leases all would be kept that was ever asked for.
    let flags = ["--capacity", CAPACITY, "--durability", "none", "--lease", "0s", "--auth", "--tenants", &path];
    let server = Server::kura(options, data.path(), &flags)?;
    let mut addresses = Vec::new();
    for token in tokens {
        addresses.push(Address { token: Some(token?), ..server.address.clone() });
    }
    let [one, other, flood] = <[Address; 3]>::try_from(addresses).ok().context("three tokens")?;
    let both = [one, other];
    seldom(&both, |client, path| Ok(client.put(path, &[5; BODY])? == 200))?;
    work(&both, 0, |done| done >= SETTLED_AFTER)?;
    let begun = Instant::now();
    let without = work(&both, 1, |_| begun.elapsed() > Duration::from_secs(options.seconds))?;
    let over = AtomicBool::new(false);
    let (with, flood) = std::thread::scope(|scope| {
        let flooding = scope.spawn(|| store_much(&flood).inspect(|_| over.store(true, Ordering::Relaxed)));
        let with = work(&both, 2, |_| over.load(Ordering::Relaxed) || flooding.is_finished());
        let flood = flooding.join().map_err(|_| anyhow::anyhow!("the flood panicked"))??;
        anyhow::Ok((with?, flood))
    })?;
    let seldom = seldom(&both, |client, path| Ok(client.try_get(path)?.0 == 200))?;
    Ok(Run { without, with, flood, seldom })
}

/// Has each of them fetch what it draws, and store what it did not find, until it is over.
fn work(tenants: &[Address], seed: u64, is_over: impl Fn(u64) -> bool + Sync) -> anyhow::Result<Worked> {
    let (requests, hits) = (AtomicU64::new(0), AtomicU64::new(0));
    let begun = Instant::now();
    let body = vec![seed.to_le_bytes()[0]; BODY];
    std::thread::scope(|scope| {
        let mut working = Vec::new();
        for (tenant, number) in
            tenants.iter().flat_map(|tenant| (0..CONNECTIONS as u64).map(move |number| (tenant, number)))
        {
            let (requests, hits, is_over, body) = (&requests, &hits, &is_over, &body);
            working.push(scope.spawn(move || {
                let mut client = Client::connect(tenant)?;
                let mut random = fastrand::Rng::with_seed(seed << 32 | number);
                while !is_over(requests.fetch_add(1, Ordering::Relaxed)) {
                    // Few are asked for often, and most seldom.
                    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below KEYS")]
                    let key = (random.f64().powi(3) * KEYS) as u64;
                    let path = format!("/http/main/{key}");
                    if client.try_get(&path)?.0 == 200 {
                        hits.fetch_add(1, Ordering::Relaxed);
                    } else {
                        let status = client.put(&path, body)?;
                        anyhow::ensure!(status == 200 || status == 503, "status {status}");
                    }
                }
                anyhow::Ok(())
            }));
        }
        working.into_iter().try_for_each(|one| one.join().map_err(|_| anyhow::anyhow!("a client panicked"))?)
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    Ok(Worked { requests: requests.into_inner(), hits: hits.into_inner(), seconds })
}

/// Asks once for each artifact that is seldom asked for, and counts what was as hoped.
fn seldom(tenants: &[Address], ask: impl Fn(&mut Client, &str) -> anyhow::Result<bool>) -> anyhow::Result<Worked> {
    let begun = Instant::now();
    let mut hits = 0;
    for tenant in tenants {
        let mut client = Client::connect(tenant)?;
        for number in 0..SELDOM {
            hits += u64::from(ask(&mut client, &format!("/http/main/seldom/{number}"))?);
        }
    }
    Ok(Worked { requests: SELDOM * tenants.len() as u64, hits, seconds: begun.elapsed().as_secs_f64() })
}

fn store_much(tenant: &Address) -> anyhow::Result<Worked> {
    let (next, body, begun) = (AtomicU64::new(0), vec![9; FLOOD_BODY], Instant::now());
    std::thread::scope(|scope| {
        let mut storing = Vec::new();
        for _ in 0..CONNECTIONS {
            storing.push(scope.spawn(|| {
                let mut client = Client::connect(tenant)?;
                while next.load(Ordering::Relaxed) * (FLOOD_BODY as u64) < FLOOD_BYTES {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    // Who is told to come back does so at once.
                    let status = client.put(&format!("/http/main/{number}"), &body)?;
                    anyhow::ensure!([200, 429, 503].contains(&status), "status {status}");
                    if status != 200 {
                        next.fetch_sub(1, Ordering::Relaxed);
                    }
                }
                anyhow::Ok(())
            }));
        }
        storing.into_iter().try_for_each(|one| one.join().map_err(|_| anyhow::anyhow!("a client panicked"))?)
    })?;
    let requests = next.into_inner();
    Ok(Worked { requests, hits: requests, seconds: begun.elapsed().as_secs_f64() })
}
