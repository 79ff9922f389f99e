//! Histories of the whole cache on the simulated machine: clients of their own tenants store, read, delete, clean, splice and upload in parts, all at once;
//! the machine is killed in the middle and starts again; a third of the histories has errors of the device, and a third a budget that is too small.
//! A failure prints its seed; `KURA_SEED=… cargo test -p kura-cache --test histories` runs that one again, and `KURA_CASES=…` says how many run.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod client;
mod content;
mod model;
#[path = "../support/mod.rs"]
mod support;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use client::Client;
use futures_util::future::join_all;
use kura_cache::Digest;
use kura_disk::sim::{Chance, Crash};
use support::{Life, Machine, SHA256};

/// Histories when nothing else is said.
const CASES: u64 = 150;

const CLIENTS: usize = 3;

/// The most operations of the disk that a life ends after.
const LONGEST_LIFE: u64 = 600;

/// Holds all that the clients of a history store, and what is dead of it.
const AMPLE: u64 = 64 << 20;

/// Holds a part of it.
const SCARCE: u64 = 1 << 20;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn whatever_clients_do_and_whenever_it_is_killed_each_finds_what_it_was_told_and_nothing_of_others() {
    if let Some(seed) = number("KURA_SEED") {
        let _ = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).without_time().try_init();
        return history(seed);
    }
    let first = number("KURA_FIRST_SEED").unwrap_or(0);
    for seed in first..first + number("KURA_CASES").unwrap_or(CASES) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| history(seed))) {
            eprintln!("again: KURA_SEED={seed} cargo test -p kura-cache --test histories");
            resume_unwind(panic);
        }
    }
}

fn history(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let budget = if seed % 3 == 1 { SCARCE } else { AMPLE };
    let troubled = seed % 3 == 2;
    let mut machine = Machine::with_seed(seed, budget);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|number| Client::new(number, random.fork())).collect();
    for _ in 0..random.u8(2..5) {
        tracing::debug!(?budget, troubled, "a life");
        let crash = if random.bool() { Crash::Process } else { Crash::Power };
        let mut store = None;
        machine.live_for(random.u64(1..LONGEST_LIFE), crash, async |life: Life| {
            store = Some(life.store.clone());
            if troubled {
                let sometimes = Chance { operation: None, path: "segments/", one_in: random.u32(20..200), errno: 5 };
                life.disk.faults(|faults| faults.sometimes(sometimes));
            }
            join_all(clients.iter_mut().map(|client| client.work(&life))).await;
        });
        store.iter().for_each(|store| clients.iter_mut().for_each(|client| client.excuse(store)));
        drop(store);
        machine.disk().faults(kura_disk::sim::Faults::heal);
        machine.live(async |life: Life| {
            for client in &mut clients {
                client.look_at_everything(&life).await;
            }
            nothing_of_others(&life).await;
            life.wait(Duration::from_secs(3)).await;
        });
    }
    assert!(machine.disk().take_peak() <= budget, "over the budget");
}

/// Who stored nothing finds nothing, whatever others have.
async fn nothing_of_others(life: &Life) {
    for blob in 0..content::BLOBS {
        assert!(!life.has(&Digest::of(SHA256, &content::blob(blob))).await, "a tenant's blob is another's");
    }
}
