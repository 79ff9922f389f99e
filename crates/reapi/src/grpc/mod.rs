//! gRPC over HTTP/2, as far as a server needs it: messages with their prefix, trailers, deadlines.
//! Its own, not a library's, because of what it does with bytes: a message's memory is accounted for before it is gathered, a blob goes from
//! the frames that it came in to the store without being gathered at all, and leaves in frames of the pages it was read into.
//! Statuses are `tonic`'s.

mod deadline;
mod incoming;
mod reply;

pub(crate) use deadline::{deadline, deadline_exceeded};
pub(crate) use incoming::{Incoming, decoded};
pub(crate) use reply::{PREFIX, Pieces, Reply, pieces, prefix, respond};
