//! The store on the simulated machine: histories from a seed against a plain model, crashes included.
//! A failure prints its seed; `KURA_SEED=… cargo test -p kura-store --test simulation` with the name of its test runs that one again, and
//! `KURA_CASES=…` sets how many run. `KURA_SHRINK=1` leaves out what it does not need to fail, and says so as `KURA_DROP=…`.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod calls;
#[path = "../support/captured.rs"]
mod captured;
mod client;
mod crash_points;
mod crowded;
mod damage;
mod errors;
mod failed_solo;
mod flips;
mod golden;
mod history;
mod hostile;
mod limits;
mod machine;
mod model;
mod oracle;
mod plan;
mod quotas;
mod rules;
mod scrub;
mod shrink;
mod stopped;
mod sweep;
mod syncs;
mod taken_back;
mod trouble;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use plan::Tale;

/// Histories when nothing else is said: enough to notice a slip, quick enough to run always.
const DEFAULT_CASES: u64 = 2000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// `0-56,58-90`: the operations that are left out, ends included.
fn dropped() -> Vec<Range<usize>> {
    let bound = |number: &str| number.parse::<usize>().expect("KURA_DROP is a list of ranges");
    let range = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        bound(first)..bound(last) + 1
    };
    std::env::var("KURA_DROP").iter().flat_map(|list| list.split(',')).map(range).collect()
}

/// Prints every step from here on. Where another case's test prints already, it goes on.
fn trace() {
    let all = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_target(false).without_time();
    let _ = all.try_init();
}

/// Runs that many cases of a test, or the one of `KURA_SEED`.
fn cases(test: &str, count: u64, run: impl Fn(u64) + Sync) {
    if let Some(seed) = number("KURA_SEED") {
        trace();
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
                        eprintln!("again: KURA_SEED={seed} cargo test -p kura-store --test simulation {test}");
                        std::panic::resume_unwind(panic);
                    }
                }
            });
        }
    });
}

/// Runs the histories of a test, or the one that was asked for.
fn run_histories(test: &str, troubled: bool) {
    if let Some(seed) = number("KURA_SEED").filter(|_| number("KURA_SHRINK").is_some()) {
        let least = shrink::shrink(&Tale { seed, troubled, dropped: dropped() });
        let ranges = least.dropped.iter().map(|range| format!("{}-{}", range.start, range.end - 1));
        let ranges = ranges.collect::<Vec<_>>().join(",");
        eprintln!("shrunk: KURA_SEED={seed} KURA_DROP={ranges} cargo test -p kura-store --test simulation {test}");
        trace();
        return history::run(&least);
    }
    let dropped = dropped();
    cases(test, number("KURA_CASES").unwrap_or(DEFAULT_CASES), |seed| {
        history::run(&Tale { seed, troubled, dropped: dropped.clone() });
    });
}

#[test]
fn every_acknowledged_write_that_was_not_evicted_is_read_back_and_nothing_older_is_ever_shown() {
    run_histories("every_acknowledged", false);
}

#[test]
fn whatever_fails_on_the_way_every_promise_holds_once_nothing_does() {
    run_histories("whatever_fails", true);
}
