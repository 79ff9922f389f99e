//! How long keyed values and action results are there: as long as the operator says of their namespace, else of their tenant, else of all. What is older
//! is a miss wherever it is asked for, and may be stored again; nothing looks for it, and it is evicted in its turn. Blobs are what their digests
//! say at any age; those that lie in an overlay end with it (`overlay`).
//! What holds may be changed while the cache is used.

use std::collections::HashMap;
use std::time::Duration;

use kura_store::key::RecordKey;
use parking_lot::RwLock;

use crate::artifact::{Kind, Namespace, OVERLAY_MARK, Scope, Tenant};
use crate::{Cache, Version};

/// How long values are there; for good, where nothing is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ages {
    /// Of tenants of which nothing is said.
    pub all: Option<Duration>,
    /// Of those of which something is.
    pub tenants: HashMap<Tenant, TenantAges>,
}

/// How long a tenant's values are there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TenantAges {
    /// In namespaces of which nothing is said.
    pub all: Option<Duration>,
    /// In those of which something is.
    pub namespaces: HashMap<Namespace, Duration>,
}

impl Ages {
    fn of(&self, scope: &Scope) -> Option<Duration> {
        let tenant = self.tenants.get(&scope.tenant);
        let of_namespace = tenant.and_then(|tenant| tenant.namespaces.get(&scope.namespace).copied());
        of_namespace.or(tenant.and_then(|tenant| tenant.all)).or(self.all)
    }
}

/// What holds now.
#[derive(Default)]
pub(crate) struct InForce(RwLock<Ages>);

impl Cache {
    /// From here on values are there for so long, those that are stored already included.
    pub fn replace_ages(&self, ages: Ages) {
        *self.inner.ages.0.write() = ages;
    }

    /// Whether what was stored then under a record, which is of that scope or below it, is there still.
    pub(crate) fn is_fresh(&self, scope: &Scope, record: &RecordKey, version: Version) -> bool {
        let of_value = if grows_old(record) { self.inner.ages.0.read().of(scope) } else { None };
        let in_overlay = scope.overlay.is_some() && record.namespace().contains(OVERLAY_MARK);
        let of_overlay = in_overlay.then_some(self.inner.settings.overlays.age);
        let limits = of_value.into_iter().chain(of_overlay);
        limits.min().is_none_or(|limit| self.age(version) <= limit)
    }

    /// How long ago that was, by a clock that may have been set since.
    pub(crate) fn age(&self, version: Version) -> Duration {
        Duration::from_millis(self.inner.runtime.unix_millis().saturating_sub(version.unix_millis()))
    }
}

/// Content does not, and uploads under way have an age of their own.
fn grows_old(record: &RecordKey) -> bool {
    ![Kind::Cas, Kind::Upload, Kind::Part].map(|kind| kind as u8).contains(&record.kind().0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_namespace_counts_before_what_is_said_of_its_tenant_and_of_all() {
        let scope = |tenant: &'static str, namespace: &'static str| Scope {
            tenant: Tenant::parse(tenant).unwrap(),
            namespace: Namespace::parse(namespace).unwrap(),
            overlay: None,
        };
        let seconds = Duration::from_secs;
        let namespaces = |name: &'static str, age| HashMap::from([(Namespace::parse(name).unwrap(), seconds(age))]);
        let tenant =
            |name: &'static str, all, namespaces| (Tenant::parse(name).unwrap(), TenantAges { all, namespaces });
        let tenants = HashMap::from([
            tenant("a", Some(seconds(2)), namespaces("ios", 3)),
            tenant("b", None, namespaces("ios", 4)),
        ]);
        let ages = Ages { all: Some(seconds(1)), tenants };
        let of = |tenant, namespace| ages.of(&scope(tenant, namespace)).map(|age| age.as_secs());
        assert_eq!(
            [of("a", "ios"), of("a", "web"), of("b", "ios"), of("b", "web"), of("c", "ios")],
            [3, 2, 4, 1, 1].map(Some)
        );
        assert_eq!(Ages::default().of(&scope("a", "ios")), None);
    }
}
