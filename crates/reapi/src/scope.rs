//! Tenant and namespace of a call, by its instance name: `tenant/namespace`, `namespace`, or nothing. What comes after the first `/` is the namespace,
//! further ones included: no two instance names with a `/` mean the same. What is not named, and what may be, is for who calls (`kura-auth`).

use kura_auth::{Access, Named};
use kura_cache::{InvalidKey, Namespace, Scope, Tenant};
use tonic::Status;

use crate::status;

/// No part of an instance name may be one of these: resource names could not be told apart.
pub(crate) const RESERVED: [&str; 7] =
    ["blobs", "uploads", "actions", "actionResults", "operations", "capabilities", "compressed-blobs"];

/// What an instance name stands for.
///
/// # Errors
/// `INVALID_ARGUMENT`; `UNAUTHENTICATED`, `PERMISSION_DENIED` for what is out of reach.
pub(crate) fn of_instance(access: &Access, name: &str) -> Result<Scope, Status> {
    access.scope(named(name)?).map_err(|denied| status::of_denied(&denied))
}

fn named(name: &str) -> Result<Named, Status> {
    // An empty instance comes from some clients as a name that starts with `/`.
    let name = name.trim_matches('/');
    if name.is_empty() {
        return Ok(Named::default());
    }
    if name.split('/').any(|part| RESERVED.contains(&part)) {
        return Err(Status::invalid_argument("no part of an instance name may be a word that resource names use"));
    }
    parse(name).map_err(status::of_key)
}

fn parse(name: &str) -> Result<Named, InvalidKey> {
    let (tenant, namespace) = match name.split_once('/') {
        Some((tenant, namespace)) => (Some(Tenant::parse(tenant.to_owned())?), namespace),
        None => (None, name),
    };
    Ok(Named { tenant, namespace: Some(Namespace::parse(namespace.to_owned())?), overlay: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(name: &str) -> Option<(String, String)> {
        let scope = of_instance(&Access::anyone(), name).ok()?;
        Some((scope.tenant.as_str().to_owned(), scope.namespace.as_str().to_owned()))
    }

    #[test]
    fn an_instance_name_is_a_tenant_and_a_namespace_or_a_namespace_or_nothing() {
        let pair = |tenant: &str, namespace: &str| Some((tenant.to_owned(), namespace.to_owned()));
        assert_eq!(said(""), pair("default", "default"));
        assert_eq!(said("/"), pair("default", "default"));
        assert_eq!(said("moon-outputs"), pair("default", "moon-outputs"));
        assert_eq!(said("acme/ios"), pair("acme", "ios"));
        assert_eq!(said("acme/ios/main/x"), pair("acme", "ios/main/x"));
    }

    #[test]
    fn what_is_no_instance_name_is_refused() {
        for name in
            ["a//b", "a/b//c", "a/b/..", "a/b/blobs", "..", "a/..", "blobs", "acme/uploads", "a\0", &"x".repeat(256)]
        {
            assert_eq!(said(name), None, "{name:?}");
        }
    }
}
