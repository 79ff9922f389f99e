//! The one table of settings. Flags, environment variables, the file's keys, the help and `docs/configuration.md` are made from it.
//! Not here: where values come from (`layers`), what they mean (`config`).

/// The flag that names the file; it is no setting, since a file cannot name itself.
pub(crate) const CONFIG_FILE: &str = "config";

/// What the values of a switch look like.
const SWITCH: &str = "on|off";

/// What an environment variable's name starts with.
const ENVIRONMENT_PREFIX: &str = "KURA_";

/// One thing that an operator decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    Listen,
    UnixSocket,
    TlsCertificate,
    TlsKey,
    TlsClients,
    Auth,
    AuthTokens,
    AuthRules,
    InsecureAnonymous,
    Tenants,
    OverlayQuota,
    OverlayAge,
    DataDir,
    Capacity,
    MinFree,
    Durability,
    SyncInterval,
    MaxArtifactSize,
    Compress,
    Lease,
    ScrubRate,
    DrainTimeout,
    RoomWait,
    IdleTimeout,
    HeaderTimeout,
    UploadPace,
    StreamWindow,
    ConnectionWindow,
    ConnectionAge,
    ResumableUploads,
    Fetch,
    FetchNetworks,
    FetchTimeout,
    FetchKeep,
    MaxConnections,
    Memory,
    OpenFiles,
    OpaquePrefixes,
    S3KeyId,
    S3SecretFile,
    FingerprintSeed,
    LogFormat,
    LogLevel,
}

/// How a setting is written and explained.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spec {
    /// The flag without its dashes, and the key in the file.
    pub(crate) name: &'static str,
    /// What its value looks like.
    pub(crate) value: &'static str,
    /// As it would be written.
    pub(crate) default: &'static str,
    pub(crate) help: &'static str,
}

impl Spec {
    /// Whether it is something that is done or not.
    pub(crate) fn is_switch(&self) -> bool {
        self.value == SWITCH
    }

    /// The environment variable.
    pub(crate) fn variable(&self) -> String {
        format!("{ENVIRONMENT_PREFIX}{}", self.name.to_uppercase().replace('-', "_"))
    }
}

impl Setting {
    pub(crate) const ALL: [Setting; 43] = [
        Setting::Listen,
        Setting::UnixSocket,
        Setting::TlsCertificate,
        Setting::TlsKey,
        Setting::TlsClients,
        Setting::Auth,
        Setting::AuthTokens,
        Setting::AuthRules,
        Setting::InsecureAnonymous,
        Setting::Tenants,
        Setting::OverlayQuota,
        Setting::OverlayAge,
        Setting::DataDir,
        Setting::Capacity,
        Setting::MinFree,
        Setting::Durability,
        Setting::SyncInterval,
        Setting::MaxArtifactSize,
        Setting::Compress,
        Setting::Lease,
        Setting::ScrubRate,
        Setting::DrainTimeout,
        Setting::RoomWait,
        Setting::IdleTimeout,
        Setting::HeaderTimeout,
        Setting::UploadPace,
        Setting::StreamWindow,
        Setting::ConnectionWindow,
        Setting::ConnectionAge,
        Setting::ResumableUploads,
        Setting::Fetch,
        Setting::FetchNetworks,
        Setting::FetchTimeout,
        Setting::FetchKeep,
        Setting::MaxConnections,
        Setting::Memory,
        Setting::OpenFiles,
        Setting::OpaquePrefixes,
        Setting::S3KeyId,
        Setting::S3SecretFile,
        Setting::FingerprintSeed,
        Setting::LogFormat,
        Setting::LogLevel,
    ];

