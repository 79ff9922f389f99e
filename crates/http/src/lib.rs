//! The HTTP adapter: which path belongs to which surface, and nothing else.

mod serve;
mod settings;

pub use serve::{Drained, Handle, Server};
pub use settings::ServerSettings;
