//! Action-cache integrity: an action result is served only while every blob that it names is there, and serving it vouches for them all.
//! What it names: its output files, the trees of its output directories with all files in them, its directories by root digest with all
//! that they lead to, its standard output and error.
//! Accepted on the way in is whatever is an action result; blobs may follow later.
//! Bounds: `limits`. A result that goes beyond them is not served: what cannot be checked cannot be vouched for.

use std::collections::HashSet;

use crate::artifact::{ArtifactKey, Scope};
use crate::digest::{Digest, DigestFunction};
use crate::error::Error;
use crate::limits::{MAX_ACTION_RESULT, MAX_DIRECTORIES, MAX_TREE, MAX_TREES, PROBES_BETWEEN_YIELDS};
use crate::wire::{Fields, Malformed, Value};
use crate::{Artifact, Cache, Form};

/// One digest that an action result names, and what stands behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    /// A blob of any content.
    Blob(Digest),
    /// A blob that holds a tree, whose files count too.
    Tree(Digest),
    /// A blob that holds a directory, whose files and directories count too.
    Directory(Digest),
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
        let mut named = Vec::new();
        if read_result(result, function, &mut named).is_err() {
            return Ok(false);
        }
        let mut walk = Walk { cache: self, scope, function, tree_bytes: 0, directories: HashSet::new(), probes: 0 };
        while let Some(next) = named.pop() {
            if !walk.visit(next, &mut named).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether these bytes are an action result whose digests are of that function.
///
/// # Errors
/// `NotAnActionResult`, which says what is wrong.
pub(crate) fn check_result(bytes: &[u8], function: DigestFunction) -> Result<(), Error> {
    read_result(bytes, function, &mut Vec::new()).map_err(|Bad(why)| Error::NotAnActionResult(why))
}

/// One completeness check on its way.
struct Walk<'a> {
    cache: &'a Cache,
    scope: &'a Scope,
    function: DigestFunction,
    tree_bytes: u64,
    /// Directories that were seen, so that what is shared is read once and a chain cannot grow without end.
    directories: HashSet<[u8; 32]>,
    probes: u32,
}

impl Walk<'_> {
    /// Whether what is named is there; adds what stands behind it to `named`.
    async fn visit(&mut self, next: Named, named: &mut Vec<Named>) -> Result<bool, Error> {
        match next {
            Named::Blob(digest) => {
                self.rest_now_and_then().await;
                Ok(self.cache.has(&ArtifactKey::blob(self.scope, &digest)?).is_some())
            }
            Named::Tree(digest) => self.read(&digest, named, read_tree).await,
            Named::Directory(digest) if self.is_new(&digest) => {
                let within = self.directories.len() <= MAX_DIRECTORIES;
                Ok(within && self.read(&digest, named, read_directory_by_digest).await?)
            }
            Named::Directory(_) => Ok(true),
        }
    }

    fn is_new(&mut self, digest: &Digest) -> bool {
        let mut hash = [0; 32];
        let known = digest.hash().len().min(hash.len());
        hash[..known].copy_from_slice(&digest.hash()[..known]);
        self.directories.insert(hash)
    }

    /// Reads a blob that names others.
    async fn read(&mut self, digest: &Digest, named: &mut Vec<Named>, parse: Parse) -> Result<bool, Error> {
        let key = ArtifactKey::blob(self.scope, digest)?;
        let Some(presence) = self.cache.has(&key) else {
            return Ok(false);
        };
        self.tree_bytes += presence.length;
        if presence.length > MAX_TREE || self.tree_bytes > MAX_TREES {
            tracing::debug!(%digest, bytes = presence.length, "a tree is too large to be checked: answered as a miss");
            return Ok(false);
        }
        let _pass = self.cache.inner.trees.enter(presence.length).await;
        let Some(found) = self.cache.get_blob(&key, digest, Form::Identity).await? else {
            return Ok(false);
        };
        let message = found.body.collect().await?;
        Ok(parse(&message, self.function, named).is_ok())
    }

    async fn rest_now_and_then(&mut self) {
        self.probes = self.probes.wrapping_add(1);
        if self.probes.is_multiple_of(PROBES_BETWEEN_YIELDS) {
            self.cache.inner.runtime.yield_now().await;
        }
    }
}