    pub(crate) fn spec(self) -> Spec {
        let (name, value, default, help) = match self {
            Setting::Listen => ("listen", "ADDRESS:PORT", "127.0.0.1:8380", "Where to serve; port 0 takes a free one"),
            Setting::UnixSocket => (
                "unix-socket",
                "PATH",
                "",
                "Serve on a unix socket too, for this user and its group, without TLS; none: only at the address",
            ),
            Setting::TlsCertificate => (
                "tls-certificate",
                "FILE",
                "",
                "Serve under TLS, and show the certificate in this PEM file, with those that vouch for it; read again when it changes",
            ),
            Setting::TlsKey => ("tls-key", "FILE", "", "The PEM file with the certificate's key"),
            Setting::TlsClients => (
                "tls-clients",
                "FILE",
                "",
                "A PEM file with the certificates of authorities: only clients that one of them vouches for may connect; none: any",
            ),
            Setting::Auth => (
                "auth",
                SWITCH,
                "off",
                "Whether clients have to say who they are, with a token that `kura token create` made, or one that --auth-rules is about",
            ),
            Setting::AuthTokens => (
                "auth-tokens",
                "FILE",
                "",
                "The file of tokens; read again when it changes; none: `tokens` in the data directory",
            ),
            Setting::AuthRules => (
                "auth-rules",
                "FILE",
                "",
                "A TOML file that says whose tokens (JWT) and certificates are taken besides, and what they lead to; read again when it changes; none: nobody's",
            ),
            Setting::InsecureAnonymous => (
                "insecure-anonymous",
                SWITCH,
                "off",
                "Whether to listen beyond this machine although nobody is asked who they are: anyone who reaches the port may store and delete",
            ),
            Setting::Tenants => (
                "tenants",
                "FILE",
                "",
                "A TOML file that says how many requests a second and uploads at a time each tenant may make, and how long its values are there; read again when it changes; none: as many as come, for good",
            ),
            Setting::OverlayQuota => (
                "overlay-quota",
                "SIZE",
                "10GiB",
                "The most bytes that are taken from those who write to one overlay; beyond, they are refused, and nothing is evicted",
            ),
            Setting::OverlayAge => {
                ("overlay-age", "DURATION", "14d", "How long what was written to an overlay is there")
            }
            Setting::DataDir => (
                "data-dir",
                "DIR",
                "$XDG_DATA_HOME/kura, else ~/.local/share/kura, else /var/lib/kura",
                "The directory that holds everything; made if it is not there",
            ),
            Setting::Capacity => (
                "capacity",
                "SIZE|PERCENT",
                "50%",
                "The most that the data directory ever occupies, such as 20GiB or 40% of its filesystem; never above 80% of that, 136MiB at least",
            ),
            Setting::MinFree => (
                "min-free",
                "SIZE|PERCENT",
                "1%",
                "What to leave free on the filesystem: where others use it up, the cache gives way",
            ),
            Setting::Durability => (
                "durability",
                "always|interval|none",
                "always",
                "What an acknowledged write survives: a power cut; a power cut but for the last interval; a killed process",
            ),
            Setting::SyncInterval => ("sync-interval", "DURATION", "1s", "The interval of durability `interval`"),
            Setting::MaxArtifactSize => {
                ("max-artifact-size", "SIZE", "2GiB", "The largest body taken; never above a quarter of the capacity")
            }
            Setting::Compress => (
                "compress",
                SWITCH,
                "off",
                "Whether to compress blobs of up to 1MiB that come as they are, where that makes them smaller by an eighth; costs processor time",
            ),
            Setting::Lease => (
                "lease",
                "DURATION",
                "3h",
                "How long an artifact is kept after a client was told that it is there; 10d at most",
            ),
            Setting::ScrubRate => (
                "scrub-rate",
                "SIZE",
                "4MiB",
                "The most bytes a second that are read in the background to check what is stored; 0: nothing is",
            ),
            Setting::DrainTimeout => (
                "drain-timeout",
                "DURATION",
                "30s",
                "How long requests in flight may take to end after SIGTERM or SIGINT",
            ),
            Setting::RoomWait => (
                "room-wait",
                "DURATION",
                "20s",
                "How long a write waits for room before its client is told to come back",
            ),
            Setting::IdleTimeout => (
                "idle-timeout",
                "DURATION",
                "60s",
                "How long a connection may stand still, between requests or in the middle of one",
            ),
            Setting::HeaderTimeout => {
                ("header-timeout", "DURATION", "30s", "How long the head of a request may take from its first byte on")
            }
            Setting::UploadPace => (
                "upload-pace",
                "SIZE",
                "64KiB",
                "The least bytes a second at which an upload has to come in, averaged over a minute; 0: any",
            ),
            Setting::StreamWindow => (
                "http2-stream-window",
                "SIZE",
                "8MiB",
                "What a gRPC client may have under way in one upload: divided by the round trip, the most that one upload moves a second; 64KiB to 1GiB",
            ),
            Setting::ConnectionWindow => (
                "http2-connection-window",
                "SIZE",
                "16MiB",
                "The same over all calls of a connection, and the most memory that its uploads wait in; 64KiB to 1GiB",
            ),
            Setting::ConnectionAge => (
                "http2-connection-age",
                "DURATION",
                "1h",
                "How old a gRPC connection gets before its client is asked for a new one, so that load spreads; at twice that, what still runs on it is cut off; 0s: any age",
            ),
            Setting::ResumableUploads => (
                "resumable-uploads",
                "NUMBER",
                "256",
                "The most gRPC uploads that broke off and are kept, so that they may go on within a minute; beyond, the oldest begins anew",
            ),
            Setting::Fetch => (
                "fetch",
                SWITCH,
                "off",
                "Whether Remote Asset's FetchBlob fetches http and https URIs from their origins that nothing is remembered for",
            ),
            Setting::FetchNetworks => (
                "fetch-networks",
                "NETWORK,…",
                "",
                "Networks that are fetched from although they are not public, such as 10.1.0.0/16",
            ),
            Setting::FetchTimeout => ("fetch-timeout", "DURATION", "10m", "How long one fetch may take"),
            Setting::FetchKeep => (
                "fetch-keep",
                "DURATION",
                "1h",
                "How long it is remembered what a URI led to that was fetched without a checksum",
            ),
            Setting::MaxConnections => {
                ("max-connections", "NUMBER", "8192", "The most connections at a time; more wait")
            }
            Setting::Memory => (
                "memory",
                "SIZE|PERCENT",
                "50%",
                "The most memory that this process takes, as a size or a share of what it may use; 256MiB at least. Beyond, requests are told to come back, and the oldest is evicted where the index is too large",
            ),
            Setting::OpenFiles => ("open-files", "NUMBER", "256", "The most segment files kept open for reading"),
            Setting::OpaquePrefixes => (
                "opaque-prefixes",
                "PREFIX,…",
                "",
                "Prefixes of Bazel's paths, such as /moon, under which /ac/ holds bytes that are no action results",
            ),
            Setting::S3KeyId => (
                "s3-key-id",
                "ID",
                "",
                "Serve S3 under /s3, to clients that sign with this access key id and its secret; none: S3 is not served",
            ),
            Setting::S3SecretFile => ("s3-secret-file", "FILE", "", "The file with that key's secret, on one line"),
            Setting::FingerprintSeed => (
                "fingerprint-seed",
                "32 HEX DIGITS",
                "",
                "For stores that are to share a bucket or a mesh later; used only when a store is made; none: random",
            ),
            Setting::LogFormat => (
                "log-format",
                "auto|human|json",
                "auto",
                "How to log to standard error; auto: human on a terminal, else JSON",
            ),
            Setting::LogLevel => (
                "log-level",
                "FILTER",
                "info",
                "What to log: error, warn, info, debug, trace, or by module, such as info,kura_store=debug",
            ),
        };
        Spec { name, value, default, help }
    }

