//! The store on the simulated machine: histories from a seed against a plain model, crashes included.
//! A failure prints its seed; `KURA_SEED=… cargo test -p kura-store --test simulation` runs that one again, and `KURA_CASES=…` sets how many run.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod damage;
mod flips;
mod golden;
mod history;
mod limits;
mod machine;
mod model;
mod rules;
mod scrub;
mod stopped;
mod sweep;
mod syncs;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Histories when nothing else is said: enough to notice a slip, quick enough to run always.
const DEFAULT_CASES: u64 = 2000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Runs that many cases, or the one of `KURA_SEED`.
fn cases(count: u64, run: impl Fn(u64) + Sync) {
    if let Some(seed) = number("KURA_SEED") {
        // Fails where another case's test has it already.
        let _ = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_target(false)
            .without_time()
            .try_init();
        return run(seed);
    }
    let first = number("KURA_FIRST_SEED").unwrap_or(0);
    let workers = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let run = &run;
            scope.spawn(move || {
                for seed in (first + worker..first + count).step_by(workers as usize) {
                    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(seed))) {
                        eprintln!("again: KURA_SEED={seed} cargo test -p kura-store --test simulation");
                        std::panic::resume_unwind(panic);
                    }
                }
            });
        }
    });
}

#[test]
fn every_acknowledged_write_that_was_not_evicted_is_read_back_and_nothing_older_is_ever_shown() {
    cases(number("KURA_CASES").unwrap_or(DEFAULT_CASES), history::run);
}
