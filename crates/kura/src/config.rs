//! The settings, checked: what the rest of the binary works with.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use kura_http::ServerSettings;
use kura_reapi::FetchSettings;
use kura_store::Durability;

use crate::auth::{AuthFiles, RulesFile, TokensFile};
use crate::layers::{ConfigError, Layers};
use crate::s3::S3Pair;
use crate::settings::Setting;
use crate::tenants::TenantsFile;
use crate::tls::TlsFiles;
use crate::value::{self, Share};

/// How to log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Auto,
    Human,
    Json,
}

/// Everything that an operator decided.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) unix_socket: Option<PathBuf>,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) s3: Option<S3Pair>,
    /// Where those are kept who may do something; without, anyone may do everything.
    pub(crate) auth: Option<AuthFiles>,
    /// Where it is kept what each tenant may take.
    pub(crate) tenants: Option<TenantsFile>,
    pub(crate) data_dir: PathBuf,
    pub(crate) capacity: Share,
    pub(crate) min_free: Share,
    pub(crate) durability: Durability,
    pub(crate) max_artifact_size: u64,
    pub(crate) cache: kura_cache::Settings,
    pub(crate) lease: Duration,
    pub(crate) scrub_rate: u64,
    pub(crate) drain_timeout: Duration,
    pub(crate) room_wait: Duration,
    pub(crate) memory: Share,
    pub(crate) open_files: usize,
    pub(crate) fingerprint_seed: Option<[u8; 16]>,
    pub(crate) resumable_uploads: usize,
    /// Without the certificates that the system trusts.
    pub(crate) fetch: Option<FetchSettings>,
    pub(crate) server: ServerSettings,
    pub(crate) log_format: LogFormat,
    pub(crate) log_level: String,
}

impl Config {
    /// # Errors
    /// Names the setting, where its value came from, and what was expected.
    pub(crate) fn check(layers: &Layers) -> Result<Config, ConfigError> {
        let interval = parse(layers, Setting::SyncInterval, waitable)?;
        let (tls, auth) = (tls(layers)?, auth(layers)?);
        Ok(Config {
            listen: listen(layers, auth.is_some() || tls.as_ref().is_some_and(|tls| tls.clients.is_some()))?,
            unix_socket: parse(layers, Setting::UnixSocket, file_or_none)?,
            tls,
            s3: s3(layers, auth.is_some())?,
            auth,
            tenants: parse(layers, Setting::Tenants, file_or_none)?.map(TenantsFile),
            data_dir: parse(layers, Setting::DataDir, directory)?,
            capacity: parse(layers, Setting::Capacity, value::share)?,
            min_free: parse(layers, Setting::MinFree, share_or_none)?,
            durability: parse(layers, Setting::Durability, |text| durability(text, interval))?,
            max_artifact_size: parse(layers, Setting::MaxArtifactSize, value::size)?,
            cache: kura_cache::Settings {
                compress: parse(layers, Setting::Compress, value::switch)?,
                overlays: kura_cache::OverlaySettings {
                    quota: parse(layers, Setting::OverlayQuota, value::size)?,
                    age: parse(layers, Setting::OverlayAge, waitable)?,
                },
                ..kura_cache::Settings::default()
            },
            lease: parse(layers, Setting::Lease, lease)?,
            scrub_rate: parse(layers, Setting::ScrubRate, value::size)?,
            drain_timeout: parse(layers, Setting::DrainTimeout, value::duration)?,
            room_wait: parse(layers, Setting::RoomWait, value::duration)?,
            memory: parse(layers, Setting::Memory, memory)?,
            open_files: parse(layers, Setting::OpenFiles, value::count)?,
            fingerprint_seed: parse(layers, Setting::FingerprintSeed, value::seed)?,
            resumable_uploads: parse(layers, Setting::ResumableUploads, value::count)?,
            fetch: fetch(layers)?,
            server: ServerSettings {
                max_connections: parse(layers, Setting::MaxConnections, value::count)?,
                header_timeout: parse(layers, Setting::HeaderTimeout, waitable)?,
                idle_timeout: parse(layers, Setting::IdleTimeout, waitable)?,
                upload_pace: parse(layers, Setting::UploadPace, value::size)?,
                stream_window: parse(layers, Setting::StreamWindow, value::window)?,
                connection_window: parse(layers, Setting::ConnectionWindow, value::window)?,
                connection_age: parse(layers, Setting::ConnectionAge, age)?,
                opaque_prefixes: parse(layers, Setting::OpaquePrefixes, value::prefixes)?,
                ..ServerSettings::default()
            },
            log_format: parse(layers, Setting::LogFormat, log_format)?,
            log_level: parse(layers, Setting::LogLevel, log_level)?,
        })
    }
}

