//! Tenant and namespace of a request: its query says them, under Tuist's names or its own, or they are the defaults.

use kura_cache::{InvalidKey, Namespace, Scope, Tenant};

use crate::query::text;

/// What a query says of tenant and namespace. Where one is said twice, the first counts. A surface's own names for a namespace, `others`, count where
/// none of the common ones is there; the first of them does.
///
/// # Errors
/// `Name`, and malformed percent-encoding.
pub(crate) fn of_query(query: Option<&str>, others: &[&str]) -> Result<Scope, InvalidKey> {
    let Some(query) = query else {
        return Ok(Scope::default());
    };
    let (mut tenant, mut namespace) = (None, None);
    let mut other = None;
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "tenant_id" | "account_handle" if tenant.is_none() => tenant = Some(Tenant::parse(text(value)?)?),
            "namespace_id" | "project_handle" if namespace.is_none() => {
                namespace = Some(Namespace::parse(text(value)?)?)
            }
            _ => {
                let rank = others.iter().position(|other| *other == name).filter(|_| !value.is_empty());
                if let Some(rank) = rank.filter(|rank| other.is_none_or(|(best, _)| *rank < best)) {
                    other = Some((rank, value));
                }
            }
        }
    }
    if let (None, Some((_, value))) = (&namespace, other) {
        namespace = Some(Namespace::parse(text(value)?)?);
    }
    Ok(Scope { tenant: tenant.unwrap_or_default(), namespace: namespace.unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(query: &str) -> Result<(String, String), InvalidKey> {
        of_query(Some(query), &[]).map(|scope| (scope.tenant.as_str().to_owned(), scope.namespace.as_str().to_owned()))
    }

    #[test]
    fn both_spellings_are_understood() {
        let expected = Ok(("acme".to_owned(), "i os".to_owned()));
        assert_eq!(said("tenant_id=acme&namespace_id=i%20os"), expected);
        assert_eq!(said("tenant_id=acme&namespace_id=i%2Fos"), Ok(("acme".to_owned(), "i/os".to_owned())));
        assert_eq!(said("x=1&account_handle=acme&project_handle=i+os"), expected);
    }

    #[test]
    fn what_is_not_said_is_the_default() {
        assert_eq!(of_query(None, &[]), Ok(Scope::default()));
        assert_eq!(of_query(Some(""), &[]), Ok(Scope::default()));
        assert_eq!(of_query(Some("hash=1&name"), &[]), Ok(Scope::default()));
    }

    #[test]
    fn a_surfaces_own_names_count_where_the_common_ones_are_missing() {
        let said = |query| of_query(Some(query), &["teamId", "slug"]).map(|scope| scope.namespace.as_str().to_owned());
        assert_eq!(said("slug=web"), Ok("web".to_owned()));
        assert_eq!(said("slug=web&teamId=team_1"), Ok("team_1".to_owned()));
        assert_eq!(said("slug=web&namespace_id=ios"), Ok("ios".to_owned()));
        assert_eq!(said("slug="), Ok("default".to_owned()));
        assert!(said("slug=..").is_err());
    }

    #[test]
    fn names_that_are_none_are_refused() {
        for query in [
            "tenant_id=",
            "tenant_id=..",
            "tenant_id=a%2Fb",
            "namespace_id=a%2F",
            "tenant_id=%ff",
            "tenant_id=%0",
            "project_handle",
        ] {
            assert!(said(query).is_err(), "{query}");
        }
    }
}
