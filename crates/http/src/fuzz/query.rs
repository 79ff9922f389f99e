//! The query of a request: which tenant and namespace it says.

use kura_auth::Access;

use crate::key;
use crate::scope::named;

pub(super) fn target(bytes: &[u8]) {
    let Ok(query) = str::from_utf8(bytes) else { return };
    let Ok(said) = named(Some(query), &[]) else { return };
    let scope = Access::anyone().scope(said).unwrap();
    let [tenant, namespace] =
        [scope.tenant.as_str(), scope.namespace.as_str()].map(|name| key::encode(name.as_bytes()));
    let names = [("tenant_id", "namespace_id"), ("account_handle", "project_handle")];
    for (of_tenant, of_namespace) in names {
        // What is said later does not count.
        let said = format!("{of_namespace}={namespace}&{of_tenant}={tenant}&{query}");
        let again = Access::anyone().scope(named(Some(&said), &[]).unwrap());
        assert_eq!(again.as_ref(), Ok(&scope), "{said}");
    }
}
