//! The ledger: every byte that the data directory occupies is on it, and is taken only through a [`Reservation`], which gives it back when dropped.
//! Invariant: what is used never exceeds the limit, but for what recovery found ([`Budget::force_reserve`]).
//! Not here: making room (`keeper`); what the filesystem itself has left.

use std::sync::Arc;

use event_listener::Event;

use crate::sync::Mutex;

/// Capacity is never above this share of the filesystem.
const MOST_OF_FILESYSTEM_PERCENT: u64 = 80;

/// Bytes of uploads that are not committed yet are at most this share of the budget.
const ADMITTED_DENOMINATOR: u64 = 2;

/// What bytes are used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category {
    /// Segments of many artifacts, at their full size from their creation.
    Shared,
    /// Segments of one artifact.
    Solo,
    /// Kept for control data, `heat`, directories and extent trees.
    Control,
    /// Files in the data directory that are not ours.
    Foreign,
    /// Unlinked segments that a reader still holds open.
    Unlinked,
}

impl Category {
    /// All of them.
    pub const ALL: [Category; 5] =
        [Category::Shared, Category::Solo, Category::Control, Category::Foreign, Category::Unlinked];

    /// For metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Category::Shared => "shared",
            Category::Solo => "solo",
            Category::Control => "control",
            Category::Foreign => "foreign",
            Category::Unlinked => "unlinked",
        }
    }
}

/// What is missing for a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    /// Bytes.
    pub lacking: u64,
}

/// The ledger. Clones share it.
#[derive(Clone)]
pub struct Budget {
    ledger: Arc<Ledger>,
}

struct Ledger {
    books: Mutex<Books>,
    freed: Event,
}

struct Books {
    limit: u64,
    used: [u64; Category::ALL.len()],
    admitted: u64,
}

impl Books {
    fn total(&self) -> u64 {
        self.used.iter().sum()
    }
}

impl Budget {
    /// An empty ledger.
    #[must_use]
    pub fn new(limit: u64) -> Budget {
        let books = Books { limit, used: [0; Category::ALL.len()], admitted: 0 };
        Budget { ledger: Arc::new(Ledger { books: Mutex::new(books), freed: Event::new() }) }
    }

    /// Takes bytes.
    ///
    /// # Errors
    /// What is lacking, when they do not fit.
    pub fn try_reserve(&self, category: Category, bytes: u64) -> Result<Reservation, Shortage> {
        let mut books = self.ledger.books.lock();
        let free = books.limit.saturating_sub(books.total());
        if bytes > free {
            return Err(Shortage { lacking: bytes - free });
        }
        books.used[category as usize] += bytes;
        Ok(Reservation { ledger: Arc::clone(&self.ledger), category, bytes })
    }

    /// Takes bytes that are occupied already, whatever the limit: what recovery finds is there.
    pub fn force_reserve(&self, category: Category, bytes: u64) -> Reservation {
        self.ledger.books.lock().used[category as usize] += bytes;
        Reservation { ledger: Arc::clone(&self.ledger), category, bytes }
    }

    /// Admits bytes that are on their way in: together at most half the limit.
    ///
    /// # Errors
    /// What is lacking.
    pub fn try_admit(&self, bytes: u64) -> Result<Admission, Shortage> {
        let mut books = self.ledger.books.lock();
        let free = (books.limit / ADMITTED_DENOMINATOR).saturating_sub(books.admitted);
        if bytes > free {
            return Err(Shortage { lacking: bytes - free });
        }
        books.admitted += bytes;
        Ok(Admission { ledger: Arc::clone(&self.ledger), bytes })
    }

    /// The most that may be used.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.ledger.books.lock().limit
    }

    /// What is used.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.ledger.books.lock().total()
    }

    /// What is used of a category.
    #[must_use]
    pub fn used_by(&self, category: Category) -> u64 {
        self.ledger.books.lock().used[category as usize]
    }

    /// What can still be reserved.
    #[must_use]
    pub fn free(&self) -> u64 {
        let books = self.ledger.books.lock();
        books.limit.saturating_sub(books.total())
    }

    /// Notified whenever bytes come back.
    #[must_use]
    pub fn freed(&self) -> &Event {
        &self.ledger.freed
    }
}

