//! What a surface says of the paths that it serves, beside how it serves artifacts (`Manner`). Written where the surface is.

use serde_json::{Value, json};

/// A path, and what can be asked of it.
pub(crate) struct Route {
    /// With `{names}` for what varies.
    pub(crate) path: &'static str,
    /// What is there.
    pub(crate) about: &'static str,
    /// Whether these are artifacts, for which the surface's manner says what may be done.
    pub(crate) of_artifacts: bool,
    /// Whether the query says tenant and namespace.
    pub(crate) is_scoped: bool,
    pub(crate) query: &'static [Parameter],
    /// Another form in which artifacts are given and taken by those who ask for it.
    pub(crate) form: Option<Content>,
    /// Requests that are not the same for all surfaces.
    pub(crate) others: &'static [Operation],
}

impl Route {
    /// Where artifacts are.
    pub(crate) const fn artifacts(path: &'static str, about: &'static str) -> Route {
        Route { of_artifacts: true, ..Route::others(path, about, &[]) }
    }

    /// Where no artifacts are.
    pub(crate) const fn others(path: &'static str, about: &'static str, others: &'static [Operation]) -> Route {
        Route { path, about, of_artifacts: false, is_scoped: true, query: &[], form: None, others }
    }
}

/// One request that is not about an artifact as it is.
pub(crate) struct Operation {
    /// In lowercase.
    pub(crate) method: &'static str,
    pub(crate) about: &'static str,
    pub(crate) takes: Option<Content>,
    pub(crate) gives: &'static [Given],
    pub(crate) refuses: &'static [u16],
}

/// An answer to who is not refused.
pub(crate) struct Given {
    pub(crate) status: u16,
    pub(crate) about: &'static str,
    pub(crate) content: Option<Content>,
}

/// What a body is.
#[derive(Clone, Copy)]
pub(crate) struct Content {
    pub(crate) media: &'static str,
    pub(crate) schema: fn() -> Value,
}

impl Content {
    pub(crate) const fn json(schema: fn() -> Value) -> Content {
        Content { media: "application/json", schema }
    }

    /// Bytes: nothing is known of them but their type.
    pub(crate) const fn bytes(media: &'static str) -> Content {
        Content { media, schema: || json!({}) }
    }
}

/// A parameter of a query.
#[derive(Clone, Copy)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) required: bool,
    pub(crate) schema: fn() -> Value,
}

/// Why a read can be refused, beside what a method or a surface adds.
pub(crate) const READ: &[u16] = &[400, 404, 429, 503];

/// The same for what changes something.
pub(crate) const CHANGE: &[u16] = &[400, 429, 500, 503, 507];

/// The same for what comes with a body that is looked into.
pub(crate) const TELL: &[u16] = &[400, 408, 413, 429, 500, 503, 507];
