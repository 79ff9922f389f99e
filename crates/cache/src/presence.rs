//! Whether artifacts are there. A question is a probe of the index, and vouches for what it finds. A blob that is stored as a recipe is there
//! only while all its parts are, whose lists are remembered; the vouch is for them too.

use std::sync::Arc;

use kura_store::key::RecordKey;
use kura_store::types::Encoding;

use crate::artifact::{self, ArtifactKey, Meaning, Scope};
use crate::body::{Body, Plain};
use crate::digest::{Digest, DigestFunction};
use crate::error::Error;
use crate::limits::{MAX_PARTS, PROBES_BETWEEN_YIELDS};
use crate::questions::{Group, Questions};
use crate::recipe::{self, Draft, Recipe};
use crate::{Cache, Version};

/// The version of the empty blob, which nobody wrote.
pub(crate) const EMPTY_BLOB_VERSION: Version = Version(1);

/// What is known of an artifact without reading it. Being told vouches for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presence {
    /// Bytes of its content.
    pub length: u64,
    /// When it was stored.
    pub version: Version,
}

impl Cache {
    /// Whether the artifact's bytes are there. Of an action result this says nothing about what it names: ask with [`Cache::get`].
    ///
    /// # Errors
    /// As for reading a blob.
    pub async fn present(&self, key: &ArtifactKey) -> Result<Option<Presence>, Error> {
        match &key.meaning {
            Meaning::Blob(digest) => Probe::new(self, &key.scope).find(digest).await,
            Meaning::Action(_) | Meaning::Keyed(_) => match self.look(&key.scope, &key.record)? {
                Some(found) if found.encoding == Encoding::Recipe => self.present_in_parts(key).await,
                found => Ok(found.map(Presence::of)),
            },
        }
    }

    async fn present_in_parts(&self, key: &ArtifactKey) -> Result<Option<Presence>, Error> {
        match self.assembly_of(key).await? {
            Some((parts, version)) if self.is_whole(&key.scope, &parts).await? => {
                Ok(parts.length().map(|length| Presence { length, version }))
            }
            _ => Ok(None),
        }
    }

    /// The recipe that a record holds; nothing, if it is none. Remembers it.
    pub(crate) async fn read_recipe(
        &self,
        key: RecordKey,
        stored: kura_store::Artifact,
    ) -> Result<Option<Arc<Recipe>>, Error> {
        if stored.encoding != Encoding::Recipe || stored.stored_len > recipe::encoded_len(MAX_PARTS) {
            return Ok(None);
        }
        let list = Body::from(Plain::stored(stored.body)).collect().await?;
        let Some(recipe) = Recipe::decode(&list, stored.logical_len) else {
            tracing::error!(?key, "a recipe that is none: answered as a miss");
            return Ok(None);
        };
        let recipe = Arc::new(recipe);
        self.inner.recipes.put((key, stored.version), Arc::clone(&recipe));
        Ok(Some(recipe))
    }
}

impl Presence {
    fn of(found: kura_store::Presence) -> Presence {
        Presence { length: found.logical_len, version: found.version }
    }
}

/// One request's questions about blobs: other tasks run now and then, however many there are.
pub struct Probe<'a> {
    cache: &'a Cache,
    scope: &'a Scope,
    /// Made anew after whatever may have taken long, since it has read the clock.
    group: Option<Group<'a>>,
    questions: Questions,
    /// Since other tasks ran.
    asked: usize,
}

