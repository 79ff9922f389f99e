//! Why nothing came, told apart by what who asked can do about it. The texts go to clients.

/// Why nothing came from an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// This is no URI that can be fetched.
    #[error("not a URI that is fetched here: {0}")]
    NotFetchable(&'static str),
    /// The origin does not have it.
    #[error("the origin answered {0}")]
    NotFound(http::StatusCode),
    /// The origin does not let us.
    #[error("the origin answered {0}")]
    Denied(http::StatusCode),
    /// It would lead to where nothing is fetched from.
    #[error("nothing is fetched from there: {0}")]
    Closed(&'static str),
    /// Not now.
    #[error("the origin cannot be reached: {0}")]
    Unavailable(String),
    /// Nothing came for too long.
    #[error("the origin took too long to {0}")]
    Slow(&'static str),
    /// An answer that cannot be used.
    #[error("the origin's answer cannot be used: {0}")]
    Unusable(String),
}
