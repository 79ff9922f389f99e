//! Anything that can speak HTTP: `/http/{namespace}/{key…}`. The key is a path; a body's type and encoding come back as they were sent.

use std::str;

use kura_cache::{ArtifactKey, InvalidKey, Kind, Namespace, Scope};

use super::Manner;
use crate::openapi::route::Route;
use crate::{attribute, key};

pub(super) static MANNER: Manner = Manner {
    keeps: &[("content-type", attribute::TYPE), ("content-encoding", attribute::ENCODING)],
    ..Manner::deletable("application/octet-stream")
};

pub(super) static ROUTES: &[Route] = &[Route::artifacts(
    "/http/{namespace}/{key}",
    "Anything. A key may hold `/`, as it is or as `%2F`; so may a namespace, as `%2F`. Of the query, only the tenant counts.",
)];

pub(super) fn key(path: &str, mut scope: Scope) -> Result<ArtifactKey, InvalidKey> {
    let rest = path.strip_prefix("/http/").ok_or(InvalidKey::Empty)?;
    let (namespace, rest) = rest.split_once('/').ok_or(InvalidKey::Empty)?;
    // One of several parts is spelled `a%2Fb` here.
    let namespace = key::path(namespace)?;
    let namespace = str::from_utf8(&namespace).map_err(|_| InvalidKey::Name)?;
    scope.namespace = Namespace::parse(namespace.to_owned())?;
    ArtifactKey::keyed(&scope, Kind::Http, &key::path(rest)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(path: &str) -> Result<String, InvalidKey> {
        key(path, Scope::default()).map(|key| format!("{key:?}"))
    }

    #[test]
    fn the_first_segment_is_the_namespace_and_the_rest_the_key() {
        assert_eq!(spelled("/http/tools/a/b%20c").unwrap(), "default/tools/10/a/b c");
        assert_eq!(spelled("/http/tools/a%2Fb"), spelled("/http/tools/a/b"));
        assert_eq!(key("/http/a%2Fb/c", Scope::default()).unwrap().kind(), Kind::Http);
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
