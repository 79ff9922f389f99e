//! `/openapi.json`: the HTTP API as OpenAPI 3.1 describes it, made from the surfaces' own tables: which paths they serve (`Surface::routes`), and
//! how (`Surface::manner`). What OpenAPI cannot say is said in words: keys that hold `/`, Bazel's prefixes, WebDAV's own methods.
//! Not here: gRPC, which describes itself by reflection; what the library answers to bytes that are no HTTP.

mod artifact;
pub(crate) mod route;

use std::sync::LazyLock;

use bytes::Bytes;
use http::Method;
use kura_auth::Need;
use serde_json::{Map, Value, json};

use crate::surface::Surface;
use route::{Content, Link, Operation, Parameter, Route};

/// The document, which is the same for as long as the program is.
pub(crate) fn document() -> Bytes {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| described().to_string().into());
    DOCUMENT.clone()
}

fn described() -> Value {
    let mut paths = Map::new();
    for surface in Surface::ALL {
        for route in surface.routes() {
            paths.insert(route.path.to_owned(), item(surface, route));
        }
    }
    let described = Surface::ALL.into_iter().filter(|surface| !surface.routes().is_empty());
    let tags: Vec<Value> = described.map(|surface| json!({ "name": surface.name() })).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Kura",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A build cache. Each tag is what one kind of client speaks; `page` is for people and probes. \
                            Whatever else a path is asked for is answered with 405, and `Allow` says what it takes.",
            "license": { "name": "Apache-2.0 or MIT", "identifier": "Apache-2.0 OR MIT" },
        },
        "tags": tags,
        "paths": paths,
        // Whether it asks for a token is the server's to say.
        "security": [{}, { "bearer": [] }, { "basic": [] }],
        "components": {
            "parameters": SCOPE.map(|it| (it.name.to_owned(), query_parameter(&it))).into_iter().collect::<Map<_, _>>(),
            "responses": REFUSED.map(|(status, about)| (status.to_string(), refused(status, about))).into_iter().collect::<Map<_, _>>(),
            "schemas": { "Refusal": refusal() },
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer" },
                "basic": { "type": "http", "scheme": "basic", "description": "The token is the password." },
            },
        },
    })
}

/// What is answered to those who are refused, and why.
const REFUSED: [(u16, &str); 15] = [
    (400, "Not a request that can be carried out: the message says why. Nothing is stored"),
    (401, "The server asks for a token, and this is none that it knows"),
    (403, "The token may not do this, or not here"),
    (404, "Not in the cache"),
    (406, "Too long for this form"),
    (408, "The body stood still, or came in too slowly"),
    (409, "It is there already, and is never written again"),
    (412, "What is there is not what the request expects"),
    (413, "Larger than is taken"),
    (415, "Bodies are not taken in that encoding"),
    (422, "The body is not what was said of it"),
    (429, "Come back later: there is too much to do"),
    (500, "The server failed: its log says how"),
    (503, "Not ready, or shutting down: see /ready"),
    (507, "The disk is full, and no room can be made"),
];

/// What can be answered to whoever has to say who they are.
const WHO: &[u16] = &[401, 403, 429, 503];

fn needs_somebody(surface: Surface, method: &str, route: &Route) -> bool {
    let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap_or_default();
    surface.need(&method, route.path) != Need::Nothing
}

fn refused(status: u16, about: &str) -> Value {
    let content = Content::json(|| json!({ "$ref": "#/components/schemas/Refusal" }));
    let answered = Answered::of(status, about, &[content]);
    match status {
        401 => answered.with_header("WWW-Authenticate", "How it may be sent").response(),
        429 | 503 => answered.with_header("Retry-After", "Seconds").response(),
        _ => answered.response(),
    }
}

fn refusal() -> Value {
    json!({ "type": "object", "properties": { "message": { "type": "string" } }, "required": ["message"] })
}

/// What says tenant and namespace in a query.
const SCOPE: [Parameter; 4] = [
    Parameter::optional("tenant_id", "Whose artifacts: `default` where nothing says it", tenant),
    Parameter::optional("account_handle", "Another name of `tenant_id`", tenant),
    Parameter::optional("namespace_id", "Which part of them: `default` where nothing says it", namespace),
    Parameter::optional("project_handle", "Another name of `namespace_id`", namespace),
];