/// Why a message is not what it should be.
#[derive(Debug)]
struct Bad(&'static str);

impl From<Malformed> for Bad {
    fn from(Malformed: Malformed) -> Bad {
        Bad("the bytes are no protocol buffer message")
    }
}

type Parse = fn(&[u8], DigestFunction, &mut Vec<Named>) -> Result<(), Bad>;

/// `build.bazel.remote.execution.v2.ActionResult`.
fn read_result(message: &[u8], function: DigestFunction, named: &mut Vec<Named>) -> Result<(), Bad> {
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            // output_files
            (2, Value::Bytes(file)) => {
                named.push(Named::Blob(required(file, 2, function, "an output file without a digest")?))
            }
            // output_directories
            (3, Value::Bytes(directory)) => read_output_directory(directory, function, named)?,
            // stdout_digest, stderr_digest
            (6 | 8, Value::Bytes(digest)) => named.extend(read_digest(digest, function)?.map(Named::Blob)),
            (2 | 3 | 6 | 8, _) => return Err(Bad("a field has another type than in an action result")),
            // exit_code
            (4, Value::Bytes(_) | Value::Fixed) => return Err(Bad("the exit code is no number")),
            // output_file_symlinks, output_symlinks, output_directory_symlinks, execution_metadata; stdout_raw, stderr_raw
            (5 | 7 | 9..=12, Value::Varint(_) | Value::Fixed) => {
                return Err(Bad("a field has another type than in an action result"));
            }
            // Symlinks and metadata are messages, if nothing that has to be there.
            (9..=12, Value::Bytes(message)) => walk_through(message)?,
            _ => {}
        }
    }
    Ok(())
}

fn walk_through(message: &[u8]) -> Result<(), Bad> {
    let mut fields = Fields::of(message);
    while fields.next()?.is_some() {}
    Ok(())
}

/// `OutputDirectory`: its tree, its root directory, or both.
fn read_output_directory(message: &[u8], function: DigestFunction, named: &mut Vec<Named>) -> Result<(), Bad> {
    let before = named.len();
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (3, Value::Bytes(digest)) => named.extend(read_digest(digest, function)?.map(Named::Tree)),
            (5, Value::Bytes(digest)) => named.extend(read_digest(digest, function)?.map(Named::Directory)),
            (3 | 5, _) => return Err(Bad("a digest is no message")),
            _ => {}
        }
    }
    if named.len() == before {
        return Err(Bad("an output directory without a digest"));
    }
    Ok(())
}

/// `Tree`: the files of its root and of all children. The children are in it, so their digests need not be there.
fn read_tree(message: &[u8], function: DigestFunction, named: &mut Vec<Named>) -> Result<(), Bad> {
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next()? {
        if let (1 | 2, Value::Bytes(directory)) = (number, value) {
            read_directory(directory, function, named, false)?;
        }
    }
    Ok(())
}

fn read_directory_by_digest(message: &[u8], function: DigestFunction, named: &mut Vec<Named>) -> Result<(), Bad> {
    read_directory(message, function, named, true)
}

/// `Directory`: its files, and its directories where they are found by digest.
fn read_directory(message: &[u8], function: DigestFunction, named: &mut Vec<Named>, descend: bool) -> Result<(), Bad> {
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Value::Bytes(file)) => named.push(Named::Blob(required(file, 2, function, "a file without a digest")?)),
            (2, Value::Bytes(directory)) if descend => {
                named.push(Named::Directory(required(directory, 2, function, "a directory without a digest")?));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The digest in field `at` of a message that must have one.
fn required(message: &[u8], at: u32, function: DigestFunction, missing: &'static str) -> Result<Digest, Bad> {
    let mut found = None;
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next()? {
        match value {
            Value::Bytes(digest) if number == at => found = read_digest(digest, function)?,
            _ if number == at => return Err(Bad("a digest is no message")),
            _ => {}
        }
    }
    found.ok_or(Bad(missing))
}

/// `Digest`; `None` for one that says nothing, which stands for no digest at all.
fn read_digest(message: &[u8], function: DigestFunction) -> Result<Option<Digest>, Bad> {
    let (mut hash, mut size) = (&[][..], 0);
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Value::Bytes(hex)) => hash = hex,
            (2, Value::Varint(bytes)) => size = bytes,
            (1 | 2, _) => return Err(Bad("a digest has fields of other types")),
            _ => {}
        }
    }
    if hash.is_empty() && size == 0 {
        return Ok(None);
    }
    // Negative sizes are huge ones on the wire.
    if i64::try_from(size).is_err() {
        return Err(Bad("a digest of negative size"));
    }
    Digest::from_hex(function, hash)
        .map(|digest| Some(digest.with_size(size)))
        .map_err(|_| Bad("a digest that is none"))
}

#[cfg(test)]
mod tests;
