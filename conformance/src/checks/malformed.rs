//! Digests and resource names that no server can take for anything.

use bazel_remote_apis::build::bazel::remote::execution::v2::Digest;

use tonic::{Code, Status};

use crate::client::Server;
use crate::expect::{Outcome, refused};

/// Every malformed digest is INVALID_ARGUMENT to `call`.
pub(super) async fn refused_by<T, F>(server: &Server, call: impl Fn(Digest) -> F) -> Outcome
where
    F: Future<Output = Result<T, Status>>,
{
    for (what, digest) in digests(server) {
        refused(call(digest).await, &[Code::InvalidArgument]).map_err(|difference| difference.about(what))?;
    }
    Ok(())
}

/// Digests that are none, and what is wrong with them.
pub(super) fn digests(server: &Server) -> Vec<(&'static str, Digest)> {
    let digest = server.random(10).digest;
    let hash = |hash: &str| Digest { hash: hash.to_owned(), size_bytes: 10 };
    vec![
        ("no hash", hash("")),
        ("a hash that is too short", hash(&digest.hash[..digest.hash.len() - 1])),
        ("a hash that is too long", hash(&format!("{}00", digest.hash))),
        ("a hash that is not hexadecimal", hash(&format!("{}g", &digest.hash[..digest.hash.len() - 1]))),
        ("a hash in capital letters", hash(&format!("ABCDEF{}", &digest.hash[6..].to_uppercase()))),
        ("a negative size", Digest { size_bytes: -1, ..digest }),
    ]
}

/// Ends of resource names, from `blobs/` or `compressed-blobs/` on, that are none.
pub(super) fn names(server: &Server) -> Vec<String> {
    let hash = server.random(10).digest.hash;
    let mut names: Vec<String> = [
        "",
        "blobs",
        "blobs/",
        &format!("blobs/{hash}"),
        &format!("blobs/{hash}/"),
        &format!("blobs/{hash}/ten"),
        &format!("blobs/{hash}/-10"),
        &format!("blobs/{hash}/99999999999999999999"),
        &format!("blobs/unheard/{hash}/10"),
        &format!("compressed-blobs/{hash}/10"),
        &format!("compressed-blobs/unheard/{hash}/10"),
        &format!("stains/{hash}/10"),
    ]
    .map(str::to_owned)
    .into();
    names.extend(digests(server).into_iter().map(|(_, digest)| format!("blobs/{}/{}", digest.hash, digest.size_bytes)));
    names
}
