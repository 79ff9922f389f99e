//! `ContentAddressableStorage`, one file a group of methods.

mod batch;
mod find_missing;

pub(crate) use batch::{batch_read, batch_update};
pub(crate) use find_missing::find_missing;
