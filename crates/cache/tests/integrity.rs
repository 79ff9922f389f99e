//! The cache over a real store: what is verified, what is vouched for, what is a miss.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::sync::Arc;

use bazel_remote_apis::build::bazel::remote::execution::v2 as reapi;
use bytes::Bytes;
use kura_cache::{
    ArtifactKey, Attributes, Body, Cache, Digest, DigestFunction, Error, Kind, Namespace, Probe, Scope, Stored, Tenant,
};
use kura_disk::real::RealDisk;
use kura_disk::{Runtime, TokioRuntime};
use kura_store::geometry::Geometry;
use kura_store::{Progress, Settings, Store};
use prost::Message;

const SHA256: DigestFunction = DigestFunction::Sha256;

struct Fixture {
    _directory: tempfile::TempDir,
    store: Store,
    cache: Cache,
    scope: Scope,
}

impl Fixture {
    async fn new() -> Fixture {
        let directory = tempfile::tempdir().unwrap();
        let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::current());
        let disk = Arc::new(RealDisk::new(directory.path()));
        let settings = Settings::new(Geometry::simulation(4 << 20));
        let store = Store::open(disk, Arc::clone(&runtime), settings, Arc::new(Progress::default())).await.unwrap();
        Fixture { _directory: directory, cache: Cache::new(store.clone(), runtime), store, scope: Scope::default() }
    }

    fn blob(&self, digest: &Digest) -> ArtifactKey {
        ArtifactKey::blob(&self.scope, digest).unwrap()
    }

    async fn put(&self, key: &ArtifactKey, body: &[u8], length: Option<u64>) -> Result<Stored, Error> {
        let mut upload = self.cache.put(key, Attributes::default(), length).await?;
        for piece in body.chunks(1000) {
            upload.write(Bytes::copy_from_slice(piece)).await?;
        }
        upload.commit().await
    }

    /// Stores a blob under its digest.
    async fn add(&self, body: &[u8]) -> Digest {
        let digest = Digest::of(SHA256, body);
        self.put(&self.blob(&digest), body, Some(body.len() as u64)).await.unwrap();
        digest
    }

    async fn get(&self, key: &ArtifactKey) -> Option<Vec<u8>> {
        let found = self.cache.get(key).await.unwrap()?;
        match found.body {
            Body::Whole(bytes) => Some(bytes.to_vec()),
            Body::Pieces(mut body) => {
                let mut bytes = Vec::new();
                while let Some(piece) = body.next().await.unwrap() {
                    bytes.extend_from_slice(&piece);
                }
                Some(bytes)
            }
        }
    }

    /// Stores a result, then tells whether it is served while each of `named` is missing, and while all are there.
    async fn is_served_only_with(&self, result: &reapi::ActionResult, named: &[(Digest, Vec<u8>)]) {
        let action = ArtifactKey::action(&self.scope, &Digest::of(SHA256, b"action")).unwrap();
        let encoded = result.encode_to_vec();
        self.put(&action, &encoded, Some(encoded.len() as u64)).await.unwrap();
        for (_, body) in named {
            self.add(body).await;
        }
        assert_eq!(self.get(&action).await.as_ref(), Some(&encoded), "all is there");
        for (digest, body) in named {
            assert!(self.cache.delete(&self.blob(digest)).await.unwrap());
            assert_eq!(self.get(&action).await, None, "{digest:?} is missing");
            self.add(body).await;
        }
        assert_eq!(self.get(&action).await, Some(encoded), "all is there again");
    }
}

fn spelled(digest: &Digest) -> Option<reapi::Digest> {
    Some(reapi::Digest { hash: digest.to_string(), size_bytes: digest.size().unwrap().try_into().unwrap() })
}

fn with_digest(body: &[u8]) -> (Digest, Vec<u8>) {
    (Digest::of(SHA256, body), body.to_vec())
}

