//! Action-cache integrity: an action result is served only while every blob that it names is there, and serving it vouches for them all.
//! What it names: its output files, the trees of its output directories with all files in them, its directories by root digest with all
//! that they lead to, its standard output and error.
//! Accepted on the way in is whatever is an action result; blobs may follow later.
//! What a tree or a directory names is remembered, since content never changes; that it is there, and all that it names, is asked each time.
//! Bounds: `limits`. A result that goes beyond them is not served: what cannot be checked cannot be vouched for.

use std::collections::HashSet;
use std::sync::Arc;

use kura_store::key::RecordKey;

use crate::artifact::{ArtifactKey, Scope};
use crate::digest::{Digest, DigestFunction};
use crate::error::Error;
use crate::limits::{MAX_ACTION_RESULT, MAX_DIRECTORIES, MAX_TREE, MAX_TREES};
use crate::memory::Weigh;
use crate::names::{Message, Named, Names};
use crate::presence::Probe;
use crate::{Artifact, AttributeName, Attributes, Cache, Form};

/// A blob, and the message that it was read as.
pub(crate) type ReadAs = (RecordKey, Message);

/// The size of the action that a result is of, where its client said it: the same hash with another size is another action.
const ACTION_SIZE: AttributeName = AttributeName(3);

impl Weigh for Names {
    fn weight(&self) -> u64 {
        self.memory() as u64
    }
}

impl Cache {
    /// The action result and its bytes, if it is there and complete; everything it names is vouched for then.
    pub(crate) async fn get_action(&self, key: &ArtifactKey, action: &Digest) -> Result<Option<Artifact>, Error> {
        let Some(found) = self.fetch(key, Form::Identity).await? else {
            return Ok(None);
        };
        if found.length > MAX_ACTION_RESULT {
            return Ok(None);
        }
        let (version, attributes) = (found.version, found.attributes);
        if !is_of(action, &attributes) {
            return Ok(None);
        }
        let result = found.body.collect().await?;
        if !self.is_complete(&key.scope, action.function(), &result).await? {
            self.inner.counters.incomplete(key.kind());
            return Ok(None);
        }
        Ok(Some(Artifact::in_memory(result, version, attributes)))
    }

    /// Whether every blob that this encoded action result names is there; those that are have been vouched for. `false` also for what
    /// is no action result, or goes beyond the limits of what is checked.
    ///
    /// # Errors
    /// As for reading a blob.
    pub async fn is_complete(&self, scope: &Scope, function: DigestFunction, result: &[u8]) -> Result<bool, Error> {
        let Ok(names) = Names::read(Message::ActionResult, result, function) else {
            return Ok(false);
        };
        let mut walk = Walk {
            cache: self,
            scope,
            function,
            open: Vec::new(),
            directories: HashSet::new(),
            tree_bytes: 0,
            probe: Probe::new(self, scope),
        };
        if !walk.visit(&names).await? {
            return Ok(false);
        }
        while let Some((digest, message)) = walk.open.pop() {
            match walk.read(&digest, message).await? {
                Some(names) if walk.visit(&names).await? => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// What is kept beside the result of an action.
///
/// # Errors
/// `Invalid` where it does not fit.
pub(crate) fn attributes_of(action: &Digest, attributes: Attributes) -> Result<Attributes, Error> {
    let Some(size) = action.size() else { return Ok(attributes) };
    let with_size = attributes.with(ACTION_SIZE, &size.to_le_bytes());
    with_size.map_err(|_| Error::Invalid("the attributes of an action result are too long"))
}

/// Whether a result is that action's. Those that came over HTTP have a hash and no size.
fn is_of(action: &Digest, attributes: &Attributes) -> bool {
    match (action.size(), attributes.get(ACTION_SIZE)) {
        (Some(size), Some(said)) => said == size.to_le_bytes(),
        _ => true,
    }
}

/// Whether these bytes are an action result whose digests are of that function.
///
/// # Errors
/// `NotAnActionResult`, which says what is wrong.
pub(crate) fn check_result(bytes: &[u8], function: DigestFunction) -> Result<(), Error> {
    Names::read(Message::ActionResult, bytes, function).map(drop).map_err(Error::NotAnActionResult)
}

/// One completeness check on its way.
struct Walk<'a> {
    cache: &'a Cache,
    scope: &'a Scope,
    function: DigestFunction,
    /// Blobs that name others and were not read yet.
    open: Vec<(Digest, Message)>,
    /// Directories that were seen, so that what is shared is read once and a chain cannot grow without end.
    directories: HashSet<[u8; 32]>,
    tree_bytes: u64,
    probe: Probe<'a>,
}

impl Walk<'_> {
    /// Whether the blobs that are named are there; those that name others are left open.
    async fn visit(&mut self, names: &Names) -> Result<bool, Error> {
        for named in names.iter() {
            match named {
                Named::Blob(digest) => {
                    if self.probe.find(&digest).await?.is_none() {
                        return Ok(false);
                    }
                }
                Named::Tree(digest) => self.open.push((digest, Message::Tree)),
                Named::Directory(digest) if self.is_new(&digest) => {
                    if self.directories.len() > MAX_DIRECTORIES {
                        return Ok(false);
                    }
                    self.open.push((digest, Message::Directory));
                }
                Named::Directory(_) => {}
            }
        }
        Ok(true)
    }

    fn is_new(&mut self, digest: &Digest) -> bool {
        let mut hash = [0; 32];
        let known = digest.hash().len().min(hash.len());
        hash[..known].copy_from_slice(&digest.hash()[..known]);
        self.directories.insert(hash)
    }

    /// What a blob names that is there; nothing if it is not, or is no such message.
    async fn read(&mut self, digest: &Digest, message: Message) -> Result<Option<Arc<Names>>, Error> {
        let Some(presence) = self.probe.find(digest).await? else {
            return Ok(None);
        };
        self.tree_bytes += presence.length;
        if presence.length > MAX_TREE || self.tree_bytes > MAX_TREES {
            tracing::debug!(%digest, bytes = presence.length, "a tree is too large to be checked: answered as a miss");
            return Ok(None);
        }
        let key = ArtifactKey::blob(self.scope, digest)?;
        let read_as = (key.record.clone(), message);
        if let Some(names) = self.cache.inner.named.get(&read_as) {
            return Ok(Some(names));
        }
        let _pass = self.cache.inner.trees.enter(presence.length).await;
        let Some(found) = self.cache.get_blob(&key, digest, Form::Identity).await? else {
            return Ok(None);
        };
        let Ok(names) = Names::read(message, &found.body.collect().await?, self.function) else {
            return Ok(None);
        };
        let names = Arc::new(names);
        self.cache.inner.named.put(read_as, Arc::clone(&names));
        Ok(Some(names))
    }
}
