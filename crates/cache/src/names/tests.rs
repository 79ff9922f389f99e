//! What is read out of a message is what the official messages put in.

use bazel_remote_apis::build::bazel::remote::execution::v2 as reapi;
use proptest::prelude::*;
use prost::Message as _;

use super::*;

const SHA256: DigestFunction = DigestFunction::Sha256;

fn digest(seed: u64) -> Digest {
    let bytes = seed.to_le_bytes();
    Digest::of(SHA256, &bytes).with_size(seed % 1_000_000)
}

fn spelled(digest: &Digest) -> Option<reapi::Digest> {
    let size_bytes = digest.size().unwrap().try_into().unwrap();
    Some(reapi::Digest { hash: digest.to_string(), size_bytes })
}

fn file(seed: u64) -> reapi::OutputFile {
    reapi::OutputFile { path: format!("out/{seed}"), digest: spelled(&digest(seed)), ..Default::default() }
}

fn named(message: &[u8]) -> Result<Vec<Named>, &'static str> {
    Names::read(super::Message::ActionResult, message, SHA256).map(|names| names.iter().collect())
}

fn sorted(mut named: Vec<Named>) -> Vec<String> {
    named.sort_by_key(|one| format!("{one:?}"));
    named.iter().map(|one| format!("{one:?}")).collect()
}

#[test]
fn an_empty_result_names_nothing() {
    assert_eq!(named(&[]), Ok(vec![]));
    let failed = reapi::ActionResult { exit_code: -1, stdout_raw: b"said".to_vec(), ..Default::default() };
    assert_eq!(named(&failed.encode_to_vec()), Ok(vec![]));
}

#[test]
fn an_output_without_a_digest_is_no_result() {
    let file = reapi::OutputFile { path: "out".into(), ..Default::default() };
    let result = reapi::ActionResult { output_files: vec![file], ..Default::default() };
    assert!(named(&result.encode_to_vec()).is_err());
    let directory = reapi::OutputDirectory { path: "out".into(), ..Default::default() };
    let result = reapi::ActionResult { output_directories: vec![directory], ..Default::default() };
    assert!(named(&result.encode_to_vec()).is_err());
}

#[test]
fn digests_that_are_none_are_refused() {
    let with = |hash: &str, size_bytes| {
        let stdout = reapi::Digest { hash: hash.into(), size_bytes };
        named(&reapi::ActionResult { stdout_digest: Some(stdout), ..Default::default() }.encode_to_vec())
    };
    let good = digest(1).to_string();
    assert_eq!(with(&good, 5).map(|named| named.len()), Ok(1));
    assert_eq!(with("", 0), Ok(vec![]), "an empty digest stands for none");
    assert!(with(&good, -1).is_err());
    assert!(with(&good.to_uppercase(), 5).is_err());
    assert!(with(&good[1..], 5).is_err());
    assert!(with("", 5).is_err());
}

#[test]
fn text_is_no_result() {
    for text in ["cCaC and then some", "{\"exitCode\":0}", "hello", "\n\0\0", "<html></html>"] {
        assert!(named(text.as_bytes()).is_err(), "{text:?}");
    }
}

proptest! {
    #[test]
    fn everything_that_a_result_names_is_found(
        files in prop::collection::vec(any::<u64>(), 0..8),
        trees in prop::collection::vec((any::<u64>(), any::<Option<u64>>()), 0..4),
        stdout in any::<Option<u64>>(),
        stderr in any::<Option<u64>>(),
        exit_code in any::<i32>(),
        target in ".{0,20}",
    ) {
        let directory = |(tree, root): &(u64, Option<u64>)| reapi::OutputDirectory {
            path: "dir".into(),
            tree_digest: spelled(&digest(*tree)),
            root_directory_digest: root.and_then(|root| spelled(&digest(root))),
            ..Default::default()
        };
        let link = reapi::OutputSymlink { path: "link".into(), target, ..Default::default() };
        let result = reapi::ActionResult {
            output_files: files.iter().map(|seed| file(*seed)).collect(),
            output_directories: trees.iter().map(directory).collect(),
            output_symlinks: vec![link],
            stdout_digest: stdout.and_then(|seed| spelled(&digest(seed))),
            stderr_digest: stderr.and_then(|seed| spelled(&digest(seed))),
            exit_code,
            execution_metadata: Some(reapi::ExecutedActionMetadata { worker: "w".into(), ..Default::default() }),
            ..Default::default()
        };
        let mut expected: Vec<Named> = files.iter().map(|seed| Named::Blob(digest(*seed))).collect();
        expected.extend(trees.iter().map(|(tree, _)| Named::Tree(digest(*tree))));
        expected.extend(trees.iter().filter_map(|(_, root)| *root).map(|root| Named::Directory(digest(root))));
        expected.extend([stdout, stderr].into_iter().flatten().map(|seed| Named::Blob(digest(seed))));
        prop_assert_eq!(sorted(named(&result.encode_to_vec()).unwrap()), sorted(expected));
    }

    #[test]
    fn arbitrary_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        use super::Message::{ActionResult, Directory, Tree};
        for message in [ActionResult, Tree, Directory] {
            if let Ok(names) = Names::read(message, &bytes, SHA256) {
                prop_assert!(names.iter().count() <= bytes.len());
            }
        }
    }
}

#[test]
fn a_tree_that_lacks_a_directory_is_none() {
    let child = reapi::Directory {
        files: vec![reapi::FileNode { digest: spelled(&digest(1)), ..Default::default() }],
        ..Default::default()
    };
    let node = |directory: &reapi::Directory| reapi::DirectoryNode {
        name: "child".into(),
        digest: spelled(&Digest::of(SHA256, &directory.encode_to_vec())),
    };
    let empty = reapi::Directory::default();
    let root = reapi::Directory { directories: vec![node(&child), node(&empty)], ..Default::default() };
    let read = |children| {
        let tree = reapi::Tree { root: Some(root.clone()), children };
        Names::read(super::Message::Tree, &tree.encode_to_vec(), SHA256).map(|names| names.iter().collect::<Vec<_>>())
    };
    assert_eq!(read(vec![child]), Ok(vec![Named::Blob(digest(1))]), "the empty directory needs no mention");
    assert!(read(vec![]).is_err());
    assert!(read(vec![empty]).is_err());
}
