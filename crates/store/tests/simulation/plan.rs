//! What a history is made of, all from its seed: sizes, settings, how often it lives, and what goes wrong.
//! Each operation has a number and draws from it alone, so that one can be left out and the others stay what they are.

use std::ops::Range;
use std::time::Duration;

use kura_store::geometry::Geometry;
use kura_store::{Durability, Quota, Settings};

use crate::model::TENANTS;
use crate::trouble::Trouble;

pub(crate) const SEGMENT: u64 = 64 << 10;

/// So much that the scrubber goes over everything several times in a history.
const SCRUB_RATE: u64 = 1 << 30;

/// The clients of a history, and the keys that each writes.
pub(crate) const CLIENTS: usize = 3;
pub(crate) const KEYS: usize = 6;

/// Which history, and what is left out of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tale {
    pub(crate) seed: u64,
    /// Whether the device errs, bits flip, and neighbours fill the filesystem.
    pub(crate) troubled: bool,
    /// Operations that are not done, by number.
    pub(crate) dropped: Vec<Range<usize>>,
}

impl Tale {
    pub(crate) fn does(&self, operation: usize) -> bool {
        !self.dropped.iter().any(|range| range.contains(&operation))
    }

    /// What is drawn for one part of the history.
    pub(crate) fn random(&self, part: Part) -> fastrand::Rng {
        let (stream, number) = match part {
            Part::Plan => (0, 0),
            Part::Trouble => (1, 0),
            Part::Life(life) => (2, life),
            Part::Operation(operation) => (3, operation),
        };
        let mut mixer = fastrand::Rng::with_seed(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ stream);
        fastrand::Rng::with_seed(mixer.u64(..) ^ number as u64)
    }
}

/// A part of a history that draws for itself.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    Plan,
    Trouble,
    Life(usize),
    Operation(usize),
}

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) budget: u64,
    pub(crate) durability: Durability,
    pub(crate) lives: usize,
    /// Operations of each client in each life.
    pub(crate) operations: usize,
    pub(crate) largest: usize,
    pub(crate) lease: Duration,
    pub(crate) trouble: Option<Trouble>,
    /// Whether tenants have quotas, which come, change and go.
    pub(crate) quotas: bool,
}

impl Plan {
    pub(crate) fn draw(tale: &Tale) -> Plan {
        let mut random = tale.random(Part::Plan);
        let durability = match random.u8(0..8) {
            0 => Durability::None,
            1 => Durability::Interval(Duration::from_millis(5)),
            _ => Durability::Always,
        };
        Plan {
            budget: SEGMENT * random.u64(9..14),
            durability,
            lives: random.usize(2..6),
            operations: random.usize(4..60),
            largest: *random.choice(&[300, 3000, 30_000, 140_000]).unwrap(),
            lease: if random.bool() { Duration::ZERO } else { Duration::from_secs(3 * 3600) },
            trouble: tale.troubled.then(|| Trouble::draw(&mut tale.random(Part::Trouble))),
            quotas: random.bool(),
        }
    }

    /// Quotas that hold for a while.
    pub(crate) fn draw_quotas(&self, random: &mut fastrand::Rng) -> Vec<Quota> {
        let mut tenants = vec![TENANTS[0], TENANTS[2], TENANTS[3]];
        random.shuffle(&mut tenants);
        // As many as a store of nine segments takes.
        tenants.truncate(if self.quotas { random.usize(0..3) } else { 0 });
        let most = *random.choice(&[3, 5, 9, 40]).unwrap();
        let quota = |tenant: &str| Quota { tenant: tenant.to_owned(), bytes: SEGMENT * random.u64(2..most) };
        tenants.into_iter().map(quota).collect()
    }

    /// How many operations there are in all.
    pub(crate) fn all_operations(&self) -> usize {
        self.lives * CLIENTS * self.operations
    }

    /// The numbers of one client's operations in one life.
    pub(crate) fn operations_of(&self, life: usize, client: usize) -> Range<usize> {
        let first = (life * CLIENTS + client) * self.operations;
        first..first + self.operations
    }

    pub(crate) fn settings(&self, quotas: &[Quota]) -> Settings {
        let mut settings = Settings::new(Geometry::simulation(self.budget));
        settings.durability = self.durability;
        settings.quotas = quotas.to_vec();
        settings.lease = self.lease;
        settings.open_files = 3;
        settings.heat_interval = Duration::from_millis(20);
        settings.scrub_rate = SCRUB_RATE;
        // Histories with trouble wait for seconds until it is over.
        settings.scrub_interval = Duration::from_millis(if self.trouble.is_some() { 500 } else { 5 });
        settings
    }
}
