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
    /// For digests of that function, which have the same length; made anew after whatever may have taken long, since it has read the clock.
    group: Option<Group<'a>>,
    /// Since other tasks ran.
    asked: usize,
}

/// What is asked about digests of one function: in an overlay, and in what is below it.
struct Group<'a> {
    function: DigestFunction,
    own: kura_store::Probe<'a>,
    trusted: Option<kura_store::Probe<'a>>,
}

/// A question about one blob.
pub struct Question {
    own: kura_store::Asked,
    trusted: Option<kura_store::Asked>,
    /// A digest of another size is another blob's.
    size: Option<u64>,
}

impl<'a> Probe<'a> {
    /// Asks about blobs of that scope.
    #[must_use]
    pub fn new(cache: &'a Cache, scope: &'a Scope) -> Probe<'a> {
        Probe { cache, scope, group: None, asked: 0 }
    }

    /// Whether the blob is there, which vouches for it.
    ///
    /// # Errors
    /// As for reading a blob; `Key` where the scope does not fit a record.
    pub async fn find(&mut self, digest: &Digest) -> Result<Option<Presence>, Error> {
        let found = self.look(digest).await?;
        self.whole_or_empty(digest, found).await
    }

    /// The question whether the blob is there, which [`Probe::answer`] answers: memory is asked for what the answer takes, for some tens of questions
    /// side by side.
    ///
    /// # Errors
    /// `Key` where the scope does not fit a record.
    pub fn ask(&mut self, digest: &Digest) -> Result<Question, Error> {
        Ok(self.group(digest.function())?.ask(digest))
    }

    /// Whether the blob is there, which vouches for it. Nothing, where the index alone does not tell: then [`Probe::find`] does.
    #[must_use]
    pub fn answer(&self, question: &Question) -> Option<bool> {
        match self.group.as_ref()?.answer(question, self.cache) {
            Some(found) if found.encoding == Encoding::Recipe => None,
            Some(found) => Some(question.size.is_none_or(|size| size == found.logical_len)),
            // The empty blob always is.
            None => question.size.is_some_and(|size| size > 0).then_some(false),
        }
    }

    /// Lets other tasks run, before so many more questions.
    pub async fn rest(&mut self, more: usize) {
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
        let cache = self.cache;
        let group = self.group(digest.function())?;
        Ok(group.answer(&group.ask(digest), cache).filter(|found| is_of(digest, found)))
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

    fn group(&mut self, function: DigestFunction) -> Result<&Group<'a>, Error> {
        if self.group.as_ref().is_some_and(|group| group.function != function) {
            self.group = None;
        }
        match &mut self.group {
            Some(group) => Ok(group),
            none => {
                let store = &self.cache.inner.store;
                let own = store.probe(&artifact::blob_group(self.scope, function)?);
                let below = self.scope.trusted().map(|below| artifact::blob_group(&below, function)).transpose()?;
                Ok(none.insert(Group { function, own, trusted: below.map(|below| store.probe(&below)) }))
            }
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

impl Group<'_> {
    fn ask(&self, digest: &Digest) -> Question {
        let own = self.own.ask(digest.as_key());
        self.own.announce(&own);
        let trusted = self.trusted.as_ref().map(|trusted| {
            let asked = trusted.ask(digest.as_key());
            trusted.announce(&asked);
            asked
        });
        Question { own, trusted, size: digest.size() }
    }

    fn answer(&self, question: &Question, cache: &Cache) -> Option<kura_store::Presence> {
        let found = self.own.answer(&question.own);
        let (Some(trusted), Some(asked)) = (&self.trusted, &question.trusted) else { return found };
        found.filter(|found| !cache.has_expired(found.version)).or_else(|| trusted.answer(asked))
    }
}

/// A digest of another size is another blob's.
fn is_of(digest: &Digest, found: &kura_store::Presence) -> bool {
    digest.size().is_none_or(|size| size == found.logical_len)
}
