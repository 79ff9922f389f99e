//! Every size of the store in one checked place. The product builds only [`Geometry::standard`]; simulations and golden files use
//! [`Geometry::simulation`], whose segments of 64 KiB make every path short.

/// The filesystem's block size: segments are multiples of it.
pub const PAGE: u64 = 4096;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// A store has at least this many segments' worth of budget.
const MIN_SEGMENTS: u64 = 8;

/// A quota is at least this many segments: one of them is being written, and what moves needs room.
const LEAST_QUOTA_SEGMENTS: u64 = 8;

/// Sizes in bytes. Fields are private: they only fit together as the constructors make them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Geometry {
    budget: u64,
    segment: u64,
    block: u32,
    gather_known: u64,
    gather_unknown: u64,
    write_size: u64,
    solo_step_min: u64,
    solo_step_max: u64,
    copy_below: u64,
    whole_read: u64,
    overhead: u64,
    min_segment: u64,
    least_quota: u64,
    min_overhead: u64,
    index_shards: usize,
}

impl Geometry {
    /// The product's block: bytes of a body that one checksum covers.
    pub const BLOCK: u32 = 64 * 1024;

    /// The product's sizes for a budget: segments of a sixty-fourth of it, rounded down to a power of two, within 16 MiB to 512 MiB.
    #[must_use]
    pub fn standard(budget: u64) -> Geometry {
        let sixty_fourth = (budget / 64).max(1);
        let segment = (1 << sixty_fourth.ilog2()).clamp(16 * MIB, 512 * MIB);
        Geometry {
            budget,
            segment,
            block: Self::BLOCK,
            gather_known: 256 * KIB,
            gather_unknown: MIB,
            write_size: 256 * KIB,
            solo_step_min: MIB,
            solo_step_max: 16 * MIB,
            copy_below: 4 * MIB,
            whole_read: 256 * KIB,
            overhead: (budget / 64).max(8 * MIB),
            min_segment: 16 * MIB,
            least_quota: LEAST_QUOTA_SEGMENTS * segment,
            min_overhead: 8 * MIB,
            index_shards: 256,
        }
        .checked()
    }

    /// Small sizes of the same shape, for simulations and golden files.
    #[must_use]
    pub fn simulation(budget: u64) -> Geometry {
        Geometry {
            budget,
            segment: 64 * KIB,
            block: 4096,
            gather_known: 2 * KIB,
            gather_unknown: 4 * KIB,
            write_size: 2 * KIB,
            solo_step_min: 8 * KIB,
            solo_step_max: 16 * KIB,
            copy_below: 12 * KIB,
            whole_read: 4 * KIB,
            overhead: 64 * KIB,
            min_segment: 64 * KIB,
            least_quota: 2 * 64 * KIB,
            min_overhead: 64 * KIB,
            index_shards: 4,
        }
        .checked()
    }

    fn checked(self) -> Geometry {
        assert!(self.segment.is_multiple_of(PAGE) && self.solo_step_min.is_multiple_of(PAGE));
        assert!(self.gather_known <= self.solo_above(), "a gathered body fits the active segment");
        assert!(
            self.gather_unknown < self.copy_below && self.copy_below <= self.solo_above(),
            "a short solo fits the active segment"
        );
        assert!(self.solo_step_min <= self.solo_step_max);
        self
    }

    /// The most bytes that the data directory occupies.
    #[must_use]
    pub fn budget(&self) -> u64 {
        self.budget
    }

    /// The least budget that a store can work with.
    #[must_use]
    pub fn minimum_budget(&self) -> u64 {
        self.min_segment * MIN_SEGMENTS + self.min_overhead
    }

    /// Length of a shared segment.
    #[must_use]
    pub fn segment(&self) -> u64 {
        self.segment
    }

    /// Bytes of a body that one checksum covers.
    #[must_use]
    pub fn block(&self) -> u32 {
        self.block
    }

    /// The least quota of a tenant.
    #[must_use]
    pub fn least_quota(&self) -> u64 {
        self.least_quota
    }

    /// Bodies of known length up to this are gathered in memory before they take their place.
    #[must_use]
    pub fn gather_known(&self) -> u64 {
        self.gather_known
    }

    /// Bodies of unknown length are gathered up to this.
    #[must_use]
    pub fn gather_unknown(&self) -> u64 {
        self.gather_unknown
    }

    /// A streamed body is written when this much of it has come.
    #[must_use]
    pub fn write_size(&self) -> u64 {
        self.write_size
    }

    /// Bodies larger than this get a segment of their own.
    #[must_use]
    pub fn solo_above(&self) -> u64 {
        self.segment / 4
    }

    /// The first step of a growing solo segment.
    #[must_use]
    pub fn solo_step_min(&self) -> u64 {
        self.solo_step_min
    }

    /// Its largest step.
    #[must_use]
    pub fn solo_step_max(&self) -> u64 {
        self.solo_step_max
    }

    /// A growing body that ends below this is copied into the active segment.
    #[must_use]
    pub fn copy_below(&self) -> u64 {
        self.copy_below
    }

    /// Bodies up to this are read whole before they are sent.
    #[must_use]
    pub fn whole_read(&self) -> u64 {
        self.whole_read
    }

    /// Kept for all that is not segment bytes: control data, `heat` and its successor, directories, extent trees.
    #[must_use]
    pub fn overhead(&self) -> u64 {
        self.overhead
    }

    /// Independently locked parts of the index; a power of two.
    #[must_use]
    pub fn index_shards(&self) -> usize {
        self.index_shards
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_follow_the_budget_within_their_bounds() {
        const GIB: u64 = 1 << 30;
        let segment = |budget| Geometry::standard(budget).segment();
        assert_eq!(segment(136 * MIB), 16 * MIB);
        assert_eq!(segment(20 * GIB), 256 * MIB);
        assert_eq!(segment(40 * GIB), 512 * MIB);
        assert_eq!(segment(4096 * GIB), 512 * MIB);
    }

    #[test]
    fn the_least_budget_is_eight_segments_and_the_overhead() {
        assert_eq!(Geometry::standard(GIB_FOR_TEST).minimum_budget(), 136 * MIB);
    }

    const GIB_FOR_TEST: u64 = 1 << 30;
}
