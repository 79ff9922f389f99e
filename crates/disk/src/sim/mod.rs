//! A machine in memory: one thread, virtual time, and a disk that loses, tears, reorders and refuses, all from one seed.
//!
//! [`World`] runs futures against [`SimDisk`] and its own runtime. Every disk operation takes effect at a later virtual time,
//! and the next task to run is drawn, so operations that run side by side interleave differently under each seed, and the same under the same.
//!
//! ```
//! use kura_disk::{Disk, sim::{Crash, World}};
//!
//! let mut world = World::new(7);
//! let disk = world.disk();
//! let file = world.block_on(async move { disk.create("a").await });
//! world.crash(Crash::Power); // the name was never synced
//! assert!(file.is_ok());
//! ```

mod disk;
mod executor;
mod faults;
mod files;

pub use disk::SimDisk;
pub use executor::{Crash, World};
pub use faults::{Chance, Faults, Operation, Rule, Slow};

#[cfg(test)]
mod tests;