/// A name of one part, of which a namespace may have several.
const NAME: &str = r"[^/\x00-\x1f\x7f-\x9f]+";

fn tenant() -> Value {
    json!({ "type": "string", "pattern": format!("^{NAME}$"), "maxLength": 255 })
}

fn namespace() -> Value {
    json!({ "type": "string", "pattern": format!("^{NAME}(/{NAME})*$"), "maxLength": 255 })
}

/// One path.
fn item(surface: Surface, route: &Route) -> Value {
    let mut parameters: Vec<Value> = names(route.path).map(path_parameter).collect();
    if route.is_scoped {
        parameters.extend(SCOPE.map(|it| json!({ "$ref": format!("#/components/parameters/{}", it.name) })));
    }
    parameters.extend(route.query.iter().map(query_parameter));
    let mut item = Map::new();
    item.insert("description".to_owned(), route.about.into());
    item.insert("parameters".to_owned(), parameters.into());
    let same = if route.of_artifacts { artifact::operations(route, surface.manner()) } else { Vec::new() };
    // What a surface does its own way counts.
    for described in same.into_iter().chain(route.others.iter().map(Described::from)) {
        item.insert(described.method.to_owned(), described.operation(surface, route));
    }
    item.into()
}

fn query_parameter(parameter: &Parameter) -> Value {
    let Parameter { name, about, required, schema } = parameter;
    json!({ "name": name, "in": "query", "description": about, "required": required, "schema": schema() })
}

/// The names in a path.
fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

/// The SHA-256 of no bytes at all, which are always there.
const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn path_parameter(name: &str) -> Value {
    let (about, schema) = match name {
        "sha256" => ("A SHA-256", json!({ "type": "string", "pattern": "^[0-9a-f]{64}$", "examples": [NOTHING] })),
        "namespace" => ("Which part of a tenant's artifacts", namespace()),
        "pair" => ("The first two bytes of a key, or `ac`", json!({ "type": "string", "pattern": "^[0-9a-z]{2}$" })),
        _ => (
            "Any bytes, percent-encoded, but for NUL, and `.` and `..` as a whole",
            json!({ "type": "string", "pattern": "^[^/]+$", "minLength": 1, "maxLength": 1024, "examples": ["some-key"] }),
        ),
    };
    json!({ "name": name, "in": "path", "required": true, "description": about, "schema": schema })
}

/// One operation on its way into the document.
struct Described {
    method: &'static str,
    about: &'static str,
    parameters: Vec<Value>,
    takes: Vec<Content>,
    gives: Vec<Answered>,
    refuses: Vec<u16>,
}

impl Described {
    fn new(method: &'static str, about: &'static str) -> Described {
        Described { method, about, parameters: Vec::new(), takes: Vec::new(), gives: Vec::new(), refuses: Vec::new() }
    }

    fn operation(self, surface: Surface, route: &Route) -> Value {
        let given = self.gives.into_iter().map(|answered| (answered.status.to_string(), answered.response()));
        // To a HEAD no body is answered.
        let refused = |status: u16| match self.method {
            "head" => Answered::of(status, "As for GET", &[]).response(),
            _ => json!({ "$ref": format!("#/components/responses/{status}") }),
        };
        let who = if needs_somebody(surface, self.method, route) { WHO } else { &[] };
        let refused = self.refuses.iter().chain(who).map(|status| (status.to_string(), refused(*status)));
        let mut operation = json!({
            "operationId": operation_id(self.method, route.path),
            "summary": self.about,
            "tags": [surface.name()],
            "responses": refused.chain(given).collect::<Map<_, _>>(),
        });
        if !self.parameters.is_empty() {
            operation["parameters"] = self.parameters.into();
        }
        if !self.takes.is_empty() {
            // Any bytes may also be none.
            let required = self.takes.iter().all(|content| content.media != Content::ANY);
            operation["requestBody"] = json!({ "required": required, "content": contents(&self.takes) });
        }
        operation
    }
}