    /// The setting of this name, as a flag or key.
    pub(crate) fn named(name: &str) -> Option<Setting> {
        Setting::ALL.into_iter().find(|setting| setting.spec().name == name)
    }

    /// The name that somebody who wrote `wrong` may have meant.
    pub(crate) fn nearest(wrong: &str) -> &'static str {
        let wrong = wrong.to_lowercase().replace('_', "-");
        let distance = |setting: &Setting| strsim::damerau_levenshtein(setting.spec().name, &wrong);
        Setting::ALL.iter().min_by_key(|setting| distance(setting)).map_or("", |setting| setting.spec().name)
    }

    /// What an environment variable means to us.
    pub(crate) fn of_variable(variable: &str) -> Variable {
        let Some(rest) = variable.strip_prefix(ENVIRONMENT_PREFIX) else { return Variable::Foreign };
        let name = rest.to_lowercase().replace('_', "-");
        if let Some(setting) = Setting::named(&name) {
            return Variable::Of(setting);
        }
        if name == CONFIG_FILE {
            return Variable::ConfigFile;
        }
        let nearest = Setting::nearest(&name);
        if strsim::damerau_levenshtein(nearest, &name) <= TYPING_ERROR {
            return Variable::Mistyped(nearest);
        }
        Variable::Unknown
    }
}

/// Names this near to a setting's are mistyped, not meant for somebody else.
const TYPING_ERROR: usize = 2;

/// See [`Setting::of_variable`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Variable {
    Foreign,
    Of(Setting),
    ConfigFile,
    Mistyped(&'static str),
    /// With our prefix, but like nothing of ours: orchestrators make up such names for a service called kura.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_has_a_name_of_its_own() {
        for setting in Setting::ALL {
            assert_eq!(Setting::named(setting.spec().name), Some(setting));
        }
    }

    #[test]
    fn variables_are_told_apart() {
        assert_eq!(Setting::of_variable("HOME"), Variable::Foreign);
        assert_eq!(Setting::of_variable("KURA_DATA_DIR"), Variable::Of(Setting::DataDir));
        assert_eq!(Setting::of_variable("KURA_CONFIG"), Variable::ConfigFile);
        assert_eq!(Setting::of_variable("KURA_CAPCITY"), Variable::Mistyped("capacity"));
        assert_eq!(Setting::of_variable("KURA_SERVICE_PORT_HTTP"), Variable::Unknown);
    }
}
