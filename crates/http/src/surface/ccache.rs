//! ccache's three layouts under `/ccache/`: `subdirs` (`<2>/<rest>`), `flat` (`<key>`), and `bazel` (`ac/<64 hex>`, its own bytes and no action result).
//! The first two spell one key in two ways, so clients of either share what they store.

use kura_cache::{ArtifactKey, InvalidKey, Kind, Scope};

use super::Manner;
use crate::key;
use crate::openapi::route::Route;

pub(super) static MANNER: Manner = Manner::deletable("application/octet-stream");

pub(super) static ROUTES: &[Route] = &[
    Route::artifacts("/ccache/{key}", "What a compilation made, in the layout `flat`."),
    Route::artifacts("/ccache/{pair}/{key}", "The same in the layout `subdirs`; below `ac` in the layout `bazel`."),
];

/// The segment in front of a key in the layout `bazel`, and of what it is stored under.
const BAZEL: &[u8] = b"ac";

pub(super) fn key(path: &str, scope: &Scope) -> Result<ArtifactKey, InvalidKey> {
    let rest = path.strip_prefix("/ccache/").ok_or(InvalidKey::Empty)?;
    let key = match rest.split_once('/') {
        None => key::opaque(rest)?.into_owned(),
        Some((first, rest)) => {
            let (first, rest) = (key::opaque(first)?, key::opaque(rest)?);
            match first.as_ref() {
                BAZEL => [BAZEL, b"/", &rest].concat(),
                [_, _] => [first, rest].concat(),
                _ => return Err(InvalidKey::Forbidden("ccache's keys are <2>/<rest>, <key> or ac/<key>")),
            }
        }
    };
    ArtifactKey::keyed(scope, Kind::Ccache, &key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(path: &str) -> Result<String, InvalidKey> {
        key(path, &Scope::default()).map(|key| format!("{key:?}"))
    }

    #[test]
    fn two_layouts_spell_one_key_and_the_third_is_apart() {
        assert_eq!(spelled("/ccache/ab/cdef"), spelled("/ccache/abcdef"));
        assert_ne!(spelled("/ccache/ac/cdef"), spelled("/ccache/accdef"));
        assert!(spelled("/ccache/ac/cdef").unwrap().ends_with("ac/cdef"));
        assert_eq!(spelled("/ccache/%61c/cdef"), spelled("/ccache/ac/cdef"), "however it is spelled");
    }

    #[test]
    fn what_is_of_no_layout_is_refused() {
        for path in [
            "/ccache/",
            "/ccache/abc/def",
            "/ccache/ab/cd/ef",
            "/ccache/ab/",
            "/ccache/..",
            "/ccache/ab/%2F",
            "/ccache/ac/",
        ] {
            assert!(spelled(path).is_err(), "{path}");
        }
    }
}
