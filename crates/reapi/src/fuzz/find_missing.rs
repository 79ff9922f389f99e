//! `FindMissingBlobsRequest`, read in the pieces that it comes in: it says what the generated type says.

use bazel_remote_apis::build::bazel::remote::execution::v2 as proto;
use bytes::Bytes;
use kura_auth::Access;
use kura_cache::wire::{Fields, Malformed, Value};
use prost::Message;

use crate::cas::find_missing::{read, read_digest};
use crate::{digest, scope};

/// Bytes of a piece.
const CUTS: [usize; 3] = [1, 7, usize::MAX];

pub(super) fn target(bytes: &[u8]) {
    CUTS.into_iter().for_each(|cut| in_pieces(bytes, cut));
}

fn in_pieces(bytes: &[u8], cut: usize) {
    let theirs = proto::FindMissingBlobsRequest::decode(bytes);
    let access = Access::anyone();
    let ours = read(bytes.chunks(cut).map(Bytes::copy_from_slice).collect());
    let ours = ours.ok().and_then(|(parts, common)| Some((digests(&parts).ok()?, common.of(&access).ok()?)));
    let Ok(theirs) = theirs else {
        // A hash that is no text is refused as one that is no digest.
        assert!(ours.is_none() || str::from_utf8(bytes).is_err());
        return;
    };
    let Some((digests, (scope, function))) = ours else {
        let is_known = scope::of_instance(&access, &theirs.instance_name).is_ok()
            && digest::function(theirs.digest_function).is_ok();
        // Groups went out of use long ago, and are not read.
        assert!(!is_known || bytes.iter().any(|byte| byte & 7 == 3));
        return;
    };
    let theirs_of = |digest: &proto::Digest| (digest.hash.clone().into_bytes(), digest.size_bytes);
    assert_eq!(digests, theirs.blob_digests.iter().map(theirs_of).collect::<Vec<_>>());
    assert_eq!(scope, scope::of_instance(&access, &theirs.instance_name).unwrap());
    assert_eq!(function, digest::function(theirs.digest_function).unwrap());
}

fn digests(parts: &[Bytes]) -> Result<Vec<(Vec<u8>, i64)>, Malformed> {
    let mut digests = Vec::new();
    for part in parts {
        let mut fields = Fields::of(part);
        while let Some((number, value)) = fields.next()? {
            if let (2, Value::Bytes(message)) = (number, value) {
                let (hash, size) = read_digest(message)?;
                digests.push((hash.to_vec(), size));
            }
        }
    }
    Ok(digests)
}
