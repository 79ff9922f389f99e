//! Completeness of an action result over blobs that name each other: each any of those before it, as often as the bytes say; some of them absent,
//! some no messages at all. A result is complete if all that it leads to is there, and finding out comes to an end.

use std::collections::HashSet;
use std::sync::Arc;

use bazel_remote_apis::build::bazel::remote::execution::v2 as reapi;
use bytes::Bytes;
use kura_disk::sim::{Crash, World};
use kura_disk::{Disk, Runtime};
use kura_store::geometry::Geometry;
use kura_store::{Progress, Settings, Store};
use prost::Message as _;

use crate::{ArtifactKey, Attributes, Cache, Digest, DigestFunction, Scope};

const SHA256: DigestFunction = DigestFunction::Sha256;

const BUDGET: u64 = 10 * (64 << 10);

/// Enough for every shape, few enough to store them all.
const MAX_BLOBS: usize = 24;

/// Said by the first byte of a blob, whose lowest two bits are its shape and whose highest four count the names that follow.
const ABSENT: u8 = 1 << 2;
const MALFORMED: u8 = 1 << 3;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    File,
    Directory,
    Tree,
}

struct Blob {
    shape: Shape,
    content: Vec<u8>,
    /// Those that it names, by position.
    names: Vec<usize>,
    is_malformed: bool,
    is_stored: bool,
}

pub(super) fn target(bytes: &[u8]) {
    let blobs = Blobs::new(bytes);
    let Some(last) = blobs.0.last() else { return };
    let (result, expected) = (result(last), blobs.is_complete());
    let mut world = World::new(1);
    let (disk, runtime) = (world.disk(), world.runtime());
    disk.set_capacity(64 << 20);
    let found = world.block_on(is_complete(disk, runtime, &blobs, &result));
    // What still runs holds the machine in memory.
    world.crash(Crash::Process);
    assert_eq!(found, expected);
}

/// The last of them is what the result names.
struct Blobs(Vec<Blob>);

impl Blobs {
    fn new(mut bytes: &[u8]) -> Blobs {
        let mut blobs: Vec<Blob> = Vec::new();
        while blobs.len() < MAX_BLOBS
            && let [flags, rest @ ..] = bytes
        {
            let (names, rest) = rest.split_at(rest.len().min(usize::from(flags >> 4)));
            bytes = rest;
            let shape = [Shape::File, Shape::Directory, Shape::Tree, Shape::Directory][usize::from(flags & 3)];
            let before = if blobs.is_empty() { &[] } else { names };
            let names_of: Vec<usize> = before.iter().map(|at| usize::from(*at) % blobs.len()).collect();
            let named: Vec<&Blob> = names_of.iter().map(|at| &blobs[*at]).collect();
            let mut content = match shape {
                Shape::File => names.to_vec(),
                Shape::Directory => directory(&named).encode_to_vec(),
                Shape::Tree => tree(&named).encode_to_vec(),
            };
            let is_malformed = flags & MALFORMED != 0;
            if is_malformed {
                content.push(0);
            }
            blobs.push(Blob { shape, content, names: names_of, is_malformed, is_stored: flags & ABSENT == 0 });
        }
        Blobs(blobs)
    }

    /// Whether the last one is there, with all that it leads to.
    fn is_complete(&self) -> bool {
        let stored: HashSet<&[u8]> = self.0.iter().filter(|blob| blob.is_stored).map(|blob| &*blob.content).collect();
        let is_there = |blob: &Blob| blob.content.is_empty() || stored.contains(&*blob.content);
        let mut whole: Vec<bool> = Vec::new();
        for blob in &self.0 {
            let named = || blob.names.iter().map(|at| (&self.0[*at], whole[*at]));
            let is_whole = match blob.shape {
                Shape::File => true,
                Shape::Directory => {
                    named().all(|(named, whole)| if named.shape == Shape::Directory { whole } else { is_there(named) })
                }
                Shape::Tree => self.is_whole_tree(blob, is_there),
            };
            whole.push(is_there(blob) && is_whole && (blob.shape == Shape::File || !blob.is_malformed));
        }
        whole.last().is_some_and(|whole| *whole)
    }

    /// Whether the files of a tree's directories are there, and their directories in it.
    fn is_whole_tree(&self, tree: &Blob, is_there: impl Fn(&Blob) -> bool) -> bool {
        let named = || tree.names.iter().map(|at| &self.0[*at]);
        let children: Vec<&Blob> = named().filter(|blob| blob.is_child()).collect();
        let is_known =
            |blob: &Blob| blob.content.is_empty() || children.iter().any(|child| child.content == blob.content);
        let of_children = children.iter().flat_map(|child| child.names.iter().map(|at| &self.0[*at]));
        named()
            .chain(of_children)
            .all(|blob| if blob.shape == Shape::Directory { is_known(blob) } else { is_there(blob) })
    }
}

impl Blob {
    fn is_child(&self) -> bool {
        self.shape == Shape::Directory && !self.is_malformed
    }

    fn digest(&self) -> Option<reapi::Digest> {
        let digest = Digest::of(SHA256, &self.content);
        Some(reapi::Digest { hash: digest.to_string(), size_bytes: self.content.len().try_into().unwrap() })
    }
}

fn directory(named: &[&Blob]) -> reapi::Directory {
    let mut directory = reapi::Directory::default();
    for blob in named {
        let digest = blob.digest();
        if blob.shape == Shape::Directory {
            directory.directories.push(reapi::DirectoryNode { name: String::new(), digest });
        } else {
            directory.files.push(reapi::FileNode { digest, ..Default::default() });
        }
    }
    directory
}

/// Its root has all that is named; its children are those directories that are messages.
fn tree(named: &[&Blob]) -> reapi::Tree {
    let children = named.iter().filter(|blob| blob.is_child());
    let children = children.map(|blob| reapi::Directory::decode(&*blob.content).unwrap()).collect();
    reapi::Tree { root: Some(directory(named)), children }
}

fn result(blob: &Blob) -> Vec<u8> {
    let mut result = reapi::ActionResult::default();
    let directory = reapi::OutputDirectory::default();
    match blob.shape {
        Shape::File => result.output_files.push(reapi::OutputFile { digest: blob.digest(), ..Default::default() }),
        Shape::Directory => {
            result
                .output_directories
                .push(reapi::OutputDirectory { root_directory_digest: blob.digest(), ..directory });
        }
        Shape::Tree => {
            result.output_directories.push(reapi::OutputDirectory { tree_digest: blob.digest(), ..directory });
        }
    }
    result.encode_to_vec()
}

async fn is_complete(disk: Arc<dyn Disk>, runtime: Arc<dyn Runtime>, blobs: &Blobs, result: &[u8]) -> bool {
    let settings = Settings::new(Geometry::simulation(BUDGET));
    let store = Store::open(disk, Arc::clone(&runtime), settings, Arc::new(Progress::default())).await.unwrap();
    let (cache, scope) = (Cache::new(store, runtime), Scope::default());
    for blob in blobs.0.iter().filter(|blob| blob.is_stored) {
        let digest = Digest::of(SHA256, &blob.content);
        let key = ArtifactKey::blob(&scope, &digest).unwrap();
        let mut upload = cache.put(&key, Attributes::default(), digest.size()).await.unwrap();
        upload.write(Bytes::copy_from_slice(&blob.content)).await.unwrap();
        upload.commit().await.unwrap();
    }
    cache.is_complete(&scope, SHA256, result).await.unwrap()
}
