//! `ContentAddressableStorage`, one file a group of methods.

mod batch;
mod chunks;
pub(crate) mod find_missing;
mod parts;
mod tree;

pub(crate) use batch::{batch_read, batch_update};
pub(crate) use chunks::{FAST_CDC, get_chunk_mapping, register_chunk_mapping, splice_blob, split_blob};
pub(crate) use find_missing::find_missing;
pub(crate) use tree::get_tree;
