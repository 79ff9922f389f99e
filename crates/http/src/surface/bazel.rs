//! Bazel over HTTP: `/ac/<sha256>` and `/cas/<sha256>` under any prefix that is no other surface's. The prefix means nothing, unless it is declared opaque:
//! then what comes under its `/ac/` is kept as it is, since it is no action result.

use kura_cache::{ArtifactKey, Digest, DigestFunction, InvalidKey, Kind, Scope};
use serde_json::json;

use super::Manner;
use crate::key;
use crate::openapi::route::{Content, Route};

pub(super) static MANNER: Manner = Manner::deletable("application/octet-stream");

pub(super) static ROUTES: &[Route] = &[
    Route {
        form: Some(Content::json(|| json!({ "type": "object" }))),
        ..Route::artifacts(
            "/ac/{sha256}",
            "An action's result, as the message or as its JSON; under any prefix that is no other surface's.",
        )
    },
    Route::artifacts("/cas/{sha256}", "A blob, which has this digest; under any prefix that is no other surface's."),
];

/// The last two segments, and what is before them.
fn split(path: &str) -> Option<(&str, &str, &str)> {
    let (rest, hash) = path.rsplit_once('/')?;
    let (prefix, store) = rest.rsplit_once('/')?;
    Some((prefix, store, hash))
}

pub(super) fn owns(path: &str) -> bool {
    split(path).is_some_and(|(_, store, _)| store == "ac" || store == "cas")
}

fn is_opaque(prefix: &str, opaque_prefixes: &[String]) -> bool {
    opaque_prefixes.iter().any(|opaque| opaque == prefix)
}

/// Whether that is where an action result is.
pub(super) fn is_result(path: &str, opaque_prefixes: &[String]) -> bool {
    split(path).is_some_and(|(prefix, store, _)| store == "ac" && !is_opaque(prefix, opaque_prefixes))
}

pub(super) fn key(path: &str, scope: &Scope, opaque_prefixes: &[String]) -> Result<ArtifactKey, InvalidKey> {
    let (prefix, store, hash) = split(path).ok_or(InvalidKey::Empty)?;
    if store == "ac" && is_opaque(prefix, opaque_prefixes) {
        return ArtifactKey::keyed(scope, Kind::Opaque, &key::opaque(hash)?);
    }
    let digest = Digest::from_hex(DigestFunction::Sha256, hash.as_bytes()).map_err(InvalidKey::Digest)?;
    match store {
        "cas" => ArtifactKey::blob(scope, &digest),
        _ => ArtifactKey::action(scope, &digest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    fn kind(path: &str) -> Result<Kind, InvalidKey> {
        key(&path.replace("HASH", HASH), &Scope::default(), &["/moon".to_owned()]).map(|key| key.kind())
    }

    #[test]
    fn blobs_and_results_are_found_under_any_prefix() {
        assert_eq!(kind("/cas/HASH"), Ok(Kind::Cas));
        assert_eq!(kind("/some/prefix/cas/HASH"), Ok(Kind::Cas));
        assert_eq!(kind("/ac/HASH"), Ok(Kind::Action));
        assert_eq!(kind("//ac/HASH"), Ok(Kind::Action));
    }

    #[test]
    fn what_is_no_sha256_is_refused() {
        for path in ["/cas/", "/cas/xyz", "/ac/HASH0", "/ac/..", "/cas/%2e%2e", "/cas/HASH%00"] {
            assert!(matches!(kind(path), Err(InvalidKey::Digest(_))), "{path}");
        }
    }

    #[test]
    fn a_prefix_can_be_declared_opaque() {
        assert_eq!(kind("/moon/ac/HASH"), Ok(Kind::Opaque));
        assert_eq!(kind("/moon/ac/anything"), Ok(Kind::Opaque));
        assert_eq!(kind("/moon/cas/HASH"), Ok(Kind::Cas));
        assert_eq!(kind("/moon/x/ac/HASH"), Ok(Kind::Action));
    }
}
