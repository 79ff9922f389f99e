//! The server's counters, as `/metrics` prints them.

use std::collections::HashMap;

/// The counters of one moment.
#[derive(Debug)]
pub struct Metrics {
    values: HashMap<String, f64>,
}

impl Metrics {
    /// From the exposition format.
    #[must_use]
    pub fn parse(text: &str) -> Metrics {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let value = |line: &str| line.rsplit_once(' ').map(|(name, value)| (name.to_owned(), value.parse().unwrap()));
        Metrics { values: lines.filter_map(value).collect() }
    }

    /// One of them, by its name with its labels.
    ///
    /// # Panics
    /// If it is not there: a counter under another name would be zero for ever.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counters are whole and far below 2^53"
    )]
    pub fn of(&self, name: &str) -> u64 {
        *self.values.get(name).unwrap_or_else(|| panic!("no counter is called {name}")) as u64
    }

    /// Artifacts of `kind` that were asked for and served.
    #[must_use]
    pub fn hits(&self, kind: &str) -> u64 {
        self.of(&format!("kura_cache_hits_total{{kind=\"{kind}\"}}"))
    }

    /// Artifacts of `kind` that were asked for and not served.
    #[must_use]
    pub fn misses(&self, kind: &str) -> u64 {
        self.of(&format!("kura_cache_misses_total{{kind=\"{kind}\"}}"))
    }

    /// Artifacts of `kind` that were stored.
    #[must_use]
    pub fn stored(&self, kind: &str) -> u64 {
        self.of(&format!("kura_cache_stored_total{{kind=\"{kind}\"}}"))
    }

    /// Artifacts of all kinds that were stored.
    #[must_use]
    pub fn all_stored(&self) -> u64 {
        let kinds = self.values.keys().filter(|name| name.starts_with("kura_cache_stored_total{"));
        kinds.map(|name| self.of(name)).sum()
    }

    /// Segments unlinked since the start.
    #[must_use]
    pub fn evictions(&self) -> u64 {
        self.of("kura_store_evictions_total")
    }

    /// What the ledger says the data directory occupies, in bytes: all categories together.
    #[must_use]
    pub fn ledger(&self) -> u64 {
        let categories = self.values.keys().filter(|name| name.starts_with("kura_store_used_bytes{"));
        categories.map(|name| self.of(name)).sum()
    }
}