/// Where to listen: nobody beyond this machine is served without being known, unless that is said.
fn listen(layers: &Layers, asks: bool) -> Result<SocketAddr, ConfigError> {
    let anonymous = parse(layers, Setting::InsecureAnonymous, value::switch)?;
    parse(layers, Setting::Listen, |text| {
        let address = address(text)?;
        if asks || anonymous || address.ip().is_loopback() {
            return Ok(address);
        }
        Err("beyond this machine clients have to say who they are: see --auth and --tls-clients, or \
             --insecure-anonymous if anyone who reaches the port may store and delete"
            .to_owned())
    })
}

fn auth(layers: &Layers) -> Result<Option<AuthFiles>, ConfigError> {
    let rules =
        parse(layers, Setting::AuthRules, |text| Ok(Some(RulesFile(text.into())).filter(|_| !text.is_empty())))?;
    let files = AuthFiles { tokens: tokens(layers)?, rules };
    Ok(parse(layers, Setting::Auth, value::switch)?.then_some(files))
}

/// Where tokens are kept.
///
/// # Errors
/// Where a setting is wrong that says so.
pub(crate) fn tokens(layers: &Layers) -> Result<TokensFile, ConfigError> {
    let directory = parse(layers, Setting::DataDir, directory)?;
    parse(layers, Setting::AuthTokens, |text| {
        Ok(TokensFile(if text.is_empty() { directory.join(kura_store::format::TOKENS) } else { text.into() }))
    })
}

/// A certificate and its key come together.
fn tls(layers: &Layers) -> Result<Option<TlsFiles>, ConfigError> {
    let file = |setting| parse(layers, setting, file_or_none);
    let clients = file(Setting::TlsClients)?;
    match (file(Setting::TlsCertificate)?, file(Setting::TlsKey)?) {
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key, clients })),
        (None, None) if clients.is_none() => Ok(None),
        (None, _) => {
            parse(layers, Setting::TlsCertificate, |_| Err("expected a file, since another of TLS is named".to_owned()))
        }
        (_, None) => {
            parse(layers, Setting::TlsKey, |_| Err("expected a file, since a certificate is named".to_owned()))
        }
    }
}

/// An id and its secret come together, and not where each token has a pair of its own.
fn s3(layers: &Layers, asks: bool) -> Result<Option<S3Pair>, ConfigError> {
    let text = |setting| parse(layers, setting, |text| Ok(Some(text.to_owned()).filter(|text| !text.is_empty())));
    match (text(Setting::S3KeyId)?, text(Setting::S3SecretFile)?) {
        (Some(_), Some(_)) if asks => parse(layers, Setting::S3KeyId, |_| {
            Err("expected none beside --auth: each token has a key pair, which `kura token s3 ID` prints".to_owned())
        }),
        (Some(id), Some(file)) => Ok(Some(S3Pair { id, file: file.into() })),
        (None, None) => Ok(None),
        (None, Some(_)) => {
            parse(layers, Setting::S3KeyId, |_| Err("expected an id, since a file with a secret is named".to_owned()))
        }
        (Some(_), None) => {
            parse(layers, Setting::S3SecretFile, |_| Err("expected a file, since an id is named".to_owned()))
        }
    }
}

