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

    pub(crate) const fn query(self, query: &'static [Parameter]) -> Route {
        Route { query, ..self }
    }
}

/// One request that is not about an artifact as it is.
pub(crate) struct Operation {
    /// In lowercase.
    pub(crate) method: &'static str,
    pub(crate) about: &'static str,
    pub(crate) takes: Option<Content>,
    pub(crate) gives: &'static [Given],
    /// Beside who asks, which is for all that needs somebody.
    pub(crate) refuses: &'static [u16],
}

impl Operation {
    pub(crate) const fn of(method: &'static str, about: &'static str, gives: &'static [Given]) -> Operation {
        Operation { method, about, takes: None, gives, refuses: &[] }
    }

    pub(crate) const fn takes(self, content: Content) -> Operation {
        Operation { takes: Some(content), ..self }
    }

    pub(crate) const fn refuses(self, refuses: &'static [u16]) -> Operation {
        Operation { refuses, ..self }
    }
}

/// An answer to who is not refused.
pub(crate) struct Given {
    pub(crate) status: u16,
    pub(crate) about: &'static str,
    pub(crate) content: Option<Content>,
    /// What can be asked for with it.
    pub(crate) links: &'static [Link],
}

impl Given {
    pub(crate) const fn nothing(status: u16, about: &'static str) -> Given {
        Given { status, about, content: None, links: &[] }
    }

    pub(crate) const fn content(status: u16, about: &'static str, content: Content) -> Given {
        Given { content: Some(content), ..Given::nothing(status, about) }
    }

    pub(crate) const fn links(self, links: &'static [Link]) -> Given {
        Given { links, ..self }
    }
}

/// A request that goes on with an answer: its operation's id, and the parameter that a member of the answer is.
pub(crate) struct Link {
    pub(crate) operation: &'static str,
    pub(crate) parameter: &'static str,
}

/// What a body is.
#[derive(Clone, Copy)]
pub(crate) struct Content {
    pub(crate) media: &'static str,
    pub(crate) schema: fn() -> Value,
}

impl Content {
    /// Any type: what a body says of itself does not matter.
    pub(crate) const ANY: &str = "*/*";

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

impl Parameter {
    pub(crate) const fn required(name: &'static str, about: &'static str, schema: fn() -> Value) -> Parameter {
        Parameter { name, about, required: true, schema }
    }

    pub(crate) const fn optional(name: &'static str, about: &'static str, schema: fn() -> Value) -> Parameter {
        Parameter { name, about, required: false, schema }
    }
}

/// Why a read can be refused, beside what a method or a surface adds, and beside who asks.
pub(crate) const READ: &[u16] = &[400, 404, 429, 503];

/// The same for what changes something.
pub(crate) const CHANGE: &[u16] = &[400, 429, 500, 503, 507];

/// The same for what comes with a body that is looked into.
pub(crate) const TELL: &[u16] = &[400, 408, 413, 429, 500, 503, 507];
