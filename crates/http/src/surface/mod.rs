//! Which path belongs to which surface: one table. A surface says what a path names and how its clients want it answered; what is done
//! about it is the same for all (`exchange`).

mod bazel;
mod ccache;
mod generic;
mod gradle;

use http::header::HeaderValue;
use kura_cache::{ArtifactKey, InvalidKey, Scope};

use crate::settings::ServerSettings;

/// Who is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Surface {
    Bazel,
    Gradle,
    Ccache,
    Generic,
    /// People, probes and what is nobody's.
    Page,
}

impl Surface {
    pub(crate) const ALL: [Surface; 5] =
        [Surface::Bazel, Surface::Gradle, Surface::Ccache, Surface::Generic, Surface::Page];

    /// The name that metrics use.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Surface::Bazel => "bazel",
            Surface::Gradle => "gradle",
            Surface::Ccache => "ccache",
            Surface::Generic => "http",
            Surface::Page => "page",
        }
    }

    /// How its clients want to be answered.
    pub(crate) fn manner(self) -> &'static Manner {
        match self {
            Surface::Bazel => &bazel::MANNER,
            Surface::Gradle => &gradle::MANNER,
            Surface::Ccache => &ccache::MANNER,
            Surface::Generic | Surface::Page => &generic::MANNER,
        }
    }

    /// The surface that `path` belongs to.
    pub(crate) fn of(path: &str) -> Surface {
        if path.starts_with("/http/") || path == "/http" {
            Surface::Generic
        } else if path.starts_with("/ccache/") {
            Surface::Ccache
        } else if gradle::owns(path) {
            Surface::Gradle
        } else if bazel::owns(path) {
            Surface::Bazel
        } else {
            Surface::Page
        }
    }

    /// The artifact that `path` names. `scope` is what the rest of the request says of tenant and namespace.
    ///
    /// # Errors
    /// For what is no key here.
    pub(crate) fn key(self, path: &str, scope: Scope, settings: &ServerSettings) -> Result<ArtifactKey, InvalidKey> {
        match self {
            Surface::Bazel => bazel::key(path, &scope, &settings.opaque_prefixes),
            Surface::Gradle => gradle::key(path, &scope),
            Surface::Ccache => ccache::key(path, &scope),
            Surface::Generic => generic::key(path, scope),
            Surface::Page => Err(InvalidKey::Empty),
        }
    }
}

/// How a surface's clients want to be answered.
pub(crate) struct Manner {
    /// What bodies are, where they do not say so themselves.
    pub(crate) content_type: HeaderValue,
    /// Whether a body's own type and encoding are kept and given back.
    pub(crate) keeps_type: bool,
    /// What may be done.
    pub(crate) allow: &'static str,
    pub(crate) may_delete: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    #[test]
    fn each_path_belongs_to_one_surface() {
        let table = [
            ("/ac/HASH", Surface::Bazel),
            ("/cas/HASH", Surface::Bazel),
            ("/bazel/ac/HASH", Surface::Bazel),
            ("/a/b/c/cas/HASH", Surface::Bazel),
            ("/cache/cas/HASH", Surface::Bazel),
            ("/cache/0123456789abcdef0123456789abcdef", Surface::Gradle),
            ("/cache/", Surface::Gradle),
            ("/ccache/ab/cdef", Surface::Ccache),
            ("/ccache/ac/HASH", Surface::Ccache),
            ("/http/ns/cas/HASH", Surface::Generic),
            ("/http/ns/a/b", Surface::Generic),
            ("/http", Surface::Generic),
            ("/", Surface::Page),
            ("/up", Surface::Page),
            ("/metrics", Surface::Page),
            ("/cacheable", Surface::Page),
            ("/ac", Surface::Page),
            ("/xac/HASH", Surface::Page),
        ];
        for (path, surface) in table {
            assert_eq!(Surface::of(&path.replace("HASH", HASH)), surface, "{path}");
        }
    }

    #[test]
    fn surfaces_stand_in_order() {
        for (at, surface) in Surface::ALL.into_iter().enumerate() {
            assert_eq!(surface as usize, at);
        }
    }
}
