//! What every crate with targets has as a test: they hold of every input in the corpora. Included by path, since it is no crate's.

use std::path::Path;

/// Runs each target on all that its corpus holds. The input that fails is the last that is printed.
pub(super) fn replay(targets: &[super::Target]) {
    for (name, target) in targets {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
        let inputs = std::fs::read_dir(&corpus).unwrap_or_else(|error| panic!("{}: {error}", corpus.display()));
        let mut count = 0;
        for input in inputs {
            let path = input.unwrap().path();
            println!("{}", path.display());
            target(&std::fs::read(path).unwrap());
            count += 1;
        }
        assert!(count > 0, "{} is empty", corpus.display());
        target(&[]);
    }
}