/// Its settings are checked also where nothing is fetched.
fn fetch(layers: &Layers) -> Result<Option<FetchSettings>, ConfigError> {
    let settings = FetchSettings {
        origins: kura_origin::Settings {
            networks: parse(layers, Setting::FetchNetworks, value::networks)?,
            roots: Vec::new(),
            stall: parse(layers, Setting::IdleTimeout, waitable)?,
        },
        timeout: parse(layers, Setting::FetchTimeout, waitable)?,
        keep: parse(layers, Setting::FetchKeep, value::duration)?,
    };
    Ok(parse(layers, Setting::Fetch, value::switch)?.then_some(settings))
}

fn parse<T>(layers: &Layers, setting: Setting, parser: impl Fn(&str) -> Result<T, String>) -> Result<T, ConfigError> {
    let written = layers.of(setting);
    parser(&written.value).map_err(|expected| ConfigError::Invalid {
        name: setting.spec().name,
        place: written.source.clone(),
        value: written.value.clone(),
        expected,
    })
}

fn address(text: &str) -> Result<SocketAddr, String> {
    use std::net::ToSocketAddrs;
    let found = text.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    found.ok_or_else(|| "expected an address and a port, such as 127.0.0.1:8380 or [::]:8380".to_owned())
}

fn directory(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("expected a directory".to_owned()) } else { Ok(PathBuf::from(text)) }
}

/// A file that may be none.
fn file_or_none(text: &str) -> Result<Option<PathBuf>, String> {
    Ok((!text.is_empty()).then(|| PathBuf::from(text)))
}

/// A share that may be nothing.
fn share_or_none(text: &str) -> Result<Share, String> {
    if text.trim() == "0%" { Ok(Share::Bytes(0)) } else { value::share(text) }
}

/// Memory, of which there has to be a least.
fn memory(text: &str) -> Result<Share, String> {
    match value::share(text)? {
        Share::Bytes(bytes) if bytes < crate::memory::LEAST => Err("expected at least 256MiB".to_owned()),
        share => Ok(share),
    }
}

/// A duration that something can be waited for.
fn waitable(text: &str) -> Result<Duration, String> {
    let duration = value::duration(text)?;
    if duration.is_zero() { Err("expected a duration above zero".to_owned()) } else { Ok(duration) }
}

/// A lease that the store can keep apart from a new one.
fn lease(text: &str) -> Result<Duration, String> {
    let lease = value::duration(text)?;
    if lease > kura_store::Settings::MAX_LEASE { Err("expected at most 10 days".to_owned()) } else { Ok(lease) }
}

/// An age, where none at all means any.
fn age(text: &str) -> Result<Option<Duration>, String> {
    value::duration(text).map(|age| Some(age).filter(|age| !age.is_zero()))
}

fn durability(text: &str, interval: Duration) -> Result<Durability, String> {
    match text {
        "always" => Ok(Durability::Always),
        "interval" => Ok(Durability::Interval(interval)),
        "none" => Ok(Durability::None),
        _ => Err("expected always, interval or none".to_owned()),
    }
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "auto" => Ok(LogFormat::Auto),
        "human" => Ok(LogFormat::Human),
        "json" => Ok(LogFormat::Json),
        _ => Err("expected auto, human or json".to_owned()),
    }
}