fn directory(files: &[&Digest], directories: &[&Digest]) -> reapi::Directory {
    let file = |digest: &&Digest| reapi::FileNode { name: "f".into(), digest: spelled(digest), ..Default::default() };
    let child = |digest: &&Digest| reapi::DirectoryNode { name: "d".into(), digest: spelled(digest) };
    reapi::Directory {
        files: files.iter().map(file).collect(),
        directories: directories.iter().map(child).collect(),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_blob_is_stored_only_under_its_digest() {
    let fixture = Fixture::new().await;
    for length in [0_usize, 1, 5000, 100_000] {
        let body = vec![7; length];
        let wrong = fixture.blob(&Digest::of(SHA256, b"something else").with_size(length as u64));
        for declared in [Some(length as u64), None] {
            assert!(matches!(fixture.put(&wrong, &body, declared).await, Err(Error::DigestMismatch { .. })));
            assert!(fixture.cache.present(&wrong).await.unwrap().is_none() && fixture.get(&wrong).await.is_none());
        }
        let digest = fixture.add(&body).await;
        assert_eq!(fixture.get(&fixture.blob(&digest)).await, Some(body));
    }
}

#[tokio::test]
async fn a_blob_is_verified_in_every_digest_function() {
    let fixture = Fixture::new().await;
    let body = vec![3; 70_000];
    for function in DigestFunction::ALL {
        let digest = Digest::of(function, &body);
        let other = fixture.blob(&Digest::of(function, b"something else"));
        assert!(matches!(fixture.put(&other, &body, None).await, Err(Error::DigestMismatch { .. })), "{function:?}");
        assert!(
            fixture.cache.present(&fixture.blob(&digest)).await.unwrap().is_none(),
            "{function:?} shares nothing with the others"
        );
        assert!(!fixture.put(&fixture.blob(&digest), &body, None).await.unwrap().known);
        assert_eq!(fixture.get(&fixture.blob(&digest)).await.as_ref(), Some(&body), "{function:?}");
    }
}

#[tokio::test]
async fn one_probe_answers_for_blobs_of_every_function_and_size() {
    let fixture = Fixture::new().await;
    let there = DigestFunction::ALL.map(|function| Digest::of(function, b"there"));
    for digest in &there {
        fixture.put(&fixture.blob(digest), b"there", None).await.unwrap();
    }
    let mut probe = Probe::new(&fixture.cache, &fixture.scope);
    for digest in there {
        let length = async |probe: &mut Probe<'_>, digest| probe.find(&digest).await.unwrap().map(|it| it.length);
        let (absent, empty) = (Digest::of(digest.function(), b"one"), Digest::of(digest.function(), b""));
        assert_eq!(length(&mut probe, digest).await, Some(5));
        assert_eq!(length(&mut probe, digest.with_size(6)).await, None);
        assert_eq!(length(&mut probe, absent).await, None);
        assert_eq!(length(&mut probe, empty).await, Some(0));
    }
    let asked: Vec<Digest> = there
        .iter()
        .flat_map(|digest| [*digest, digest.with_size(6), Digest::of(digest.function(), b"one").with_size(3)])
        .chain(DigestFunction::ALL.map(|function| Digest::of(function, b"")))
        .collect();
    asked.iter().for_each(|digest| probe.ask(digest.function(), digest.hash(), digest.size().unwrap()).unwrap());
    let answers = probe.answers().await;
    assert_eq!(answers.len(), asked.len());
    for (digest, told) in asked.iter().zip(answers) {
        assert_eq!(told, (digest.size() != Some(0)).then(|| there.contains(digest)), "{digest:?}");
    }
}

#[tokio::test]
async fn a_blob_of_another_size_is_another_blob() {
    let fixture = Fixture::new().await;
    let digest = fixture.add(b"body").await;
    let other = fixture.blob(&digest.with_size(5));
    assert!(fixture.cache.present(&other).await.unwrap().is_none());
    assert_eq!(fixture.get(&other).await, None);
    assert!(matches!(fixture.put(&other, b"body", None).await, Err(Error::DigestMismatch { .. })));
    assert!(matches!(
        fixture.put(&other, b"body", Some(4)).await,
        Err(Error::LengthMismatch { declared: 5, received: 4 })
    ));
}

#[tokio::test]
async fn a_body_of_another_length_than_declared_is_refused() {
    let fixture = Fixture::new().await;
    let key = ArtifactKey::keyed(&fixture.scope, Kind::Gradle, b"key").unwrap();
    assert!(matches!(
        fixture.put(&key, b"body", Some(5)).await,
        Err(Error::LengthMismatch { declared: 5, received: 4 })
    ));
    assert!(matches!(
        fixture.put(&key, b"body", Some(3)).await,
        Err(Error::LengthMismatch { declared: 3, received: 4 })
    ));
    assert_eq!(fixture.get(&key).await, None);
}

#[tokio::test]
async fn a_blob_that_is_there_is_not_written_again() {
    let fixture = Fixture::new().await;
    let digest = fixture.add(&[1; 10_000]).await;
    let before = fixture.store.stats().bytes_written;
    let stored = fixture.put(&fixture.blob(&digest), &[1; 10_000], None).await.unwrap();
    assert!(stored.known);
    assert_eq!(fixture.store.stats().bytes_written, before);
}

#[tokio::test]
async fn the_last_writer_of_a_key_wins() {
    let fixture = Fixture::new().await;
    let key = ArtifactKey::keyed(&fixture.scope, Kind::Http, b"key").unwrap();
    let mut slow = fixture.cache.put(&key, Attributes::default(), Some(4)).await.unwrap();
    slow.write(Bytes::from_static(b"slow")).await.unwrap();
    let first = fixture.put(&key, b"quick", None).await.unwrap();
    assert_eq!(fixture.get(&key).await.unwrap(), b"quick");
    let second = slow.commit().await.unwrap();
    assert!(second.version > first.version);
    assert_eq!(fixture.get(&key).await.unwrap(), b"slow");
}

#[tokio::test]
async fn kinds_tenants_and_namespaces_are_apart_and_a_clean_empties_one_namespace() {
    let fixture = Fixture::new().await;
    let scope = |tenant: &'static str, namespace: &'static str| Scope {
        tenant: Tenant::parse(tenant).unwrap(),
        namespace: Namespace::parse(namespace).unwrap(),
        overlay: None,
    };
    let places = [
        (scope("a", "x"), Kind::Http),
        (scope("a", "x"), Kind::Gradle),
        (scope("a", "y"), Kind::Http),
        (scope("b", "x"), Kind::Http),
    ];
    let keys = places.map(|(scope, kind)| ArtifactKey::keyed(&scope, kind, b"key").unwrap());
    for (at, key) in keys.iter().enumerate() {
        fixture.put(key, &[u8::try_from(at).unwrap()], None).await.unwrap();
    }
    for (at, key) in keys.iter().enumerate() {
        assert_eq!(fixture.get(key).await, Some(vec![u8::try_from(at).unwrap()]));
    }
    fixture.cache.clean(&scope("a", "x")).await.unwrap();
    let mut left = Vec::new();
    for key in &keys {
        left.push(fixture.get(key).await.is_some());
    }
    assert_eq!(left, [false, false, true, true]);
    fixture.put(&keys[0], b"again", None).await.unwrap();
    assert_eq!(fixture.get(&keys[0]).await.unwrap(), b"again");
}

#[tokio::test]
async fn a_result_is_served_only_with_its_files_and_its_output() {
    let fixture = Fixture::new().await;
    let named = [with_digest(b"file"), with_digest(b"said"), with_digest(b"complained")];
    let result = reapi::ActionResult {
        output_files: vec![reapi::OutputFile { path: "o".into(), digest: spelled(&named[0].0), ..Default::default() }],
        stdout_digest: spelled(&named[1].0),
        stderr_digest: spelled(&named[2].0),
        ..Default::default()
    };
    fixture.is_served_only_with(&result, &named).await;
}

#[tokio::test]
async fn a_result_is_served_only_with_the_files_of_its_trees() {
    let fixture = Fixture::new().await;
    let (in_root, in_child) = (with_digest(b"in the root"), with_digest(&[9; 70_000]));
    let child = directory(&[&in_child.0], &[]);
    let root = directory(&[&in_root.0], &[&Digest::of(SHA256, &child.encode_to_vec())]);
    let tree = with_digest(&reapi::Tree { root: Some(root), children: vec![child] }.encode_to_vec());
    let result = reapi::ActionResult {
        output_directories: vec![reapi::OutputDirectory { tree_digest: spelled(&tree.0), ..Default::default() }],
        ..Default::default()
    };
    // The child directory is in the tree: it need not be a blob.
    fixture.is_served_only_with(&result, &[tree, in_root, in_child]).await;
}

#[tokio::test]
async fn a_result_is_served_only_with_what_its_root_directory_leads_to() {
    let fixture = Fixture::new().await;
    let file = with_digest(b"deep");
    let mut chain = vec![with_digest(&directory(&[&file.0], &[]).encode_to_vec())];
    for _ in 0..200 {
        // Each is named twice, and read once.
        let below = &chain.last().unwrap().0;
        chain.push(with_digest(&directory(&[], &[below, below]).encode_to_vec()));
    }
    let root = spelled(&chain.last().unwrap().0);
    let result = reapi::ActionResult {
        output_directories: vec![reapi::OutputDirectory { root_directory_digest: root, ..Default::default() }],
        ..Default::default()
    };
    let named = [chain.remove(200), chain.remove(100), chain.remove(0), file];
    for (_, body) in &chain {
        fixture.add(body).await;
    }
    fixture.is_served_only_with(&result, &named).await;
}

#[tokio::test]
async fn a_tree_that_is_none_makes_its_result_a_miss() {
    let fixture = Fixture::new().await;
    let tree = fixture.add(b"this is no tree").await;
    let result = reapi::ActionResult {
        output_directories: vec![reapi::OutputDirectory { tree_digest: spelled(&tree), ..Default::default() }],
        ..Default::default()
    };
    let action = ArtifactKey::action(&fixture.scope, &Digest::of(SHA256, b"action")).unwrap();
    fixture.put(&action, &result.encode_to_vec(), None).await.unwrap();
    assert_eq!(fixture.get(&action).await, None);
}

#[tokio::test]
async fn empty_outputs_need_not_be_stored() {
    let fixture = Fixture::new().await;
    let empty = Digest::of(SHA256, b"");
    let result = reapi::ActionResult {
        output_files: vec![reapi::OutputFile { path: "o".into(), digest: spelled(&empty), ..Default::default() }],
        stdout_digest: spelled(&empty),
        ..Default::default()
    };
    fixture.is_served_only_with(&result, &[]).await;
    assert_eq!(fixture.store.stats().index_entries, 1, "the result alone");
}

#[tokio::test]
async fn a_probe_writes_and_reads_back() {
    let fixture = Fixture::new().await;
    for nonce in 0..3 {
        fixture.cache.probe(nonce).await.unwrap();
    }
    fixture.store.shutdown().await.unwrap();
    assert!(matches!(fixture.cache.probe(4).await, Err(Error::Closed)));
}
