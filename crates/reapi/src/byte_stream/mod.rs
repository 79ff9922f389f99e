//! `google.bytestream.ByteStream`: blobs of any size, as they come and go.

mod read;
mod unfinished;
mod write;
pub(crate) mod write_request;

pub(crate) use read::read;
pub(crate) use unfinished::Unfinished;
pub(crate) use write::{query_write_status, write};
