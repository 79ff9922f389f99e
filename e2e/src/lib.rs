//! What the end-to-end tests share. `.ci/run` and `just e2e` run them: they need root, loop mounts, and Debian's clients.
//!
//! - `s3`: the key pair of a server that serves S3.
//! - `server`: the released binary as a child: started, stopped, killed, asked.
//! - `guarded`: the same with tokens and TLS, and what clients make of it.
//! - `bazel`: a workspace, built against a server.
//! - `casd`: buildbox-casd, as a server or a proxy.
//! - `reapi`: a gRPC client.
//! - `group`: a control group that bounds memory.
//! - `faults`: a proxy that answers in a server's place.
//! - `http`: one request and its answer.
//! - `metrics`: the server's counters.
//! - `tool`: a client's command, with its output when it fails.
//! - `node`: clients that come from npm.
//! - `moon`: a workspace of moon's.
//! - `mount`: a filesystem of its own, whose bytes can be counted.
//! - `neighbour`: somebody else on it.
//! - `wait`: for a condition, never for a time.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "this is all test code: it may fail, and says where"
)]

mod bazel;
mod casd;
mod faults;
mod group;
mod guarded;
mod http;
mod metrics;
mod moon;
mod mount;
mod neighbour;
mod node;
mod reapi;
mod s3;
mod server;
mod tool;
mod wait;

pub use bazel::{Built, Workspace, files, summary};
pub use casd::Casd;
pub use faults::{Fault, FaultProxy, On};
pub use group::Group;
pub use guarded::{Came, Guarded, Who, variables};
pub use http::{Answer, agent, request};
pub use metrics::Metrics;
pub use moon::MoonWorkspace;
pub use mount::Mount;
pub use neighbour::Neighbour;
pub use node::{node_command, node_modules};
pub use reapi::{Client, digest};
pub use s3::S3;
pub use server::{Kura, kura_binary};
pub use tool::{run, run_for_status, run_within};
pub use wait::until;
