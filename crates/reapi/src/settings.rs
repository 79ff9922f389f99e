//! What an operator decides about the gRPC side. Plain values: each is valid whatever it is.

use std::time::Duration;

/// How gRPC's clients are treated. Sizes are bytes.
#[derive(Debug, Clone)]
pub struct ReapiSettings {
    /// How long a message on its way in may stand still.
    pub idle_timeout: Duration,
    /// The least bytes a second at which an upload has to come in, averaged over [`ReapiSettings::pace_window`]. Zero: any pace will do.
    pub upload_pace: u64,
    /// Over how long the pace is averaged.
    pub pace_window: Duration,
    /// The most uploads that broke off and are kept, so that they may go on.
    pub resumable_uploads: usize,
    /// How long they are kept.
    pub resumable_for: Duration,
    /// How blobs are fetched from their origins, if they are.
    pub fetch: Option<FetchSettings>,
}

/// How blobs are fetched from their origins.
#[derive(Debug, Clone)]
pub struct FetchSettings {
    /// Which origins.
    pub origins: kura_origin::Settings,
    /// How long one fetch may take.
    pub timeout: Duration,
    /// How long it is remembered what a URI without a checksum led to.
    pub keep: Duration,
}

impl Default for ReapiSettings {
    fn default() -> ReapiSettings {
        ReapiSettings {
            idle_timeout: Duration::from_secs(60),
            upload_pace: 64 * 1024,
            pace_window: Duration::from_secs(60),
            resumable_uploads: 256,
            resumable_for: Duration::from_secs(60),
            fetch: None,
        }
    }
}
