//! What goes wrong in a history: operations of the disk that fail, bits that flip at rest, a neighbour that fills the filesystem and frees it.
//! It comes in phases, some of which begin before the store opens, and is over before anything is held against the store at rest.

use std::sync::Arc;
use std::time::Duration;

use kura_disk::Runtime;
use kura_disk::sim::{Chance, Operation, SimDisk};

const EINTR: i32 = 4;
const EIO: i32 = 5;
const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;

/// What may fail with what. The first is any operation.
const FAILURES: [(Option<Operation>, i32); 18] = [
    (None, EIO),
    (None, EINTR),
    (Some(Operation::Sync), EIO),
    (Some(Operation::Sync), ENOSPC),
    (Some(Operation::Write), EIO),
    (Some(Operation::Write), ENOSPC),
    (Some(Operation::Allocate), ENOSPC),
    (Some(Operation::Create), ENOSPC),
    (Some(Operation::Create), EMFILE),
    (Some(Operation::Open), EMFILE),
    (Some(Operation::Open), EIO),
    (Some(Operation::Rename), EIO),
    (Some(Operation::Unlink), EIO),
    (Some(Operation::SyncDirectory), EIO),
    (Some(Operation::Truncate), EIO),
    (Some(Operation::Read), EIO),
    (Some(Operation::Space), EIO),
    (Some(Operation::Close), EIO),
];

/// How long a phase lasts at most. Most operations take well under a millisecond.
const LONGEST_PHASE_MICROS: u64 = 30_000;

#[derive(Debug)]
pub(crate) struct Trouble {
    chances: Vec<Chance>,
    /// Whether bits flip while the store is closed.
    pub(crate) flips: bool,
    /// The filesystem's size as a multiple of the budget, where a neighbour shares it.
    pub(crate) shared: Option<u64>,
}

impl Trouble {
    pub(crate) fn draw(random: &mut fastrand::Rng) -> Trouble {
        let flips = random.u8(0..8) == 0;
        let shared = (random.u8(0..4) == 0).then(|| random.u64(2..4));
        let one_in = *random.choice(&[2, 5, 20, 100]).unwrap();
        let kinds = if (flips || shared.is_some()) && random.bool() { 0 } else { random.usize(1..4) };
        let chances = (0..kinds).map(|_| {
            let (operation, errno) = *random.choice(&FAILURES).unwrap();
            Chance { operation, path: "", one_in, errno }
        });
        Trouble { chances: chances.collect(), flips, shared }
    }

    /// Whether the device may say that it cannot read what is stored: then it is damaged.
    pub(crate) fn hits_reads(&self) -> bool {
        let reads = |chance: &Chance| chance.operation.is_none_or(|operation| operation == Operation::Read);
        self.chances.iter().any(|chance| chance.errno == EIO && reads(chance))
    }

    /// Whether a sync may fail.
    pub(crate) fn hits_syncs(&self) -> bool {
        self.chances.iter().any(|chance| chance.operation.is_none_or(|operation| operation == Operation::Sync))
    }

    pub(crate) fn begin(&self, disk: &SimDisk) {
        disk.faults(|faults| self.chances.iter().for_each(|chance| faults.sometimes(*chance)));
    }

    pub(crate) fn end(disk: &SimDisk) {
        disk.faults(kura_disk::sim::Faults::heal);
        disk.set_neighbour(0);
    }

    /// Comes and goes for as long as it is polled.
    pub(crate) async fn come_and_go(
        &self,
        disk: Arc<SimDisk>,
        runtime: Arc<dyn Runtime>,
        budget: u64,
        mut random: fastrand::Rng,
    ) {
        loop {
            runtime.sleep(Duration::from_micros(random.u64(1..LONGEST_PHASE_MICROS))).await;
            self.begin(&disk);
            if let Some(times) = self.shared {
                let left = times * budget - disk.allocated().min(times * budget);
                disk.set_neighbour(left - random.u64(0..=left) / 4);
            }
            runtime.sleep(Duration::from_micros(random.u64(1..LONGEST_PHASE_MICROS))).await;
            Trouble::end(&disk);
        }
    }

    /// Flips some bits of segments, while nobody uses them. Returns whether it did.
    pub(crate) fn flip(disk: &SimDisk, random: &mut fastrand::Rng) -> bool {
        let mut flipped = false;
        let paths: Vec<String> = disk.paths().into_iter().filter(|path| path.starts_with("segments/")).collect();
        for _ in 0..random.usize(0..4) {
            let Some(path) = random.choice(&paths) else { break };
            let bits = disk.content(path).map_or(0, |content| content.len() as u64 * 8);
            if bits > 0 {
                disk.flip(path, random.u64(0..bits));
                flipped = true;
            }
        }
        flipped
    }
}
