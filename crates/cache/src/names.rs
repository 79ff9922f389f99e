//! What the messages of the Remote Execution API name: the digests in action results, trees and directories.
//! Not here: whether what is named is there (`action`), and how a message lies on the wire (`wire`).

use std::collections::HashSet;

use crate::digest::{Digest, DigestFunction};
use crate::wire::{Fields, Malformed, Value};

/// One digest that a message names, and what stands behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    /// A blob of any content.
    Blob(Digest),
    /// A blob that holds a tree, whose files count too.
    Tree(Digest),
    /// A blob that holds a directory, whose files and directories count too.
    Directory(Digest),
}

/// What a message may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Message {
    ActionResult,
    Tree,
    /// A directory whose directories are found by their digests.
    Directory,
}

/// All that one message names, in order. Packed, since it may be many: what stands behind it (1), size (8), hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    function: DigestFunction,
    bytes: Vec<u8>,
}

const BLOB: u8 = 0;
const TREE: u8 = 1;
const DIRECTORY: u8 = 2;

impl Names {
    /// # Errors
    /// Says why the bytes are no such message, or one whose digests are not of that function.
    pub(crate) fn read(message: Message, bytes: &[u8], function: DigestFunction) -> Result<Names, &'static str> {
        let mut named = Names { function, bytes: Vec::new() };
        let read = match message {
            Message::ActionResult => read_result(bytes, &mut named),
            Message::Tree => read_tree(bytes, &mut named),
            Message::Directory => read_directory(bytes, &mut named, |named, child| named.push(Named::Directory(child))),
        };
        named.bytes.shrink_to_fit();
        read.map(|()| named).map_err(|Bad(why)| why)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Named> {
        self.bytes.chunks_exact(9 + self.function.hash_len()).map(|entry| {
            let (fixed, hash) = entry.split_at(9);
            let size = fixed[1..].try_into().map_or(0, u64::from_le_bytes);
            let digest = Digest::from_hash(self.function, hash).with_size(size);
            match fixed[0] {
                BLOB => Named::Blob(digest),
                TREE => Named::Tree(digest),
                _ => Named::Directory(digest),
            }
        })
    }

    /// Bytes of memory that it holds.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    fn push(&mut self, named: Named) {
        let (behind, digest) = match named {
            Named::Blob(digest) => (BLOB, digest),
            Named::Tree(digest) => (TREE, digest),
            Named::Directory(digest) => (DIRECTORY, digest),
        };
        self.bytes.push(behind);
        self.bytes.extend(digest.size().unwrap_or(0).to_le_bytes());
        self.bytes.extend(digest.hash());
    }

    fn push_some(&mut self, what: fn(Digest) -> Named, digest: Option<Digest>) {
        if let Some(digest) = digest {
            self.push(what(digest));
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

/// `build.bazel.remote.execution.v2.ActionResult`.
fn read_result(message: &[u8], named: &mut Names) -> Result<(), Bad> {
    let (mut stdout, mut stderr) = (Spelled::default(), Spelled::default());
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            // output_files
            (2, Value::Bytes(file)) => {
                let file = required(file, 2, named.function, "an output file without a digest")?;
                named.push(Named::Blob(file));
            }
            // output_directories
            (3, Value::Bytes(directory)) => read_output_directory(directory, named)?,
            // stdout_digest, stderr_digest
            (6, Value::Bytes(digest)) => stdout.read(digest)?,
            (8, Value::Bytes(digest)) => stderr.read(digest)?,
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
    named.push_some(Named::Blob, stdout.digest(named.function)?);
    named.push_some(Named::Blob, stderr.digest(named.function)?);
    Ok(())
}

fn walk_through(message: &[u8]) -> Result<(), Bad> {
    let mut fields = Fields::of(message);
    while fields.next()?.is_some() {}
    Ok(())
}

/// `OutputDirectory`: its tree, its root directory, or both.
fn read_output_directory(message: &[u8], named: &mut Names) -> Result<(), Bad> {
    let (mut tree, mut root) = (Spelled::default(), Spelled::default());
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (3, Value::Bytes(digest)) => tree.read(digest)?,
            (5, Value::Bytes(digest)) => root.read(digest)?,
            (3 | 5, _) => return Err(Bad("a digest is no message")),
            _ => {}
        }
    }
    let (tree, root) = (tree.digest(named.function)?, root.digest(named.function)?);
    if tree.or(root).is_none() {
        return Err(Bad("an output directory without a digest"));
    }
    named.push_some(Named::Tree, tree);
    named.push_some(Named::Directory, root);
    Ok(())
}

/// `Tree`: the files of its root and of all children. The children are in it, each that a directory refers to, so they need not be there as blobs.
fn read_tree(message: &[u8], named: &mut Names) -> Result<(), Bad> {
    let (mut children, mut referred) = (HashSet::new(), Vec::new());
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next()? {
        let (1 | 2, Value::Bytes(directory)) = (number, value) else { continue };
        if number == 2 {
            children.insert(Digest::of(named.function, directory).hash().to_vec());
        }
        read_directory(directory, named, |_, child| referred.push(child))?;
    }
    let lacks = |child: &Digest| !child.is_empty_blob() && !children.contains(child.hash());
    if referred.iter().any(lacks) { Err(Bad("a tree that lacks one of its directories")) } else { Ok(()) }
}

/// `Directory`: its files, and its directories, each handed to `child`.
fn read_directory(message: &[u8], named: &mut Names, mut child: impl FnMut(&mut Names, Digest)) -> Result<(), Bad> {
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Value::Bytes(file)) => {
                let file = required(file, 2, named.function, "a file without a digest")?;
                named.push(Named::Blob(file));
            }
            (2, Value::Bytes(directory)) => {
                let directory = required(directory, 2, named.function, "a directory without a digest")?;
                child(named, directory);
            }
            _ => {}
        }
    }
    Ok(())
}

/// The digest in field `at` of a message that must have one.
fn required(message: &[u8], at: u32, function: DigestFunction, missing: &'static str) -> Result<Digest, Bad> {
    let mut found = Spelled::default();
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next()? {
        match value {
            Value::Bytes(digest) if number == at => found.read(digest)?,
            _ if number == at => return Err(Bad("a digest is no message")),
            _ => {}
        }
    }
    found.digest(function)?.ok_or(Bad(missing))
}

/// A field that holds a `Digest`. Where it stands more than once, the messages in it are one, as everyone reads protocol buffers.
#[derive(Default)]
struct Spelled<'a> {
    hash: &'a [u8],
    size: u64,
}

impl<'a> Spelled<'a> {
    fn read(&mut self, message: &'a [u8]) -> Result<(), Bad> {
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.next()? {
            match (number, value) {
                (1, Value::Bytes(hex)) => self.hash = hex,
                (2, Value::Varint(bytes)) => self.size = bytes,
                (1 | 2, _) => return Err(Bad("a digest has fields of other types")),
                _ => {}
            }
        }
        Ok(())
    }

    /// `None` for one that says nothing, which stands for no digest at all.
    fn digest(&self, function: DigestFunction) -> Result<Option<Digest>, Bad> {
        if self.hash.is_empty() && self.size == 0 {
            return Ok(None);
        }
        // Negative sizes are huge ones on the wire.
        if i64::try_from(self.size).is_err() {
            return Err(Bad("a digest of negative size"));
        }
        Digest::from_hex(function, self.hash)
            .map(|digest| Some(digest.with_size(self.size)))
            .map_err(|_| Bad("a digest that is none"))
    }
}

#[cfg(test)]
mod tests;
