//! The query of a request: which tenant and namespace it says.

use super::spelled;
use crate::scope::of_query;

pub(super) fn target(bytes: &[u8]) {
    let Ok(query) = str::from_utf8(bytes) else { return };
    let Ok(scope) = of_query(Some(query), &[]) else { return };
    let [tenant, namespace] = [scope.tenant.as_str(), scope.namespace.as_str()].map(|name| spelled(name.as_bytes()));
    let names = [("tenant_id", "namespace_id"), ("account_handle", "project_handle")];
    for (of_tenant, of_namespace) in names {
        // What is said later does not count.
        let said = format!("{of_namespace}={namespace}&{of_tenant}={tenant}&{query}");
        assert_eq!(of_query(Some(&said), &[]).as_ref(), Ok(&scope), "{said}");
    }
}
