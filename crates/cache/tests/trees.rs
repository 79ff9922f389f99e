//! Trees are read once and remembered, and what they name is asked for each time.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::collections::BTreeSet;

use bazel_remote_apis::build::bazel::remote::execution::v2 as reapi;
use kura_cache::Digest;
use proptest::prelude::*;
use prost::Message;
use support::{Life, SHA256, live};

fn spelled(digest: &Digest) -> Option<reapi::Digest> {
    Some(reapi::Digest { hash: digest.to_string(), size_bytes: digest.size().unwrap().try_into().unwrap() })
}

fn directory(files: &[Vec<u8>], directories: &[Vec<u8>]) -> Vec<u8> {
    let digest = |body: &Vec<u8>| spelled(&Digest::of(SHA256, body));
    let file = |body: &Vec<u8>| reapi::FileNode { name: "f".into(), digest: digest(body), ..Default::default() };
    let child = |body: &Vec<u8>| reapi::DirectoryNode { digest: digest(body), ..Default::default() };
    let (files, directories) = (files.iter().map(file).collect(), directories.iter().map(child).collect());
    reapi::Directory { files, directories, ..Default::default() }.encode_to_vec()
}

fn tree(files: &[Vec<u8>]) -> Vec<u8> {
    let root = reapi::Directory::decode(&directory(files, &[])[..]).unwrap();
    reapi::Tree { root: Some(root), children: vec![] }.encode_to_vec()
}

fn result(tree: Option<&[u8]>, root: Option<&[u8]>) -> Vec<u8> {
    let digest = |body: &[u8]| spelled(&Digest::of(SHA256, body)).unwrap();
    let directory = reapi::OutputDirectory {
        tree_digest: tree.map(digest),
        root_directory_digest: root.map(digest),
        ..Default::default()
    };
    reapi::ActionResult { output_directories: vec![directory], ..Default::default() }.encode_to_vec()
}

async fn is_complete(life: &Life, result: &[u8]) -> bool {
    life.cache.is_complete(&life.scope, SHA256, result).await.unwrap()
}

#[test]
fn a_tree_is_read_once() {
    live(async |life| {
        let files = [b"one".to_vec(), vec![2; 70_000]];
        let (tree, below) = (tree(&files), directory(&files, &[]));
        let root = directory(&[], std::slice::from_ref(&below));
        let result = result(Some(&tree), Some(&root));
        for body in [&files[0], &files[1], &tree, &below, &root] {
            assert!(!is_complete(&life, &result).await);
            life.add(body).await;
        }
        assert!(is_complete(&life, &result).await);
        life.fail_reads();
        assert!(is_complete(&life, &result).await, "from memory");
        life.delete(&Digest::of(SHA256, &files[1])).await;
        assert!(!is_complete(&life, &result).await, "what it names is asked for");
        life.add(&files[1]).await;
        assert!(is_complete(&life, &result).await);
        for body in [&tree, &below, &root] {
            life.delete(&Digest::of(SHA256, body)).await;
            assert!(!is_complete(&life, &result).await, "what is remembered is not there");
            life.add(body).await;
            assert!(is_complete(&life, &result).await);
        }
        life.cache.clean(&life.scope).await.unwrap();
        assert!(!is_complete(&life, &result).await);
    });
}

#[test]
fn a_blob_that_was_read_as_a_directory_is_no_tree_for_that() {
    live(async |life| {
        let root = directory(&[b"file".to_vec()], &[]);
        life.add(b"file").await;
        life.add(&root).await;
        for _ in 0..2 {
            assert!(is_complete(&life, &result(None, Some(&root))).await);
            assert!(!is_complete(&life, &result(Some(&root), None)).await);
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_result_is_complete_exactly_while_all_is_there(
        changes in prop::collection::vec((0..8_usize, any::<bool>()), 1..40),
    ) {
        live(async |life| {
            let files: Vec<Vec<u8>> = (0..4).map(|at| vec![at; 10 + 1000 * usize::from(at)]).collect();
            let tree = tree(&files[..2]);
            let below = directory(&files[2..3], &[]);
            let middle = directory(&files[1..2], std::slice::from_ref(&below));
            let root = directory(&files[3..], &[below.clone(), middle.clone()]);
            let result = result(Some(&tree), Some(&root));
            let bodies: Vec<&Vec<u8>> = files.iter().chain([&tree, &below, &middle, &root]).collect();
            let mut there = BTreeSet::new();
            for body in &bodies {
                life.add(body).await;
            }
            there.extend(0..bodies.len());
            for (at, add) in changes {
                if add {
                    life.add(bodies[at]).await;
                    there.insert(at);
                } else if there.remove(&at) {
                    life.delete(&Digest::of(SHA256, bodies[at])).await;
                }
                prop_assert_eq!(is_complete(&life, &result).await, there.len() == bodies.len());
            }
            Ok(())
        })?;
    }
}
