//! The checks, a file for each method or part of one.

mod action_complete;
mod action_get;
mod action_update;
mod asset_blob;
mod asset_directory;
mod batch_read;
mod batch_update;
mod capabilities;
mod digests;
mod execution;
mod find_missing;
pub(crate) mod health;
mod instances;
mod malformed;
mod query;
mod read;
pub(crate) mod reflection;
mod splice;
mod splice_errors;
mod split;
mod streams;
mod tree;
mod wire;
mod write;
mod write_errors;
mod zstd_batch;
mod zstd_read;
mod zstd_used;
mod zstd_write;

use crate::check::Suite;

/// All of them.
pub(crate) fn all() -> Suite {
    let mut suite = Suite::default();
    capabilities::register(&mut suite);
    action_get::register(&mut suite);
    action_complete::register(&mut suite);
    action_update::register(&mut suite);
    find_missing::register(&mut suite);
    batch_update::register(&mut suite);
    batch_read::register(&mut suite);
    zstd_batch::register(&mut suite);
    tree::register(&mut suite);
    read::register(&mut suite);
    zstd_read::register(&mut suite);
    write::register(&mut suite);
    write_errors::register(&mut suite);
    zstd_write::register(&mut suite);
    zstd_used::register(&mut suite);
    query::register(&mut suite);
    digests::register(&mut suite);
    split::register(&mut suite);
    splice::register(&mut suite);
    splice_errors::register(&mut suite);
    asset_blob::register(&mut suite);
    asset_directory::register(&mut suite);
    instances::register(&mut suite);
    execution::register(&mut suite);
    health::register(&mut suite);
    reflection::register(&mut suite);
    wire::register(&mut suite);
    streams::register(&mut suite);
    suite
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    #[test]
    fn every_check_has_a_name_of_its_own() {
        let suite = super::all();
        let names: HashSet<String> = suite.checks.iter().map(crate::check::Check::name).collect();
        assert_eq!(names.len(), suite.checks.len());
    }
}
