//! So many connections that ask as fast as they are answered, for a while or for a number of requests.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::client::Client;
use crate::servers::Server;

/// What one run came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) requests: u64,
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) device_bytes: u64,
}

impl Measured {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    pub(crate) fn rate(&self) -> f64 {
        self.requests as f64 / self.seconds
    }

    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    pub(crate) fn cpu_micros(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.requests as f64
    }
}

/// When a run is over.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    Elapsed(Duration),
    Requests(u64),
}

/// Lets `connections` threads call `request` with the number of the request, each on a connection of its own.
pub(crate) fn drive(
    server: &Server,
    connections: usize,
    until: Until,
    request: impl Fn(&mut Client, u64) -> anyhow::Result<()> + Sync,
) -> anyhow::Result<Measured> {
    let (next, stop, failure) = (AtomicU64::new(0), AtomicBool::new(false), Mutex::new(None));
    let clients: anyhow::Result<Vec<Client>> = (0..connections).map(|_| Client::connect(&server.address)).collect();
    let watched = &server.watched;
    let (cpu, device) = (watched.cpu_seconds()?, watched.written_bytes().unwrap_or(0));
    let start = Instant::now();
    std::thread::scope(|scope| {
        for mut client in clients? {
            let (next, stop, failure, request) = (&next, &stop, &failure, &request);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if let Until::Requests(most) = until
                        && number >= most
                    {
                        next.fetch_sub(1, Ordering::Relaxed);
                        return;
                    }
                    if let Err(error) = request(&mut client, number) {
                        stop.store(true, Ordering::Relaxed);
                        if let Ok(mut failure) = failure.lock() {
                            failure.get_or_insert(error);
                        }
                    }
                }
            });
        }
        if let Until::Elapsed(duration) = until {
            std::thread::sleep(duration);
            stop.store(true, Ordering::Relaxed);
        }
        anyhow::Ok(())
    })?;
    if let Ok(Some(error)) = failure.into_inner() {
        bail!("a request failed: {error:#}");
    }
    Ok(Measured {
        requests: next.into_inner(),
        seconds: start.elapsed().as_secs_f64(),
        cpu_seconds: watched.cpu_seconds()? - cpu,
        device_bytes: watched.written_bytes().unwrap_or(0) - device,
    })
}
