//! What one request asks about blobs of one scope, before it is answered: the index is asked about many at once. What is in an overlay is asked for there,
//! and then in what is below it.

use kura_store::types::{Encoding, Fingerprint};

use crate::artifact::{self, Scope};
use crate::digest::{Digest, DigestFunction};
use crate::error::Error;
use crate::{Cache, Version};

/// What is asked about digests of one function, which have the same length: in an overlay, and in what is below it.
pub(crate) struct Group<'a> {
    cache: &'a Cache,
    pub(crate) function: DigestFunction,
    own: kura_store::Probe<'a>,
    trusted: Option<kura_store::Probe<'a>>,
}

/// A question about one blob.
#[derive(Clone, Copy)]
pub(crate) struct Question {
    own: Fingerprint,
    trusted: Option<Fingerprint>,
    /// A digest of another size is another blob's.
    size: u64,
}

/// Questions of any group of a scope, in the order in which they are asked.
#[derive(Default)]
pub(crate) struct Questions {
    own: Vec<Fingerprint>,
    /// In what is below; none, where nothing is.
    trusted: Vec<Fingerprint>,
    sizes: Vec<u64>,
}

impl<'a> Group<'a> {
    /// # Errors
    /// `Key` where the scope does not fit a record.
    pub(crate) fn new(cache: &'a Cache, scope: &Scope, function: DigestFunction) -> Result<Group<'a>, Error> {
        let store = &cache.inner.store;
        let own = store.probe(&artifact::blob_group(scope, function)?);
        let below = scope.trusted().map(|below| artifact::blob_group(&below, function)).transpose()?;
        Ok(Group { cache, function, own, trusted: below.map(|below| store.probe(&below)) })
    }

    /// What the index has under that digest.
    pub(crate) fn find(&self, digest: &Digest) -> Option<kura_store::Presence> {
        let look = |probe: &kura_store::Probe<'_>| probe.answer(&probe.fingerprint(digest.hash()));
        let below = || self.trusted.as_ref().and_then(look);
        look(&self.own).filter(|found| self.holds(found.version)).or_else(below)
    }

    /// The question whether that blob is there.
    #[inline]
    pub(crate) fn ask(&self, hash: &[u8], size: u64) -> Question {
        let asked = |probe: &kura_store::Probe<'_>| probe.fingerprint(hash);
        Question { own: asked(&self.own), trusted: self.trusted.as_ref().map(asked), size }
    }

    /// The answers to all, in their order; nothing, where the index alone does not tell.
    pub(crate) fn answer(&self, questions: &Questions) -> Vec<Option<bool>> {
        let Questions { own, trusted, sizes } = questions;
        let mut answers = vec![None; own.len()];
        let Some(below) = &self.trusted else {
            self.own.answer_all(own, |at, found| answers[at] = is_there(sizes[at], found));
            return answers;
        };
        let mut places = Vec::new();
        self.own.answer_all(own, |at, found| match found.filter(|found| self.holds(found.version)) {
            None => places.push(at),
            found => answers[at] = is_there(sizes[at], found),
        });
        let asked: Vec<Fingerprint> = places.iter().map(|at| trusted[*at]).collect();
        below.answer_all(&asked, |at, found| answers[places[at]] = is_there(sizes[places[at]], found));
        answers
    }

    /// Whether what was found above still hides what is below.
    fn holds(&self, version: Version) -> bool {
        self.trusted.is_none() || !self.cache.has_expired(version)
    }
}

impl Questions {
    pub(crate) fn reserve(&mut self, more: usize) {
        self.own.reserve(more);
        self.sizes.reserve(more);
    }

    #[inline]
    pub(crate) fn push(&mut self, question: Question) {
        self.own.push(question.own);
        if let Some(trusted) = question.trusted {
            self.trusted.push(trusted);
        }
        self.sizes.push(question.size);
    }

    pub(crate) fn len(&self) -> usize {
        self.own.len()
    }

    /// Forgets them, and keeps the room that they took.
    pub(crate) fn clear(&mut self) {
        self.own.clear();
        self.trusted.clear();
        self.sizes.clear();
    }
}

fn is_there(size: u64, found: Option<kura_store::Presence>) -> Option<bool> {
    match found {
        // It is while all its parts are.
        Some(found) if found.encoding == Encoding::Recipe => None,
        Some(found) => Some(size == found.logical_len),
        // The empty blob always is.
        None => (size > 0).then_some(false),
    }
}
