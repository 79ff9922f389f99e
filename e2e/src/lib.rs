//! What the end-to-end tests share. `.ci/run` and `just e2e` run them: they need root, loop mounts, and Debian's clients.
//!
//! - `server`: the released binary as a child: started, stopped, killed, asked.
//! - `metrics`: its counters.
//! - `tool`: a client's command, with its output when it fails.
//! - `mount`: a filesystem of its own, whose bytes can be counted.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "this is all test code: it may fail, and says where"
)]

mod metrics;
mod mount;
mod server;
mod tool;

pub use metrics::Metrics;
pub use mount::Mount;
pub use server::{Answer, Kura, PATIENCE, agent, kura_binary, request, until};
pub use tool::{run, run_for_status};
