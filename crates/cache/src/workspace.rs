//! What the cache works with and remembers, in memory: as much as helps where there is plenty, less where there is not.

use crate::limits::{
    ASSEMBLIES_REMEMBERED, CHUNKER_MEMORY, CHUNKERS, DECODER_MEMORY, ENCODER_MEMORY, MAX_CODECS, MAX_PARTS, MAX_TREE,
};
use crate::{memory, recipe};

const MIB: u64 = 1 << 20;

/// What a list can be asked for by takes at most, in bytes: a key's beginning and two names.
const MAX_ASKED: u64 = 2 << 10;

/// How much of what may be in memory at a time. Sizes are bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workspace {
    /// Of trees and directories, over all completeness checks that run; further ones wait. At least the longest.
    pub(crate) trees: u64,
    /// Of what trees and directories named that is remembered. A file takes 41 of them.
    pub(crate) trees_remembered: u64,
    /// Of recipes that are remembered. A part takes 40 of them, with SHA-256.
    pub(crate) recipes_remembered: u64,
    /// How many bodies are decoded at a time, and how many encoded.
    pub(crate) codecs: u64,
    /// Of lists of keys: half for one that is looked for, half for those that are remembered. A key takes 64 of them beside its own.
    pub(crate) lists: u64,
}

impl Workspace {
    /// The largest that is of use.
    const MOST: Workspace = Workspace {
        trees: 64 * MIB,
        trees_remembered: 32 * MIB,
        recipes_remembered: 16 * MIB,
        codecs: MAX_CODECS,
        lists: 64 * MIB,
    };

    /// The least that everything works with.
    const LEAST: Workspace = Workspace {
        trees: MAX_TREE,
        trees_remembered: 4 * MIB,
        recipes_remembered: 6 * MIB,
        codecs: 2,
        lists: 8 * MIB,
    };

    /// As much as fits `bytes`, but for the least that it takes.
    #[must_use]
    pub fn within(bytes: u64) -> Workspace {
        let (least, most) = (Workspace::LEAST, Workspace::MOST);
        let share = |least: u64, most: u64| {
            let spare = u128::from(bytes.saturating_sub(least_bytes()));
            let span = u128::from(most_bytes() - least_bytes());
            let more = u128::from(most - least) * spare / span;
            (least + u64::try_from(more).unwrap_or(u64::MAX)).min(most)
        };
        Workspace {
            trees: share(least.trees, most.trees),
            trees_remembered: share(least.trees_remembered, most.trees_remembered),
            recipes_remembered: share(least.recipes_remembered, most.recipes_remembered),
            codecs: share(least.codecs, most.codecs),
            lists: share(least.lists, most.lists),
        }
    }

    /// Of a list that is looked for: so that it can be remembered with what it was asked for by.
    pub(crate) const fn window(&self) -> u64 {
        self.lists / 2 - memory::ENTRY - MAX_ASKED
    }

    pub(crate) const fn windows_remembered(&self) -> u64 {
        self.lists / 2
    }

    /// The most memory that it takes, in bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        let codecs = self.codecs * (DECODER_MEMORY + ENCODER_MEMORY);
        self.trees
            + self.trees_remembered
            + self.recipes_remembered
            + ASSEMBLIES_REMEMBERED
            + self.lists
            + codecs
            + CHUNKERS * CHUNKER_MEMORY
    }
}

impl Default for Workspace {
    fn default() -> Workspace {
        Workspace::MOST
    }
}

const _: () = assert!(Workspace::LEAST.trees >= MAX_TREE, "the longest tree must be able to get its turn");
const _: () = assert!(
    recipe::encoded_len(MAX_PARTS) <= Workspace::LEAST.recipes_remembered,
    "the longest recipe can be remembered"
);

const fn least_bytes() -> u64 {
    Workspace::LEAST.bytes()
}

const fn most_bytes() -> u64 {
    Workspace::MOST.bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_what_it_is_given_within_what_is_of_use() {
        assert_eq!(Workspace::within(0), Workspace::LEAST);
        assert_eq!(Workspace::within(u64::MAX), Workspace::MOST);
        assert_eq!(Workspace::within(most_bytes()), Workspace::MOST);
        let mut before = least_bytes();
        for bytes in (least_bytes()..most_bytes()).step_by(1 << 20) {
            let taken = Workspace::within(bytes).bytes();
            assert!(taken <= bytes && taken >= before, "{taken} of {bytes}");
            assert!(bytes - taken < 16 * MIB, "{taken} of {bytes}");
            before = taken;
        }
    }
}
