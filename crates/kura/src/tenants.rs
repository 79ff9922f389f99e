//! The file that says what each tenant may take, and how long its values are there: read at the start, and again when it changes or on SIGHUP. One that cannot
//! be used changes nothing, and is named.
//! Not here: what comes of it (`kura_http::Tenants`, `kura_cache::Ages`, the quotas of `kura_store`).

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kura_cache::{Ages, Cache, InvalidKey, Namespace, Tenant, TenantAges};
use kura_http::{Quota, Quotas, Tenants};
use kura_store::Store;
use serde::Deserialize;

use crate::reload::{self, Seen, stamp};
use crate::value::{self, Share};

/// The file is looked at this often, and is taken at the second look.
const LOOK: Duration = Duration::from_millis(500);

/// The longest file taken, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The most tenants that are named: each has metrics of its own.
const MOST: usize = 1000;

/// A file that says nothing that can be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TenantsFileError {
    #[error("cannot read {path}: {source}; see --tenants")]
    Unreadable { path: String, source: io::Error },
    #[error("{path} cannot be used: {why}; see --tenants")]
    Unusable { path: String, why: Unusable },
}

/// Why it cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error(transparent)]
    Malformed(#[from] toml::de::Error),
    #[error("`{name}`: {why}")]
    Name { name: String, why: InvalidKey },
    #[error("at most {MOST} tenants are named")]
    TooMany,
}

/// Where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TenantsFile(pub(crate) PathBuf);

/// What it says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    quotas: Quotas,
    ages: Ages,
    /// What each may have of the capacity.
    bytes: Vec<(Tenant, Share)>,
}

/// Keeps what holds in step with the file.
pub(crate) struct Watch {
    file: TenantsFile,
    seen: Seen,
}

impl TenantsFile {
    /// # Errors
    /// Names the file.
    pub(crate) fn load(self) -> Result<(Terms, Watch), TenantsFileError> {
        let seen = Seen::of(stamp(&self.0));
        let terms = self.read()?;
        Ok((terms, Watch { file: self, seen }))
    }

    fn read(&self) -> Result<Terms, TenantsFileError> {
        let path = || self.0.display().to_string();
        let mut text = String::new();
        let read = File::open(&self.0).and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text));
        let read = read
            .and_then(|length| if length as u64 > MAX_FILE { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(()) });
        read.map_err(|source| TenantsFileError::Unreadable { path: path(), source })?;
        Terms::parse(&text).map_err(|why| TenantsFileError::Unusable { path: path(), why })
    }
}

impl Watch {
    /// Has that hold, and what the file says later, until the server ends.
    ///
    /// # Errors
    /// Where SIGHUP cannot be listened for.
    pub(crate) fn keep(mut self, terms: Terms, tenants: Arc<Tenants>, cache: Cache, store: Store) -> io::Result<()> {
        let hold = move |terms: Terms| {
            store.set_quotas(terms.bytes_of(store.stats().budget))?;
            tenants.replace(terms.quotas);
            cache.replace_ages(terms.ages);
            Ok::<(), kura_store::Error>(())
        };
        let say = |held| match held {
            Ok(()) => tracing::info!("what tenants may take was read again"),
            Err(error) => tracing::error!(%error, "what tenants may take stays as it was"),
        };
        hold(terms).map_err(io::Error::other)?;
        reload::keep(
            LOOK,
            move |asked| self.look(asked),
            move |found: Option<Terms>| found.map(&hold).into_iter().for_each(say),
        )
    }

    /// What the file says, if it has changed or somebody asked. What cannot be used is told of once, until it changes again.
    fn look(&mut self, asked: bool) -> Option<Terms> {
        if !self.seen.look(stamp(&self.file.0), asked) {
            return None;
        }
        self.file.read().map_err(|error| tracing::error!(%error, "what tenants may take stays as it was")).ok()
    }
}

