//! Every sync is needed.
