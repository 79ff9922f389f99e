//! What goes wrong: which operation fails with which errno, which takes long, which sync lies.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use crate::SyncReason;

/// The operations that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "they are named as the traits' methods are")]
pub enum Operation {
    Lock,
    CreateDirectory,
    List,
    Create,
    Open,
    Rename,
    Unlink,
    SyncDirectory,
    Space,
    Length,
    Allocate,
    Write,
    Read,
    Sync,
    Truncate,
    ForgetCached,
    Close,
}

/// Operations that fail.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Of this kind; `None` for all.
    pub operation: Option<Operation>,
    /// On paths that contain this.
    pub path: &'static str,
    /// After so many that match have succeeded.
    pub after: u64,
    /// So often; then the rule is spent.
    pub times: u64,
    /// With this error number.
    pub errno: i32,
}

/// Operations that fail now and then, as the seed says.
#[derive(Debug, Clone, Copy)]
pub struct Chance {
    /// Of this kind; `None` for all.
    pub operation: Option<Operation>,
    /// On paths that contain this.
    pub path: &'static str,
    /// One in so many; not zero.
    pub one_in: u32,
    /// With this error number.
    pub errno: i32,
}

/// Operations that take long.
#[derive(Debug, Clone)]
pub struct Slow {
    /// Of this kind.
    pub operation: Operation,
    /// On paths that contain this.
    pub path: String,
    /// So long beside what they take anyway.
    pub by: Duration,
}

/// The plan of what goes wrong.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Vec<Rule>,
    chances: Vec<Chance>,
    slow: Vec<Slow>,
    ignored_syncs: BTreeSet<SyncReason>,
    /// The filesystem has no way to allocate in advance.
    pub no_allocation: bool,
    /// The most files that may be open at a time, where there is a limit.
    pub most_open_files: Option<usize>,
}

impl Faults {
    /// Adds a rule.
    pub fn fail(&mut self, rule: Rule) {
        self.rules.push(rule);
    }

    /// Lets operations fail by chance.
    pub fn sometimes(&mut self, chance: Chance) {
        self.chances.push(chance);
    }

    /// Lets operations take long.
    pub fn slow(&mut self, slow: Slow) {
        self.slow.push(slow);
    }

    /// Nothing fails or takes long any more; syncs that lie go on lying.
    pub fn heal(&mut self) {
        self.rules.clear();
        self.chances.clear();
        self.slow.clear();
    }

    /// Syncs for this reason report success and do nothing from now on.
    pub fn ignore_sync(&mut self, why: SyncReason) {
        self.ignored_syncs.insert(why);
    }

    pub(super) fn ignores(&self, why: SyncReason) -> bool {
        self.ignored_syncs.contains(why)
    }

    /// How much longer this operation takes.
    pub(super) fn delay(&self, operation: Operation, path: &str) -> Duration {
        let matching = |slow: &&Slow| slow.operation == operation && path.contains(&slow.path);
        self.slow.iter().filter(matching).map(|slow| slow.by).sum()
    }

    /// Whether this operation fails.
    pub(super) fn check(&mut self, operation: Operation, path: &str, random: &mut fastrand::Rng) -> io::Result<()> {
        let matching = |rule: &&mut Rule| {
            rule.times > 0 && rule.operation.is_none_or(|kind| kind == operation) && path.contains(rule.path)
        };
        for rule in self.rules.iter_mut().filter(matching) {
            if rule.after > 0 {
                rule.after -= 1;
            } else {
                rule.times -= 1;
                return Err(io::Error::from_raw_os_error(rule.errno));
            }
        }
        let fails = |chance: &&Chance| {
            chance.operation.is_none_or(|kind| kind == operation)
                && path.contains(chance.path)
                && random.u32(0..chance.one_in) == 0
        };
        match self.chances.iter().find(fails) {
            Some(chance) => Err(io::Error::from_raw_os_error(chance.errno)),
            None => Ok(()),
        }
    }
}
