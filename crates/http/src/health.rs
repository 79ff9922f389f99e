//! `/up` and `/ready`. Up: the process answers, whatever else it does. Ready: a probe artifact was written, committed and read back within
//! the last seconds. At most one probe runs in that time, however many ask.

use std::time::Duration;

use kura_cache::Cache;
use kura_disk::Runtime;
use kura_store::Phase;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::error::json_string;
use crate::site::Site;

/// How long the outcome of a probe holds.
const PROBE_HOLDS: Duration = Duration::from_secs(5);

/// A store that takes longer than this for a few bytes is not ready.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Remembers the last probe.
#[derive(Default)]
pub(crate) struct Prober(Mutex<Option<Outcome>>);

struct Outcome {
    at: Duration,
    failure: Option<String>,
}

impl Prober {
    /// Why the store does not do its work; `None` if it does.
    async fn failure(&self, cache: &Cache, runtime: &dyn Runtime) -> Option<String> {
        // Held while the probe runs: whoever comes meanwhile takes its outcome.
        let mut last = self.0.lock().await;
        if let Some(outcome) = last.as_ref().filter(|outcome| runtime.monotonic() < outcome.at + PROBE_HOLDS) {
            return outcome.failure.clone();
        }
        let failure = match timeout(PROBE_TIMEOUT, cache.probe(runtime.random())).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("a probe took longer than {} s", PROBE_TIMEOUT.as_secs())),
        };
        if let Some(failure) = &failure {
            tracing::warn!(failure, "the readiness probe failed");
        }
        *last = Some(Outcome { at: runtime.monotonic(), failure: failure.clone() });
        failure
    }
}

/// Whether traffic should come here, and the JSON that says why.
pub(crate) async fn readiness(site: &Site) -> (bool, String) {
    let Some(cache) = site.cache() else {
        return (false, recovering(site));
    };
    if site.is_draining() {
        return (false, "{\"ready\":false,\"phase\":\"draining\",\"message\":\"shutting down\"}\n".to_owned());
    }
    match site.prober.failure(cache, &*site.runtime).await {
        None => (true, "{\"ready\":true,\"phase\":\"serving\"}\n".to_owned()),
        Some(why) => (false, format!("{{\"ready\":false,\"phase\":\"failing\",\"message\":{}}}\n", json_string(&why))),
    }
}

fn recovering(site: &Site) -> String {
    let progress = site.progress.snapshot();
    let (phase, message) = match progress.phase {
        Phase::Opening => ("opening", "the data directory is being opened"),
        Phase::Loading => ("loading", "segments are being read"),
        Phase::Shrinking => ("shrinking", "what is above the budget is being reclaimed"),
        Phase::Ready => ("ready", "the cache is about to open"),
    };
    format!(
        "{{\"ready\":false,\"phase\":\"{phase}\",\"message\":\"{message}\",\"segments\":{},\"segments_done\":{},\"segments_left\":{},\"bytes_over_budget\":{}}}\n",
        progress.segments,
        progress.segments_done,
        progress.segments.saturating_sub(progress.segments_done),
        progress.over_budget,
    )
}
