//! The HTTP adapter: it parses, translates and streams; what a build cache means is decided below (`kura-cache`).
//!
//! A request goes `listen` → `serve` → `link` (its connection) → `service` → its surface by path (`surface`) → `exchange`, which does the
//! same for all of them. What is no surface's goes to the pages (`page`), by an ordinary router. HTTP/1.1 and HTTP/2 with prior knowledge
//! (`http2`, `socket`) are told apart by their first bytes, under TLS too (`tls`); gRPC goes to a guest (`guest`), which lies above.
//!
//! | path | surface |
//! |---|---|
//! | `…/ac/<sha256>`, `…/cas/<sha256>` | Bazel, under any prefix or none; action results also as JSON |
//! | `/cache/<key>` | Gradle |
//! | `/ccache/<2>/<rest>`, `/ccache/<key>`, `/ccache/ac/<key>` | ccache |
//! | `/webdav/<key…>` | WebDAV, as sccache speaks it |
//! | `/v8/artifacts`, and below | Turborepo |
//! | `/v1/cache/<key>` | Nx |
//! | `/s3/<bucket>/<key…>` | S3 |
//! | `/metro/<key>`, `/api/metro/cache/<key>` | Metro |
//! | `/api/cache/cas`, `keyvalue`, `gradle`, `module`, `clean` | Tuist and Xcode |
//! | `/http/<namespace>/<key…>`, `/http/<namespace>` | anything, and what there is |
//! | `/admin/namespaces/…` | who removes, whatever the surface |
//! | `/`, `/status.json`, `/openapi.json`, `/up`, `/ready`, `/metrics` | people and probes |
//!
//! Absent on purpose: storage decisions, and files.

// What tests share names the crate from outside.
#[cfg(test)]
extern crate self as kura_http;

mod answer;
mod attribute;
mod auth;
mod body;
mod checksum;
pub mod clients;
mod conditional;
mod date;
mod error;
mod exchange;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod guest;
mod health;
mod http2;
mod incoming;
#[cfg(test)]
mod isolation;
mod key;
mod link;
mod listen;
mod memory;
mod metrics;
mod openapi;
mod page;
mod query;
mod range;
mod request_id;
mod scope;
mod serve;
mod service;
mod settings;
mod site;
mod socket;
mod surface;
mod tenants;
mod tls;

pub use body::Pace;
pub use guest::{Answering, Guest, GuestBody};
pub use http2::{Announced, Deadline, ReadAsSent, Window};
pub use incoming::{CutShort, Incoming};
pub use memory::{Class, Held, Memory};
pub use metrics::Exposition;
pub use serve::{Drained, Handle, Server};
pub use settings::{S3Key, ServerSettings};
pub use tenants::{Admitted, Excess, Quota, Quotas, Tenants};
pub use tls::{Tls, TlsError};
