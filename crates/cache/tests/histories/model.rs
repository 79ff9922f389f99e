//! What a client's keys may show.

/// One key. A value is the number of the write that made it; none where there is nothing.
#[derive(Debug)]
pub(crate) struct Key {
    may_show: Vec<Option<u64>>,
    /// Answered with an error: it may have happened, now or at a later start, or never. What is done later ends it.
    failed: Vec<Option<u64>>,
}

impl Default for Key {
    fn default() -> Key {
        Key { may_show: vec![None], failed: Vec::new() }
    }
}

impl Key {
    /// A write, or an end, is under way.
    pub(crate) fn begin(&mut self, value: Option<u64>) {
        self.may_show.push(value);
    }

    /// It was acknowledged.
    pub(crate) fn done(&mut self, value: Option<u64>) {
        *self = Key { may_show: vec![value], failed: Vec::new() };
    }

    /// It was not.
    pub(crate) fn failed(&mut self, value: Option<u64>) {
        self.failed.push(value);
    }

    pub(crate) fn may_show(&self, value: Option<u64>) -> bool {
        self.may_show.contains(&value) || self.failed.contains(&value)
    }

    /// Whether an end of it failed: until the next start nobody knows.
    pub(crate) fn may_have_ended(&self) -> bool {
        self.failed.contains(&None)
    }

    /// All values that it may show.
    pub(crate) fn values(&self) -> impl Iterator<Item = u64> {
        self.may_show.iter().chain(&self.failed).filter_map(|value| *value)
    }

    /// It showed this: from now on it does.
    pub(crate) fn shown(&mut self, value: Option<u64>) {
        self.may_show = vec![value];
    }

    /// It may have been evicted.
    pub(crate) fn may_be_gone(&mut self) {
        self.may_show.push(None);
    }
}