/// Bytes taken; given back when dropped.
#[must_use]
pub struct Reservation {
    ledger: Arc<Ledger>,
    category: Category,
    bytes: u64,
}

impl Reservation {
    /// How many.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds another reservation to this one, under this one's category.
    pub fn absorb(&mut self, mut other: Reservation) {
        let bytes = std::mem::take(&mut other.bytes);
        let mut books = self.ledger.books.lock();
        books.used[other.category as usize] -= bytes;
        books.used[self.category as usize] += bytes;
        self.bytes += bytes;
    }

    /// Takes all of it out.
    pub fn take(&mut self) -> Reservation {
        let bytes = std::mem::take(&mut self.bytes);
        Reservation { ledger: Arc::clone(&self.ledger), category: self.category, bytes }
    }

    /// Gives back all but `bytes`.
    pub fn shrink_to(&mut self, bytes: u64) {
        let back = self.bytes.saturating_sub(bytes);
        self.bytes -= back;
        self.ledger.books.lock().used[self.category as usize] -= back;
        self.ledger.freed.notify(usize::MAX);
    }

    /// Counts them under another category.
    pub fn move_to(&mut self, category: Category) {
        let mut books = self.ledger.books.lock();
        books.used[self.category as usize] -= self.bytes;
        books.used[category as usize] += self.bytes;
        self.category = category;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.ledger.books.lock().used[self.category as usize] -= self.bytes;
            self.ledger.freed.notify(usize::MAX);
        }
    }
}

/// Bytes on their way in; over when dropped.
#[must_use]
pub struct Admission {
    ledger: Arc<Ledger>,
    bytes: u64,
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.ledger.books.lock().admitted -= self.bytes;
        self.ledger.freed.notify(usize::MAX);
    }
}

/// Free bytes that the filesystem must have before a segment is made for `incoming` bytes: others write to it too. Small artifacts come
/// under the floor of one shared segment; oversized ones scale it.
#[must_use]
pub fn required_free(segment: u64, incoming: u64) -> u64 {
    segment.max(incoming).saturating_mul(2)
}

/// The most that a store may have on a filesystem of `total` bytes: 80 % of it.
#[must_use]
pub fn most_of_filesystem(total: u64) -> u64 {
    total / 100 * MOST_OF_FILESYSTEM_PERCENT
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn segment_rotation_requires_margin_for_oversized_artifacts() {
        // Small artifacts: the floor of a shared segment, twice.
        assert_eq!(required_free(16 * MIB, 0), 32 * MIB);
        assert_eq!(required_free(16 * MIB, 16 * MIB), 32 * MIB);
        // Oversized ones: scaled.
        assert_eq!(required_free(16 * MIB, 16 * MIB + 1), 32 * MIB + 2);
        assert_eq!(required_free(16 * MIB, 2048 * MIB), 4096 * MIB);
        assert_eq!(required_free(16 * MIB, u64::MAX), u64::MAX);
    }

    #[test]
    fn what_is_reserved_comes_back_and_the_limit_holds() {
        let budget = Budget::new(100);
        let mut first = budget.try_reserve(Category::Solo, 60).unwrap();
        assert_eq!(budget.try_reserve(Category::Shared, 50).err(), Some(Shortage { lacking: 10 }));
        first.absorb(budget.try_reserve(Category::Shared, 40).unwrap());
        assert_eq!((budget.used_by(Category::Solo), budget.free()), (100, 0));
        first.shrink_to(30);
        first.move_to(Category::Unlinked);
        assert_eq!((budget.used_by(Category::Unlinked), budget.free()), (30, 70));
        drop(first);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn uploads_under_way_are_at_most_half_the_budget() {
        let budget = Budget::new(100);
        let first = budget.try_admit(40).unwrap();
        assert_eq!(budget.try_admit(20).err(), Some(Shortage { lacking: 10 }));
        drop(first);
        assert!(budget.try_admit(50).is_ok());
    }

    #[test]
    fn a_store_has_at_most_four_fifths_of_the_filesystem() {
        assert_eq!(most_of_filesystem(1000), 800);
    }
}
