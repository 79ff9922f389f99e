//! Certificates of clients: what they say of whose they are, and by which rules that is somebody. Rules are those of tokens of other issuers: the names in a
//! certificate are its claims.
//! Not here: whether a certificate is good, which whoever lets the client connect has found out.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::access::Identity;
use crate::rules::Rule;

/// The claims that a certificate has.
pub(crate) const CLAIMS: [&str; 2] = ["dns", "uri"];

/// The names in a certificate that was verified.
#[derive(Debug)]
pub struct Certificate {
    claims: Value,
    /// Whose it is by the rules that were last asked: connections are long.
    known: Mutex<Option<Known>>,
}

/// Rules, and whose it is by these.
type Known = (Arc<[Rule]>, Option<Arc<Identity>>);

impl Certificate {
    /// One with these names, which are alternative names of its subject.
    #[must_use]
    pub fn new<'a>(dns: impl Iterator<Item = &'a str>, uris: impl Iterator<Item = &'a str>) -> Certificate {
        let (dns, uris): (Vec<_>, Vec<_>) = (dns.map(str::to_ascii_lowercase).collect(), uris.collect());
        let called = uris.first().copied().or(dns.first().map(String::as_str));
        Certificate { claims: json!({ "dns": dns, "uri": uris, "sub": called }), known: Mutex::default() }
    }

    /// Whose it is by these rules; nobody's, where none is about it.
    pub(crate) fn identity(&self, rules: &Arc<[Rule]>) -> Option<Arc<Identity>> {
        let mut known = self.known.lock();
        match &*known {
            Some((by, identity)) if Arc::ptr_eq(by, rules) => identity.clone(),
            _ => {
                let rule = rules.iter().find(|rule| rule.is_about(&self.claims));
                let identity = rule.and_then(|rule| rule.identity(&self.claims, "certificate").ok().flatten());
                let identity = identity.map(Arc::new);
                *known = Some((Arc::clone(rules), identity.clone()));
                identity
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::access::Named;
    use crate::role::Need;
    use crate::{Authenticator, Rules};

    use super::*;

    const RULES: &str = r#"
        [[certificate]]
        claims = { uri = "spiffe://acme/ci/*" }
        tenant = "acme"
        namespaces = ["app"]
        role = "writer"

        [[certificate]]
        claims = { dns = ["laptop.acme.example", "*.desk.acme.example"] }
        tenant = "acme"
        role = "reader"
    "#;

    fn certificate(dns: &[&str], uris: &[&str]) -> Certificate {
        Certificate::new(dns.iter().copied(), uris.iter().copied())
    }

    #[test]
    fn a_certificate_is_whose_the_first_rule_says_that_is_about_it() {
        let authenticator = Authenticator::default();
        let ci = certificate(&["laptop.acme.example"], &["https://acme", "spiffe://acme/ci/7"]);
        assert!(authenticator.certified(&ci).is_none());
        authenticator.replace_rules(Rules::parse(RULES).unwrap());
        // Asked again, and remembered.
        for _ in 0..2 {
            let access = authenticator.certified(&ci).unwrap();
            assert!(access.permits(Need::Write).is_ok() && access.permits(Need::Administer).is_err());
            let scope = access.scope(Named::default()).unwrap();
            assert_eq!((scope.tenant.as_str(), scope.namespace.as_str()), ("acme", "app"));
            assert_eq!(access.name().map(|name| &**name), Some("https://acme"));
        }
        let laptop = authenticator.certified(&certificate(&["Laptop.Acme.example"], &[])).unwrap();
        assert!(laptop.permits(Need::Read).is_ok() && laptop.permits(Need::Write).is_err());
        assert!(authenticator.certified(&certificate(&["a.desk.acme.example"], &[])).is_some());
        for nobodys in [
            certificate(&[], &[]),
            certificate(&["laptop.acme.example.evil.example", "acme"], &["spiffe://acme/cix"]),
            certificate(&["spiffe://acme/ci/7"], &["laptop.acme.example"]),
        ] {
            assert!(authenticator.certified(&nobodys).is_none(), "{nobodys:?}");
        }
        authenticator.replace_rules(Rules::parse("").unwrap());
        assert!(authenticator.certified(&ci).is_none(), "what is remembered is by other rules");
    }

    #[test]
    fn rules_that_are_about_no_certificate_or_about_all_are_refused() {
        for (from, to) in [
            ("uri = \"spiffe://acme/ci/*\"", ""),
            ("uri =", "sub ="),
            ("uri =", "cn ="),
            ("role = \"reader\"", "role = \"overlay\""),
            ("\"app\"", "\"..\""),
            ("[[certificate]]", "[[certificates]]"),
        ] {
            let text = RULES.replacen(from, to, 1);
            assert_ne!(text, RULES, "{from}");
            assert!(Rules::parse(&text).is_err(), "{from} as {to}");
        }
    }
}