fn log_level(text: &str) -> Result<String, String> {
    let filter: Result<tracing_subscriber::EnvFilter, _> = text.parse();
    filter.map(|_| text.to_owned()).map_err(|_| "expected a filter, such as info or info,kura_store=debug".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(flags: &[&str]) -> Result<Config, ConfigError> {
        let matches = crate::command().try_get_matches_from(["kura", "serve"].iter().chain(flags)).unwrap();
        Config::check(&Layers::gather(matches.subcommand().unwrap().1, std::iter::empty())?)
    }

    #[test]
    fn the_defaults_hold() {
        let config = check(&[]).unwrap();
        assert_eq!(config.listen, SocketAddr::from(([127, 0, 0, 1], 8380)));
        assert_eq!(config.capacity, Share::Percent(50));
        assert_eq!(config.cache, kura_cache::Settings::default());
        assert_eq!(config.durability, Durability::Always);
        assert_eq!(config.lease, Duration::from_secs(3 * 3600));
        assert_eq!(config.scrub_rate, 4 << 20);
        assert_eq!(check(&["--lease", "10d"]).unwrap().lease, kura_store::Settings::MAX_LEASE);
        assert_eq!(config.server.upload_pace, ServerSettings::default().upload_pace);
        assert_eq!(config.server.idle_timeout, ServerSettings::default().idle_timeout);
        assert_eq!(config.server.stream_window, ServerSettings::default().stream_window);
        assert_eq!(config.server.connection_window, ServerSettings::default().connection_window);
        assert_eq!(config.server.connection_age, ServerSettings::default().connection_age);
        assert_eq!(check(&["--http2-connection-age", "0s"]).unwrap().server.connection_age, None);
        assert_eq!(config.memory, Share::Percent(50));
    }

    #[test]
    fn beyond_this_machine_nobody_is_served_who_is_not_known() {
        let error = check(&["--listen", "0.0.0.0:1"]).unwrap_err().to_string();
        assert!(error.contains("`listen`") && error.contains("--insecure-anonymous"), "{error}");
        let tls = ["--listen", "[::]:1", "--tls-certificate", "/c", "--tls-key", "/k"];
        assert!(check(&tls).is_err(), "secret is not known");
        assert!(check(&[&tls[..], &["--tls-clients", "/a"]].concat()).is_ok());
        let config = check(&["--listen", "0.0.0.0:1", "--auth", "--data-dir", "/d"]).unwrap();
        let tokens = TokensFile("/d/tokens".into());
        assert_eq!(config.auth, Some(AuthFiles { tokens, rules: None }));
        for flags in [&["--listen", "0.0.0.0:1", "--insecure-anonymous"][..], &["--listen", "[::1]:1"]] {
            assert_eq!(check(flags).unwrap().auth, None);
        }
    }

    #[test]
    fn one_key_pair_for_all_is_only_for_those_who_ask_for_no_tokens() {
        let pair = ["--s3-key-id", "id", "--s3-secret-file", "/secret"];
        assert!(check(&pair).unwrap().s3.is_some());
        let error = check(&[&pair[..], &["--auth"]].concat()).unwrap_err().to_string();
        assert!(error.contains("`s3-key-id`") && error.contains("kura token s3"), "{error}");
    }

    #[test]
    fn nothing_is_fetched_unless_it_is_said() {
        assert!(check(&["--fetch-networks", "10.0.0.0/8"]).unwrap().fetch.is_none());
        let fetch = check(&["--fetch", "on", "--fetch-networks", "10.0.0.0/8, ::1"]).unwrap().fetch.unwrap();
        assert_eq!(fetch.origins.networks, ["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()]);
        assert_eq!((fetch.timeout, fetch.keep), (Duration::from_secs(600), Duration::from_secs(3600)));
    }

    #[test]
    fn a_bad_value_is_refused_with_its_name_its_place_and_what_was_expected() {
        let error = check(&["--capacity", "much"]).unwrap_err().to_string();
        assert!(
            error.contains("`capacity`") && error.contains("the command line") && error.contains("20GiB"),
            "{error}"
        );
        for flags in [
            ["--listen", "8380"],
            ["--tls-certificate", "/certificate.pem"],
            ["--tls-key", "/key.pem"],
            ["--tls-clients", "/clients.pem"],
            ["--s3-key-id", "id"],
            ["--s3-secret-file", "/secret"],
            ["--durability", "sometimes"],
            ["--idle-timeout", "0s"],
            ["--compress", "zstd"],
            ["--max-connections", "0"],
            ["--http2-stream-window", "63KiB"],
            ["--http2-connection-window", "2GiB"],
            ["--log-level", "info=info=info"],
            ["--lease", "-1h"],
            ["--memory", "255MiB"],
            ["--lease", "10d 1s"],
            ["--data-dir", ""],
            ["--fetch", "yes"],
            ["--fetch-networks", "10.0.0.0/33"],
            ["--fetch-timeout", "0s"],
        ] {
            assert!(check(&flags).is_err(), "{flags:?}");
        }
    }
}
