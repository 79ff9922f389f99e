//! What an operator decides about the HTTP side. Plain values: each is valid whatever it is.

use std::time::Duration;

use s3s::auth::SecretKey;

/// How the server treats its clients. Sizes are bytes.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// The most connections at a time; further ones wait in the listener's queue.
    pub max_connections: usize,
    /// How long a request's head may take from its first byte on.
    pub header_timeout: Duration,
    /// How long a connection may stand still: between requests, in the middle of a body, or not taking its answer.
    pub idle_timeout: Duration,
    /// The least bytes a second at which a body has to come in, averaged over [`ServerSettings::pace_window`]. Zero: any pace will do.
    pub upload_pace: u64,
    /// Over how long the pace is averaged.
    pub pace_window: Duration,
    /// The most memory that connections, requests and what the cache keeps take together; requests beyond are told to come back.
    pub memory: u64,
    /// The most bytes that a client may have under way on one HTTP/2 stream: with the round trip it bounds one transfer's rate.
    pub stream_window: u32,
    /// The same over all streams of a connection.
    pub connection_window: u32,
    /// How old an HTTP/2 connection gets before its client is asked for a new one; `None`: any age.
    pub connection_age: Option<Duration>,
    /// Prefixes of Bazel's paths under which `/ac/` holds bytes that are no action results, such as `/moon`. Without a trailing `/`.
    pub opaque_prefixes: Vec<String>,
    /// The key pair that S3's clients sign with where they are not asked for tokens; `None`: they are refused.
    pub s3: Option<S3Key>,
}

/// The one key pair of S3's clients. It shows its secret to nobody.
#[derive(Debug, Clone)]
pub struct S3Key {
    pub(crate) id: String,
    pub(crate) secret: SecretKey,
}

impl S3Key {
    /// A pair as clients are given it.
    #[must_use]
    pub fn new(id: String, secret: String) -> S3Key {
        S3Key { id, secret: secret.into() }
    }
}

impl Default for ServerSettings {
    fn default() -> ServerSettings {
        ServerSettings {
            max_connections: 8192,
            header_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            upload_pace: 64 * 1024,
            pace_window: Duration::from_secs(60),
            memory: 512 << 20,
            stream_window: 8 << 20,
            connection_window: 16 << 20,
            connection_age: Some(Duration::from_secs(3600)),
            opaque_prefixes: Vec::new(),
            s3: None,
        }
    }
}
