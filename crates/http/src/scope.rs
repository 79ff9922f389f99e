//! Tenant and namespace of a request: its query says them, under Tuist's names or its own. What it does not say, and what it may say, is for who makes it
//! (`kura-auth`).

use kura_auth::{Access, Named};
use kura_cache::{InvalidKey, Namespace, Overlay, Scope, Tenant};

use crate::error::Refusal;
use crate::query::text;

/// Where a request acts, by its query.
///
/// # Errors
/// For names that are none, and those that are out of reach.
pub(crate) fn of_query(access: &Access, query: Option<&str>) -> Result<Scope, Refusal> {
    Ok(access.scope(named(query, &[])?)?)
}

/// What a query says of tenant and namespace. Where one is said twice, the first counts. A surface's own names for a namespace, `others`, count where
/// none of the common ones is there; the first of them does.
///
/// # Errors
/// `Name`, and malformed percent-encoding.
pub(crate) fn named(query: Option<&str>, others: &[&str]) -> Result<Named, InvalidKey> {
    let Some(query) = query else {
        return Ok(Named::default());
    };
    let (mut tenant, mut namespace, mut overlay) = (None, None, None);
    let mut other = None;
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "tenant_id" | "account_handle" if tenant.is_none() => tenant = Some(Tenant::parse(text(value)?)?),
            "namespace_id" | "project_handle" if namespace.is_none() => {
                namespace = Some(Namespace::parse(text(value)?)?)
            }
            "overlay" if overlay.is_none() => overlay = Some(Overlay::parse(text(value)?)?),
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
    Ok(Named { tenant, namespace, overlay })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(query: &str) -> Result<(String, String), InvalidKey> {
        let Named { tenant, namespace, .. } = named(Some(query), &[])?;
        Ok((tenant.unwrap().as_str().to_owned(), namespace.unwrap().as_str().to_owned()))
    }

    #[test]
    fn both_spellings_are_understood() {
        let expected = Ok(("acme".to_owned(), "i os".to_owned()));
        assert_eq!(said("tenant_id=acme&namespace_id=i%20os"), expected);
        assert_eq!(said("tenant_id=acme&namespace_id=i%2Fos"), Ok(("acme".to_owned(), "i/os".to_owned())));
        assert_eq!(said("x=1&account_handle=acme&project_handle=i+os"), expected);
    }

    #[test]
    fn what_is_not_said_is_not_made_up() {
        for query in [None, Some(""), Some("hash=1&name")] {
            assert_eq!(named(query, &[]), Ok(Named::default()));
        }
    }

    #[test]
    fn a_surfaces_own_names_count_where_the_common_ones_are_missing() {
        let said = |query| {
            let named = named(Some(query), &["teamId", "slug"])?;
            Ok::<_, InvalidKey>(named.namespace.map_or_else(String::new, |namespace| namespace.as_str().to_owned()))
        };
        assert_eq!(said("slug=web"), Ok("web".to_owned()));
        assert_eq!(said("slug=web&teamId=team_1"), Ok("team_1".to_owned()));
        assert_eq!(said("slug=web&namespace_id=ios"), Ok("ios".to_owned()));
        assert_eq!(said("slug="), Ok(String::new()));
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
            assert!(named(Some(query), &[]).is_err(), "{query}");
        }
    }
}