impl<'a> Probe<'a> {
    /// Asks about blobs of that scope.
    #[must_use]
    pub fn new(cache: &'a Cache, scope: &'a Scope) -> Probe<'a> {
        Probe { cache, scope, group: None, questions: Questions::default(), asked: 0 }
    }

    /// Whether the blob is there, which vouches for it.
    ///
    /// # Errors
    /// As for reading a blob; `Key` where the scope does not fit a record.
    pub async fn find(&mut self, digest: &Digest) -> Result<Option<Presence>, Error> {
        let found = self.look(digest).await?;
        self.whole_or_empty(digest, found).await
    }

    /// Makes room for so many questions.
    pub fn reserve(&mut self, more: usize) {
        self.questions.reserve(more);
    }

    /// Asks whether the blob of `size` bytes is there whose hash by that function this is, which [`Probe::answers`] says: of a thousand questions at a
    /// time, several share what they take of the index.
    ///
    /// # Errors
    /// `Key` where the scope does not fit a record.
    #[inline]
    pub fn ask(&mut self, function: DigestFunction, hash: &[u8], size: u64) -> Result<(), Error> {
        let question = self.group(function)?.ask(hash, size);
        self.questions.push(question);
        Ok(())
    }

    /// Whether the blobs that were asked about are there, in that order, which vouches for them; and forgets the questions. Nothing, where the index alone does
    /// not tell: then [`Probe::find`] does.
    pub async fn answers(&mut self) -> Vec<Option<bool>> {
        let asked = self.questions.len();
        let answers = self.group.as_ref().map_or_else(|| vec![None; asked], |group| group.answer(&self.questions));
        self.questions.clear();
        self.rest(asked).await;
        answers
    }

    /// Lets other tasks run, before so many more questions.
    async fn rest(&mut self, more: usize) {
        self.asked += more;
        if self.asked >= PROBES_BETWEEN_YIELDS {
            self.asked = 0;
            self.group = None;
            self.cache.inner.runtime.yield_now().await;
        }
    }

    /// What the index has under that digest.
    pub(crate) async fn look(&mut self, digest: &Digest) -> Result<Option<kura_store::Presence>, Error> {
        self.rest(1).await;
        Ok(self.group(digest.function())?.find(digest).filter(|found| is_of(digest, found)))
    }

    /// What an entry comes to: a recipe is there while all its parts are, and the empty blob always.
    async fn whole_or_empty(
        &mut self,
        digest: &Digest,
        found: Option<kura_store::Presence>,
    ) -> Result<Option<Presence>, Error> {
        let Some(found) = found else {
            return Ok(digest.is_empty_blob().then_some(Presence { length: 0, version: EMPTY_BLOB_VERSION }));
        };
        if found.encoding == Encoding::Recipe {
            // Few blobs are: their questions do not make all others' futures larger.
            let whole = Box::pin(self.whole(digest, found)).await?;
            return Ok(whole.map(|_| Presence::of(found)));
        }
        Ok(Some(Presence::of(found)))
    }

    #[inline]
    fn group(&mut self, function: DigestFunction) -> Result<&Group<'a>, Error> {
        if self.group.as_ref().is_some_and(|group| group.function != function) {
            self.group = None;
        }
        match &mut self.group {
            Some(group) => Ok(group),
            none => Ok(none.insert(Group::new(self.cache, self.scope, function)?)),
        }
    }

    /// The recipe that was found there, if all its parts are.
    pub(crate) async fn whole(
        &mut self,
        digest: &Digest,
        found: kura_store::Presence,
    ) -> Result<Option<Arc<Recipe>>, Error> {
        let Some(recipe) = self.recipe(digest, found).await? else {
            return Ok(None);
        };
        Ok(self.flat(&recipe).await?.map(|_| recipe))
    }

    /// A recipe of the same content whose parts are no recipes, if all of them are there.
    pub(crate) async fn flat(&mut self, recipe: &Arc<Recipe>) -> Result<Option<Arc<Recipe>>, Error> {
        let mut flat = Draft::new(recipe.function(), recipe.chunking());
        // Where each of the recipes that are within each other stands.
        let mut open = vec![(Arc::clone(recipe), 0)];
        let (mut looked, mut nested) = (0, false);
        while let Some((within, at)) = open.last_mut() {
            let Some(part) = within.part(*at) else {
                open.pop();
                continue;
            };
            *at += 1;
            looked += 1;
            let Some(found) = self.look(&part).await?.filter(|_| looked <= MAX_PARTS) else {
                return Ok(None);
            };
            if found.encoding != Encoding::Recipe {
                flat.push(&part)?;
                continue;
            }
            let Some(inner) = self.recipe(&part, found).await? else {
                return Ok(None);
            };
            nested = true;
            open.push((inner, 0));
        }
        Ok(Some(if nested { Arc::new(flat.finish()) } else { Arc::clone(recipe) }))
    }

    /// The recipe that was found there, as it is remembered or stored. Nothing, if something else took its place since: what was asked for is
    /// then missing as far as this answer goes.
    async fn recipe(&mut self, digest: &Digest, found: kura_store::Presence) -> Result<Option<Arc<Recipe>>, Error> {
        let stored_at = (artifact::blob_record(self.scope, digest)?, found.version);
        if let Some(recipe) = self.cache.inner.recipes.get(&stored_at) {
            return Ok(Some(recipe));
        }
        self.group = None;
        match self.cache.read(self.scope, &stored_at.0).await? {
            Some(stored) => self.cache.read_recipe(stored_at.0, stored).await,
            None => Ok(None),
        }
    }
}

/// A digest of another size is another blob's.
fn is_of(digest: &Digest, found: &kura_store::Presence) -> bool {
    digest.size().is_none_or(|size| size == found.logical_len)
}
