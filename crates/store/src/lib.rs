//! Everything is a segment (being written).

pub mod types;
