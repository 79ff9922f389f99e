//! What clients store: each thing is made again from its number.

use bazel_remote_apis::build::bazel::remote::execution::v2 as reapi;
use kura_cache::Digest;
use prost::Message;

use crate::support::{SHA256, compressible, noise};

/// Blobs that a client may store.
pub(crate) const BLOBS: usize = 9;

/// Actions, artifacts in parts, and blobs that are made of others.
pub(crate) const OTHERS: usize = 3;

/// Of those that lie beside others, and of those with a segment of their own.
const LENGTHS: [usize; 4] = [40, 3000, 9000, 50_000];

pub(crate) fn blob(at: usize) -> Vec<u8> {
    compressible(77 + at as u64, LENGTHS[at % LENGTHS.len()])
}

pub(crate) fn digest(at: usize) -> Digest {
    Digest::of(SHA256, &blob(at))
}

/// The blobs that a spliced one is made of.
pub(crate) fn chunks(at: usize) -> Vec<usize> {
    vec![at, at + 3, at + 5]
}

pub(crate) fn spliced(at: usize) -> Vec<u8> {
    chunks(at).into_iter().flat_map(blob).collect()
}

/// The blobs that a result names.
pub(crate) fn named(write: u64) -> Vec<usize> {
    let mut random = fastrand::Rng::with_seed(write);
    (0..random.usize(1..4)).map(|_| random.usize(0..BLOBS)).collect()
}

/// The action result of a write; its number is what it printed.
pub(crate) fn result(write: u64) -> Vec<u8> {
    let file = |at: usize| {
        let digest = digest(at);
        let size_bytes = i64::try_from(digest.size().unwrap()).unwrap();
        let digest = Some(reapi::Digest { hash: digest.to_string(), size_bytes });
        reapi::OutputFile { path: format!("out/{at}"), digest, ..reapi::OutputFile::default() }
    };
    reapi::ActionResult {
        output_files: named(write).into_iter().map(file).collect(),
        stdout_raw: write.to_le_bytes().to_vec(),
        ..reapi::ActionResult::default()
    }
    .encode_to_vec()
}

/// Which write a result came from.
pub(crate) fn write_of(result: &[u8]) -> u64 {
    let result = reapi::ActionResult::decode(result).expect("an action result");
    u64::from_le_bytes(result.stdout_raw.try_into().expect("its number"))
}

/// The parts of an upload.
pub(crate) fn parts(write: u64) -> Vec<Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(write);
    (0..random.u64(1..4)).map(|at| noise(write * 10 + at, random.usize(0..20_000))).collect()
}