impl From<&Operation> for Described {
    fn from(operation: &Operation) -> Described {
        Described {
            takes: operation.takes.into_iter().collect(),
            gives: operation
                .gives
                .iter()
                .map(|given| Answered::of(given.status, given.about, given.content.as_slice()).with_links(given.links))
                .collect(),
            refuses: operation.refuses.to_vec(),
            ..Described::new(operation.method, operation.about)
        }
    }
}

/// `get-http-namespace-key`.
fn operation_id(method: &str, path: &str) -> String {
    let segments =
        path.split('/').map(|segment| segment.trim_matches(['{', '}'])).filter(|segment| !segment.is_empty());
    std::iter::once(method).chain(segments).collect::<Vec<_>>().join("-")
}

/// One answer on its way into the document.
struct Answered {
    status: u16,
    about: String,
    headers: Map<String, Value>,
    content: Map<String, Value>,
    links: Map<String, Value>,
}

impl Answered {
    fn of(status: u16, about: &str, content: &[Content]) -> Answered {
        Answered { status, about: about.to_owned(), headers: Map::new(), content: contents(content), links: Map::new() }
    }

    fn with_links(mut self, links: &[Link]) -> Answered {
        for Link { operation, parameter } in links {
            let parameters = json!({ *parameter: format!("$response.body#/{parameter}") });
            self.links.insert((*operation).to_owned(), json!({ "operationId": operation, "parameters": parameters }));
        }
        self
    }

    fn with_header(mut self, name: &str, about: &str) -> Answered {
        self.headers.insert(name.to_owned(), json!({ "description": about, "schema": { "type": "string" } }));
        self
    }

    fn response(self) -> Value {
        let mut response = json!({ "description": self.about });
        for (name, value) in [("headers", self.headers), ("content", self.content), ("links", self.links)] {
            if !value.is_empty() {
                response[name] = value.into();
            }
        }
        response
    }
}

fn contents(of: &[Content]) -> Map<String, Value> {
    of.iter().map(|content| (content.media.to_owned(), json!({ "schema": (content.schema)() }))).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A path as a client would ask for it.
    fn filled(path: &str) -> String {
        names(path).fold(path.to_owned(), |path, name| {
            let value = match name {
                "sha256" => "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
                "pair" => "ab",
                _ => "some-key",
            };
            path.replace(&format!("{{{name}}}"), value)
        })
    }

    #[test]
    fn every_surface_is_described_by_paths_that_are_its_own() {
        for surface in Surface::ALL {
            assert_eq!(surface.routes().is_empty(), surface == Surface::S3, "{surface:?}");
            for route in surface.routes() {
                assert_eq!(Surface::of(&filled(route.path)), surface, "{}", route.path);
            }
        }
    }

    #[test]
    fn all_that_a_manner_allows_is_described() {
        let document = described();
        let known = ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"];
        for surface in Surface::ALL.into_iter().filter(|surface| !matches!(surface, Surface::Page | Surface::S3)) {
            for method in surface.manner().allow.split(", ").filter(|method| known.contains(method)) {
                let mut items = surface.routes().iter().map(|route| &document["paths"][route.path]);
                assert!(items.any(|item| !item[method.to_lowercase()].is_null()), "{surface:?}: {method}");
            }
        }
    }

    #[test]
    fn what_is_referred_to_is_there_and_ids_are_unique() {
        let document = described();
        let mut ids = BTreeSet::new();
        let mut stack = vec![&document];
        while let Some(value) = stack.pop() {
            match value {
                Value::Object(object) => stack.extend(object.values()),
                Value::Array(array) => stack.extend(array),
                _ => {}
            }
            if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
                assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
            }
            if let (Some(id), Some(_)) = (value["operationId"].as_str(), value.get("responses")) {
                assert!(ids.insert(id), "{id}");
            }
        }
        assert!(ids.contains("get-http-namespace-key"), "{ids:?}");
        for route in Surface::ALL.into_iter().flat_map(Surface::routes) {
            for link in route.others.iter().flat_map(|operation| operation.gives).flat_map(|given| given.links) {
                assert!(ids.contains(link.operation), "{}", link.operation);
            }
        }
    }
}
