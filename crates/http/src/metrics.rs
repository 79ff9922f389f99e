//! `/metrics`: what is counted here, in the cache and in the store, as Prometheus text.

use std::fmt::{Display, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{Method, StatusCode};
use kura_store::{LATENCY_BUCKETS_MICROS, Stats};

use crate::auth::Door;
use crate::memory::Memory;
use crate::site::Site;
use crate::surface::Surface;

/// The statuses that are told apart; the rest are counted as 0.
const STATUSES: [u16; 24] = [
    0, 200, 201, 202, 204, 206, 207, 304, 400, 401, 403, 404, 405, 408, 409, 412, 413, 415, 416, 422, 429, 500, 503,
    507,
];

/// The methods that are told apart.
const METHODS: [&str; 5] = ["GET", "HEAD", "PUT", "DELETE", "other"];

/// What one surface did.
#[derive(Default)]
pub(crate) struct SurfaceCounters {
    requests: [[AtomicU64; STATUSES.len()]; METHODS.len()],
    sent: AtomicU64,
    received: AtomicU64,
}

impl SurfaceCounters {
    pub(crate) fn answered(&self, method: &Method, status: StatusCode) {
        let method = match *method {
            Method::GET => 0,
            Method::HEAD => 1,
            Method::PUT => 2,
            Method::DELETE => 3,
            _ => 4,
        };
        let status = STATUSES.binary_search(&status.as_u16()).unwrap_or(0);
        self.requests[method][status].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn total_requests(&self) -> u64 {
        self.requests.iter().flatten().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

/// What all surfaces did.
#[derive(Default)]
pub(crate) struct Metrics {
    surfaces: [Arc<SurfaceCounters>; Surface::ALL.len()],
    pub(crate) connections: AtomicU64,
}

impl Metrics {
    pub(crate) fn of(&self, surface: Surface) -> &Arc<SurfaceCounters> {
        &self.surfaces[surface as usize]
    }
}

/// Everything, as Prometheus reads it. Before recovery is done, only what is counted here.
pub(crate) fn render(site: &Site) -> String {
    let mut text = Exposition(String::with_capacity(16 * 1024));
    requests(&mut text, &site.metrics);
    text.one("kura_http_connections", "gauge", "Open connections.", site.metrics.connections.load(Ordering::Relaxed));
    let failed = site.door().map_or(0, Door::failed);
    text.one("kura_logins_failed_total", "counter", "Requests with credentials that nobody knows.", failed);
    memory(&mut text, &site.memory);
    site.tenants.expose(&mut text);
    let ready = u8::from(site.cache().is_some());
    text.one("kura_recovered", "gauge", "Whether recovery is done.", ready);
    if let Some(guest) = site.guest() {
        guest.expose(&mut text);
    }
    if let Some(cache) = site.cache() {
        kinds(&mut text, &cache.kind_stats());
        store(&mut text, &cache.store_stats());
    }
    text.0
}

fn memory(text: &mut Exposition, memory: &Memory) {
    let (held, overhead) = (memory.held(), memory.overhead());
    text.head("kura_memory_bytes", "gauge", "Memory that is accounted for, by what takes it.");
    text.labelled("kura_memory_bytes", "part=\"bodies\"", held.saturating_sub(overhead));
    text.labelled("kura_memory_bytes", "part=\"connections\"", overhead);
    text.labelled("kura_memory_bytes", "part=\"records\"", memory.beside());
    text.one("kura_memory_limit_bytes", "gauge", "The most that these may take together.", memory.limit());
    text.one("kura_memory_refused_total", "counter", "Refused for want of memory.", memory.refused());
}

fn requests(text: &mut Exposition, metrics: &Metrics) {
    text.head("kura_http_requests_total", "counter", "Requests answered, by surface, method and status.");
    for surface in Surface::ALL {
        for (method, counts) in METHODS.iter().zip(&metrics.of(surface).requests) {
            for (status, count) in STATUSES.iter().zip(counts) {
                let count = count.load(Ordering::Relaxed);
                if count > 0 {
                    let labels = format!("surface=\"{}\",method=\"{method}\",status=\"{status}\"", surface.name());
                    text.labelled("kura_http_requests_total", &labels, count);
                }
            }
        }
    }
    type Read = fn(&SurfaceCounters) -> &AtomicU64;
    let bytes: [(&str, &str, Read); 2] = [
        ("kura_http_received_bytes_total", "Bytes of bodies received.", |of| &of.received),
        ("kura_http_sent_bytes_total", "Bytes of bodies sent.", |of| &of.sent),
    ];
    for (name, help, read) in bytes {
        text.head(name, "counter", help);
        for surface in Surface::ALL {
            let count = read(metrics.of(surface)).load(Ordering::Relaxed);
            text.labelled(name, &format!("surface=\"{}\"", surface.name()), count);
        }
    }
}

fn kinds(text: &mut Exposition, stats: &[(kura_cache::Kind, kura_cache::KindStats)]) {
    type Read = fn(&kura_cache::KindStats) -> u64;
    let families: [(&str, &str, Read); 7] = [
        ("kura_cache_hits_total", "Artifacts asked for and served.", |of| of.hits),
        ("kura_cache_misses_total", "Artifacts asked for and not served.", |of| of.misses),
        ("kura_cache_incomplete_total", "Of the misses, action results that name what is not there.", |of| {
            of.incomplete
        }),
        ("kura_cache_stored_total", "Artifacts stored.", |of| of.stored),
        ("kura_cache_known_total", "Blobs sent again while they were there.", |of| of.known),
        ("kura_cache_hit_bytes_total", "Bytes of artifacts found.", |of| of.hit_bytes),
        ("kura_cache_stored_bytes_total", "Bytes of artifacts stored.", |of| of.stored_bytes),
    ];
    for (name, help, read) in families {
        text.head(name, "counter", help);
        for (kind, of) in stats {
            text.labelled(name, &format!("kind=\"{}\"", kind.name()), read(of));
        }
    }
}

fn store(text: &mut Exposition, stats: &Stats) {
    text.one("kura_store_index_entries", "gauge", "Artifacts and tombstones in the index.", stats.index_entries);
    text.one("kura_store_index_bytes", "gauge", "Memory of the index.", stats.index_bytes);
    text.head("kura_store_segments", "gauge", "Segments in the ring, by sort.");
    text.labelled("kura_store_segments", "sort=\"shared\"", stats.segments - stats.solo_segments);
    text.labelled("kura_store_segments", "sort=\"solo\"", stats.solo_segments);
    text.one("kura_store_live_bytes", "gauge", "Bytes of records that can be read.", stats.live_bytes);
    text.one("kura_store_budget_bytes", "gauge", "The most that the data directory may occupy.", stats.budget);
    text.head("kura_store_used_bytes", "gauge", "What the ledger counts, by category.");
    for (category, bytes) in &stats.used {
        text.labelled("kura_store_used_bytes", &format!("category=\"{category}\""), bytes);
    }
    text.head("kura_store_tenant_used_bytes", "gauge", "Bytes of the segments of a tenant that has a quota.");
    for tenant in &stats.tenants {
        text.labelled("kura_store_tenant_used_bytes", &format!("tenant=\"{}\"", tenant.tenant), tenant.used);
    }
    text.head("kura_store_tenant_quota_bytes", "gauge", "Bytes that it may have.");
    for tenant in &stats.tenants {
        text.labelled("kura_store_tenant_quota_bytes", &format!("tenant=\"{}\"", tenant.tenant), tenant.quota);
    }
    let counters: [(&str, &str, u64); 15] = [
        ("kura_store_evictions_total", "Segments unlinked.", stats.evictions),
        ("kura_store_shed_records_total", "Live records dropped to make room.", stats.shed_records),
        ("kura_store_shed_bytes_total", "Bytes of live records dropped to make room.", stats.shed_bytes),
        (
            "kura_store_lost_leases_total",
            "Records shed within their lease: above zero, the budget is too small.",
            stats.lost_leases,
        ),
        ("kura_store_rotations_total", "Full segments that a new one took over from.", stats.rotations),
        ("kura_store_promotions_total", "Large artifacts kept by renaming.", stats.promotions),
        ("kura_store_compactions_total", "Mostly dead segments emptied.", stats.compactions),
        ("kura_store_swept_total", "Leftovers of a crash removed at the start.", stats.swept),
        ("kura_store_damaged_total", "Records that did not hold.", stats.damaged),
        (
            "kura_store_broken_off_total",
            "Evicted segments taken from slow readers to keep the budget.",
            stats.broken_off,
        ),
        ("kura_store_failed_segments_total", "Segments whose sync failed.", stats.failed_segments),
        ("kura_store_written_bytes_total", "Body bytes acknowledged.", stats.bytes_written),
        ("kura_store_scrub_bytes_total", "Bytes read by the background check.", stats.scrub_bytes),
        ("kura_store_scrub_passes_total", "Passes of the background check over everything.", stats.scrub_passes),
        ("kura_store_scrub_damaged_total", "Records that the background check found not to hold.", stats.scrub_damaged),
    ];
    for (name, help, value) in counters {
        text.one(name, "counter", help, value);
    }
    text.one(
        "kura_store_scrub_left_bytes",
        "gauge",
        "Bytes of live records that this pass has still to check.",
        stats.scrub_left_bytes,
    );
    text.one("kura_store_unread_segments", "gauge", "Segments that the start could not read.", stats.unread_segments);
    text.one("kura_store_shed_age_seconds", "gauge", "How old the last shed record was.", stats.shed_age.as_secs_f64());
    text.one(
        "kura_store_read_only",
        "gauge",
        "Whether writes are refused after failed syncs.",
        u8::from(stats.read_only),
    );
    text.one(
        "kura_store_filesystem_full",
        "gauge",
        "Whether neighbours fill the filesystem.",
        u8::from(stats.filesystem_full),
    );
    commit_latency(text, stats);
}

fn commit_latency(text: &mut Exposition, stats: &Stats) {
    const NAME: &str = "kura_store_commit_seconds";
    text.head(
        NAME,
        "histogram",
        "How long commits took: one for a batch that shared a sync, and for a body in a segment of its own.",
    );
    let mut below = 0;
    for (bound, count) in LATENCY_BUCKETS_MICROS.iter().zip(stats.commit_latency.buckets) {
        below += count;
        let bound = std::time::Duration::from_micros(*bound).as_secs_f64();
        text.labelled("kura_store_commit_seconds_bucket", &format!("le=\"{bound}\""), below);
    }
    let total: u64 = stats.commit_latency.buckets.iter().sum();
    text.labelled("kura_store_commit_seconds_bucket", "le=\"+Inf\"", total);
    let seconds = std::time::Duration::from_micros(stats.commit_latency.total_micros).as_secs_f64();
    text.bare("kura_store_commit_seconds_sum", seconds);
    text.bare("kura_store_commit_seconds_count", total);
}

/// Prometheus' exposition format. Writing to a string cannot fail.
pub struct Exposition(String);

impl Exposition {
    /// Declares a family; its values follow.
    pub fn head(&mut self, name: &str, sort: &str, help: &str) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {sort}\n");
    }

    /// One value of the family, with its labels.
    pub fn labelled(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = writeln!(self.0, "{name}{{{labels}}} {value}");
    }

    fn bare(&mut self, name: &str, value: impl Display) {
        let _ = writeln!(self.0, "{name} {value}");
    }

    /// A family of one value.
    pub fn one(&mut self, name: &str, sort: &str, help: &str, value: impl Display) {
        self.head(name, sort, help);
        self.bare(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_in_order_so_that_they_are_found() {
        assert!(STATUSES.is_sorted());
        let stored = Surface::ALL.map(|surface| surface.manner().stored.0.as_u16());
        assert!(stored.iter().all(|status| STATUSES.contains(status)), "{stored:?}");
        let counters = SurfaceCounters::default();
        counters.answered(&Method::GET, StatusCode::OK);
        counters.answered(&Method::PATCH, StatusCode::IM_A_TEAPOT);
        assert_eq!(counters.requests[0][1].load(Ordering::Relaxed), 1);
        assert_eq!(counters.requests[4][0].load(Ordering::Relaxed), 1);
        assert_eq!(counters.total_requests(), 2);
    }
}
