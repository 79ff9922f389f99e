//! What action results, trees and directories name: the same as the generated types find in them. The first byte chooses the digest function.

use bazel_remote_apis::build::bazel::remote::execution::v2 as reapi;

use super::function;
use crate::digest::{Digest, DigestFunction};
use crate::names::{Message, Named, Names};

pub(super) fn target(bytes: &[u8]) {
    let Some((choice, message)) = bytes.split_first() else { return };
    let function = function(*choice);
    agree::<reapi::ActionResult>(Message::ActionResult, message, function, Reader::result);
    agree::<reapi::Directory>(Message::Directory, message, function, Reader::directory);
    agree::<reapi::Tree>(Message::Tree, message, function, Reader::tree);
}

/// `read` finds what a message of the generated type names; nothing, if it lacks what it must have.
fn agree<M: prost::Message + Default>(
    kind: Message,
    message: &[u8],
    function: DigestFunction,
    read: fn(&mut Reader, M) -> Option<()>,
) {
    let ours = Names::read(kind, message, function);
    if let Ok(names) = &ours {
        assert!(names.memory() <= message.len() * (9 + function.hash_len()), "no more than the message justifies");
    }
    let Ok(theirs) = M::decode(message) else { return };
    let plain = theirs.encode_to_vec();
    let mut reader = Reader { function, named: Vec::new() };
    let theirs = read(&mut reader, theirs).map(|()| sorted(reader.named));
    let sorted = |names: Names| sorted(names.iter().collect());
    if let Ok(ours) = ours {
        assert_eq!(Some(sorted(ours)), theirs, "{kind:?}");
    }
    // What a tree lacks follows from the bytes of its directories.
    let ours = Names::read(kind, &plain, function).ok().map(sorted);
    if kind != Message::Tree || ours.is_some() {
        assert_eq!(ours, theirs, "{kind:?} without what nobody writes, such as groups");
    }
}

fn sorted(mut named: Vec<Named>) -> Vec<Named> {
    named.sort_by_key(|named| format!("{named:?}"));
    named
}

/// Finds in messages of the generated types what they name.
struct Reader {
    function: DigestFunction,
    named: Vec<Named>,
}

impl Reader {
    fn result(&mut self, result: reapi::ActionResult) -> Option<()> {
        for file in result.output_files {
            self.required(Named::Blob, file.digest)?;
        }
        for directory in result.output_directories {
            let before = self.named.len();
            self.optional(Named::Tree, directory.tree_digest)?;
            self.optional(Named::Directory, directory.root_directory_digest)?;
            (self.named.len() > before).then_some(())?;
        }
        self.optional(Named::Blob, result.stdout_digest)?;
        self.optional(Named::Blob, result.stderr_digest)
    }

    fn directory(&mut self, directory: reapi::Directory) -> Option<()> {
        self.files(directory.files)?;
        for child in directory.directories {
            self.required(Named::Directory, child.digest)?;
        }
        Some(())
    }

    fn tree(&mut self, tree: reapi::Tree) -> Option<()> {
        for directory in tree.root.into_iter().chain(tree.children) {
            self.files(directory.files)?;
        }
        Some(())
    }

    fn files(&mut self, files: Vec<reapi::FileNode>) -> Option<()> {
        files.into_iter().try_for_each(|file| self.required(Named::Blob, file.digest))
    }

    fn required(&mut self, what: fn(Digest) -> Named, digest: Option<reapi::Digest>) -> Option<()> {
        let before = self.named.len();
        self.optional(what, digest)?;
        (self.named.len() > before).then_some(())
    }

    /// Nothing for what is no digest.
    fn optional(&mut self, what: fn(Digest) -> Named, digest: Option<reapi::Digest>) -> Option<()> {
        let said = digest.filter(|digest| *digest != reapi::Digest::default());
        let Some(digest) = said else { return Some(()) };
        let size = u64::try_from(digest.size_bytes).ok()?;
        self.named.push(what(Digest::from_hex(self.function, digest.hash.as_bytes()).ok()?.with_size(size)));
        Some(())
    }
}