/// As it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    default: Each,
    #[serde(default)]
    tenant: BTreeMap<String, OfTenant>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Each {
    requests: Option<NonZeroU32>,
    uploads: Option<NonZeroU32>,
    #[serde(default, deserialize_with = "age")]
    expire: Option<Duration>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfTenant {
    requests: Option<NonZeroU32>,
    uploads: Option<NonZeroU32>,
    #[serde(default, deserialize_with = "share")]
    bytes: Option<Share>,
    #[serde(default, deserialize_with = "age")]
    expire: Option<Duration>,
    #[serde(default)]
    namespace: BTreeMap<String, OfNamespace>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfNamespace {
    #[serde(default, deserialize_with = "age")]
    expire: Option<Duration>,
}

fn share<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Share>, D::Error> {
    value::share(&String::deserialize(from)?).map(Some).map_err(serde::de::Error::custom)
}

fn age<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let age = humantime::parse_duration(&String::deserialize(from)?).ok().filter(|age| !age.is_zero());
    age.map(Some).ok_or_else(|| serde::de::Error::custom("expected a duration above zero, such as 30d"))
}

impl Terms {
    fn parse(text: &str) -> Result<Terms, Unusable> {
        let Written { default, tenant: written } = toml::from_str(text)?;
        if written.len() > MOST {
            return Err(Unusable::TooMany);
        }
        let each = Quota { requests: default.requests, uploads: default.uploads };
        let (mut named, mut tenants, mut bytes) = (HashMap::new(), HashMap::new(), Vec::new());
        for (name, OfTenant { requests, uploads, bytes: share, expire, namespace }) in written {
            let tenant = Tenant::parse(name.clone()).map_err(|why| Unusable::Name { name, why })?;
            let quota = Quota { requests: requests.or(each.requests), uploads: uploads.or(each.uploads) };
            named.insert(tenant.clone(), quota);
            bytes.extend(share.map(|share| (tenant.clone(), share)));
            let mut namespaces = HashMap::new();
            for (name, OfNamespace { expire }) in namespace {
                let namespace = Namespace::parse(name.clone()).map_err(|why| Unusable::Name { name, why })?;
                namespaces.extend(expire.map(|age| (namespace, age)));
            }
            tenants.insert(tenant, TenantAges { all: expire, namespaces });
        }
        Ok(Terms { quotas: Quotas { each, named }, ages: Ages { all: default.expire, tenants }, bytes })
    }

    /// Quotas of a store of that capacity.
    pub(crate) fn bytes_of(&self, capacity: u64) -> Vec<kura_store::Quota> {
        let quota = |(tenant, share): &(Tenant, Share)| kura_store::Quota {
            tenant: tenant.as_str().to_owned(),
            bytes: share.of(capacity),
        };
        self.bytes.iter().map(quota).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        [default]
        requests = 500
        expire = "90d"

        [tenant.acme]
        uploads = 32

        [tenant.acme.namespace."ios/main"]
        expire = "30d"
    "#;

    #[test]
    fn what_is_not_said_of_a_tenant_is_what_is_said_of_all() {
        let terms = Terms::parse(TEXT).unwrap();
        let (requests, uploads) = (NonZeroU32::new(500), NonZeroU32::new(32));
        let acme = Tenant::parse("acme").unwrap();
        let named = HashMap::from([(acme.clone(), Quota { requests, uploads })]);
        assert_eq!(terms.quotas, Quotas { each: Quota { requests, uploads: None }, named });
        let days = |days: u64| Duration::from_secs(days * 24 * 3600);
        let namespaces = HashMap::from([(Namespace::parse("ios/main").unwrap(), days(30))]);
        let tenants = HashMap::from([(acme, TenantAges { all: None, namespaces })]);
        assert_eq!(terms.ages, Ages { all: Some(days(90)), tenants });
        assert_eq!(Terms::parse("").unwrap().quotas, Quotas::default());
        let quota = |tenant: &str, bytes| kura_store::Quota { tenant: tenant.to_owned(), bytes };
        let terms = Terms::parse("[tenant.a]\nbytes = \"2GiB\"\n[tenant.b]\nbytes = \"20%\"").unwrap();
        assert_eq!(terms.bytes_of(1000), [quota("a", 2 << 30), quota("b", 200)]);
    }

    #[test]
    fn what_is_not_understood_is_not_taken() {
        for (text, says) in [
            ("requests = 5", "requests"),
            ("[default]\nrequests = 0", "requests"),
            ("[default]\nrequest = 5", "request"),
            ("[tenant.acme]\nuploads = -1", "uploads"),
            ("[tenant.\"a/b\"]", "a/b"),
            ("[tenant.acme.namespace.\"a//b\"]", "a//b"),
            ("[tenant.acme.namespace.ios]\nrequests = 5", "requests"),
            ("[default]\nexpire = \"0s\"", "30d"),
            ("[default]\nexpire = 30", "expire"),
            ("[default]\nbytes = \"1GiB\"", "bytes"),
            ("[tenant.acme]\nbytes = \"0%\"", "1%"),
            ("[tenant.acme]\nbytes = 5", "string"),
        ] {
            let error = Terms::parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        let many: String = (0..=MOST).map(|number| format!("[tenant.t{number}]\n")).collect();
        assert!(matches!(Terms::parse(&many), Err(Unusable::TooMany)));
    }

    #[test]
    fn a_file_is_taken_when_it_changes_and_only_if_it_can_be_used() {
        let directory = tempfile::tempdir().unwrap();
        let file = TenantsFile(directory.path().join("tenants.toml"));
        let error = file.clone().load().err().unwrap().to_string();
        assert!(error.contains("tenants.toml") && error.contains("--tenants"), "{error}");
        std::fs::write(&file.0, TEXT).unwrap();
        let (terms, mut watch) = file.clone().load().unwrap();
        assert_eq!((watch.look(false), watch.look(true)), (None, Some(terms)));
        std::fs::write(&file.0, "[default]").unwrap();
        assert_eq!(watch.look(false), None, "it may not be written to its end");
        std::fs::write(&file.0, "[default]\nrequests = 1").unwrap();
        assert_eq!(watch.look(false), None);
        assert!(watch.look(false).is_some_and(|terms| terms.quotas.each.requests == NonZeroU32::new(1)));
        std::fs::write(&file.0, "[default").unwrap();
        assert_eq!((watch.look(false), watch.look(false)), (None, None));
        std::fs::remove_file(&file.0).unwrap();
        assert_eq!((watch.look(false), watch.look(false)), (None, None), "what held holds still");
    }
}
