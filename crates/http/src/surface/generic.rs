//! Anything that can speak HTTP: `/http/{namespace}/{key…}`. The key is a path; a body's type and encoding come back as they were sent.
//! What a namespace holds is told at its own path (`list`).

pub(super) mod list;

use kura_cache::{ArtifactKey, InvalidKey, Kind, Namespace, Scope};

use super::Manner;
use crate::openapi::route::Route;
use crate::{attribute, key};

pub(super) static MANNER: Manner = Manner {
    keeps: &[("content-type", attribute::TYPE), ("content-encoding", attribute::ENCODING)],
    ..Manner::deletable("application/octet-stream")
};

pub(super) static ROUTES: &[Route] = &[
    Route::artifacts(
        "/http/{namespace}/{key}",
        "Anything. A key may hold `/`, as it is or as `%2F`; so may a namespace, as `%2F`. Of the query, only the tenant counts.",
    ),
    Route::others("/http/{namespace}", "All of a namespace that is below this path.", &[list::OPERATION])
        .query(list::QUERY),
];

/// The namespace, and the key if there is one, as they are spelled.
fn split(path: &str) -> Result<(&str, Option<&str>), InvalidKey> {
    let rest = path.strip_prefix("/http/").ok_or(InvalidKey::Empty)?;
    Ok(rest.split_once('/').map_or((rest, None), |(namespace, key)| (namespace, Some(key))))
}

/// Whether this is the path of a namespace, and of nothing in it.
pub(super) fn is_namespace(path: &str) -> bool {
    split(path).is_ok_and(|(_, key)| key.is_none())
}

/// The namespace that a path names. One of several parts is spelled `a%2Fb` here.
pub(super) fn namespace(path: &str) -> Result<Namespace, InvalidKey> {
    key::namespace(split(path)?.0)
}

/// `scope` has the namespace that the path names, or what stands for it.
pub(super) fn key(path: &str, scope: &Scope) -> Result<ArtifactKey, InvalidKey> {
    ArtifactKey::keyed(scope, Kind::Http, &key::path(split(path)?.1.ok_or(InvalidKey::Empty)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(path: &str) -> Result<String, InvalidKey> {
        let scope = Scope { namespace: namespace(path)?, ..Scope::default() };
        key(path, &scope).map(|key| format!("{key:?}"))
    }

    #[test]
    fn the_first_segment_is_the_namespace_and_the_rest_the_key() {
        assert_eq!(spelled("/http/tools/a/b%20c").unwrap(), "default/tools/10/a/b c");
        assert_eq!(spelled("/http/tools/a%2Fb"), spelled("/http/tools/a/b"));
        assert_eq!(spelled("/http/a%2Fb/c").unwrap(), "default/a/b/10/c");
    }

    #[test]
    fn keys_that_lead_elsewhere_and_names_that_are_none_are_refused() {
        for path in [
            "/http",
            "/http/",
            "/http/ns",
            "/http/ns/",
            "/http//k",
            "/http/../k",
            "/http/ns/../k",
            "/http/a%2F/k",
            "/http/a%2F..%2Fb/k",
            "/http/ns/a%00",
        ] {
            assert!(spelled(path).is_err(), "{path}");
        }
        assert_eq!(spelled(&format!("/http/ns/{}", "k".repeat(5000))), Err(InvalidKey::TooLong));
    }
}
