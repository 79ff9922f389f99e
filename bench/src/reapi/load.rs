//! So many calls in flight, each followed by the next, for a while.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use crate::process::Watched;
use crate::reapi::client::Client;
use crate::reapi::operation::Prepared;

/// What one run came to.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// How long each call took, in order of length.
    took: Vec<Duration>,
    seconds: f64,
    cpu_seconds: f64,
    useful_bytes: u64,
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
impl Run {
    pub(crate) fn rate(&self) -> f64 {
        self.took.len() as f64 / self.seconds
    }

    pub(crate) fn cpu_micros(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.took.len() as f64
    }

    /// Not a number for calls without bytes.
    pub(crate) fn cpu_seconds_per_gigabyte(&self) -> f64 {
        if self.useful_bytes == 0 { f64::NAN } else { self.cpu_seconds * 1e9 / self.useful_bytes as f64 }
    }

    /// What `percent` of the calls took at most, in microseconds.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let position = (self.took.len() * percent).div_ceil(100).saturating_sub(1);
        self.took.get(position).map_or(f64::NAN, |took| took.as_secs_f64() * 1e6)
    }
}

/// Keeps `in_flight` calls under way over `connections` for `duration`, and waits for the last.
pub(crate) async fn drive(
    client: &Client,
    watched: &Watched,
    connections: usize,
    in_flight: usize,
    duration: Duration,
    prepared: &mut Prepared,
) -> anyhow::Result<Run> {
    let (prepared, took, useful) = (RefCell::new(prepared), RefCell::new(Vec::new()), Cell::new(0));
    let cpu = watched.cpu_seconds()?;
    let start = Instant::now();
    let one = async |number: usize| {
        while start.elapsed() < duration {
            let call = prepared.borrow_mut().call();
            let sent = Instant::now();
            client.call(number % connections, &call, false).await?;
            took.borrow_mut().push(sent.elapsed());
            useful.set(useful.get() + call.useful);
        }
        anyhow::Ok(())
    };
    try_join_all((0..in_flight).map(one)).await?;
    let seconds = start.elapsed().as_secs_f64();
    let cpu_seconds = watched.cpu_seconds()? - cpu;
    let mut took = took.into_inner();
    took.sort_unstable();
    Ok(Run { took, seconds, cpu_seconds, useful_bytes: useful.get() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_what_so_many_calls_took_at_most() {
        let took = (1..=200).map(Duration::from_micros).collect();
        let run = Run { took, seconds: 2.0, cpu_seconds: 1.0, useful_bytes: 500_000_000 };
        assert!((run.percentile(50) - 100.0).abs() < 1e-6);
        assert!((run.percentile(99) - 198.0).abs() < 1e-6);
        assert!((run.rate() - 100.0).abs() < 1e-6);
        assert!((run.cpu_micros() - 5000.0).abs() < 1e-6);
        assert!((run.cpu_seconds_per_gigabyte() - 2.0).abs() < 1e-6);
    }
}
