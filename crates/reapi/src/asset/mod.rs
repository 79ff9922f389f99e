//! Remote Asset: what URIs and qualifiers stand for.
//!
//! - `push`: a client says it. `fetch`: what was said, or what is remembered, is told.
//! - `association`: how that is kept.
//! - `flights`, where the operator lets it: blobs that nothing is remembered for are fetched from their origins, and checked against a `checksum`.

mod association;
mod checksum;
mod fetch;
mod flights;
mod push;

use bazel_remote_apis::build::bazel::remote::asset::v1::Qualifier;
use tonic::Status;

use crate::limits::MAX_URIS;

pub(crate) use fetch::{fetch_blob, fetch_directory};
pub(crate) use flights::Flights;
pub(crate) use push::{push_blob, push_directory};

/// Brings the qualifiers into one order.
///
/// # Errors
/// `INVALID_ARGUMENT` where no URI is given, or too many, or a qualifier twice.
fn check(uris: &[String], qualifiers: &mut [Qualifier]) -> Result<(), Status> {
    if uris.is_empty() || uris.len() > MAX_URIS {
        return Err(Status::invalid_argument(format!("an asset has 1 to {MAX_URIS} URIs")));
    }
    qualifiers.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    if qualifiers.windows(2).any(|pair| pair[0].name == pair[1].name) {
        return Err(Status::invalid_argument("a qualifier is given twice"));
    }
    Ok(())
}
