//! Tuist's API, below `/api/cache/`: a module for each part of it. The account is the tenant and the project the namespace, by Tuist's names in the
//! query or by our own.

pub(super) mod cas;
pub(super) mod clean;
pub(super) mod gradle;
pub(crate) mod keyvalue;
pub(crate) mod module;

use super::Surface;

const ROOT: &str = "/api/cache/";

/// What is behind `part` below [`ROOT`]: empty, or from its `/` on.
fn below<'a>(path: &'a str, part: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(ROOT)?.strip_prefix(part)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// The one segment behind `part`.
fn segment<'a>(path: &'a str, part: &str) -> Option<&'a str> {
    below(path, part)?.strip_prefix('/').filter(|key| !key.contains('/'))
}

pub(super) fn of(path: &str) -> Option<Surface> {
    let parts = [
        ("cas", Surface::Xcode),
        ("keyvalue", Surface::KeyValue),
        ("gradle", Surface::TuistGradle),
        ("module", Surface::Module),
        ("clean", Surface::Clean),
    ];
    parts.into_iter().find_map(|(part, surface)| below(path, part).map(|_| surface))
}
