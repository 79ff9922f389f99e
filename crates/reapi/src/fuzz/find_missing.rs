//! `FindMissingBlobsRequest`, read where it stands: it says what the generated type says.

use bazel_remote_apis::build::bazel::remote::execution::v2 as proto;
use bytes::Bytes;
use kura_auth::Access;
use kura_cache::wire::{Fields, Malformed, Value};
use prost::Message;

use crate::cas::find_missing::{common, read_digest};
use crate::{digest, scope};

pub(super) fn target(bytes: &[u8]) {
    let (ours, theirs) = (digests(bytes), proto::FindMissingBlobsRequest::decode(bytes));
    let access = Access::anyone();
    let common = common(&access, &Bytes::copy_from_slice(bytes));
    let Ok(theirs) = theirs else {
        // A hash that is no text is refused as one that is no digest.
        assert!(ours.is_err() || common.is_err() || str::from_utf8(bytes).is_err());
        return;
    };
    let (Ok(ours), Ok(common)) = (ours, common.as_ref()) else {
        let is_known = scope::of_instance(&access, &theirs.instance_name).is_ok()
            && digest::function(theirs.digest_function).is_ok();
        // Groups went out of use long ago, and are not read.
        assert!(!is_known || bytes.iter().any(|byte| byte & 7 == 3));
        return;
    };
    let theirs_of = |digest: &proto::Digest| (digest.hash.clone().into_bytes(), digest.size_bytes);
    assert_eq!(ours, theirs.blob_digests.iter().map(theirs_of).collect::<Vec<_>>());
    assert_eq!(common.0, scope::of_instance(&access, &theirs.instance_name).unwrap());
    assert_eq!(common.1, digest::function(theirs.digest_function).unwrap());
}

fn digests(bytes: &[u8]) -> Result<Vec<(Vec<u8>, i64)>, Malformed> {
    let mut digests = Vec::new();
    let mut fields = Fields::of(bytes);
    while let Some((number, value)) = fields.next()? {
        if let (2, Value::Bytes(message)) = (number, value) {
            let (hash, size) = read_digest(message)?;
            digests.push((hash.to_vec(), size));
        }
    }
    Ok(digests)
}
