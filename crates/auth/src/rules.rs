//! The file of rules: which issuers are trusted, and what the claims of their tokens lead to; and what the names in clients' certificates do. The first rule
//! counts all of whose claims a token has; a token, or a certificate, that no rule is about may do nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use kura_cache::{InvalidKey, Namespace, Overlay, Tenant};
use serde::Deserialize;
use serde_json::Value;

use crate::access::{Identity, Reach, Unidentified};
use crate::certificate::CLAIMS;
use crate::role::Role;

/// The most issuers, and the most rules of one.
const MAX_ISSUERS: usize = 32;
const MAX_RULES: usize = 1000;

/// How far clocks may differ, where nothing else is said.
const SKEW: Duration = Duration::from_secs(60);

/// The longest that stands for somebody in logs, in bytes.
const MAX_NAME: usize = 200;

/// Why rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// Another text.
    #[error("these are no rules: {0}")]
    Malformed(#[from] toml::de::Error),
    /// One that is none.
    #[error("a rule of the issuer {issuer} cannot be used: {why}")]
    Rule {
        /// Whose.
        issuer: String,
        /// What is wrong.
        why: String,
    },
    /// An issuer that is none.
    #[error("the issuer {issuer} cannot be used: {why}")]
    Issuer {
        /// Which.
        issuer: String,
        /// What is wrong.
        why: &'static str,
    },
    /// One of certificates that is none.
    #[error("a rule of certificates cannot be used: {0}")]
    Certificate(String),
    /// Beyond the bounds.
    #[error("there are at most {MAX_ISSUERS} issuers, and {MAX_RULES} rules of each, and of certificates")]
    TooMany,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    issuer: Vec<Trusted>,
    #[serde(default)]
    certificate: Vec<Rule>,
}

/// An issuer whose tokens are taken.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trusted {
    pub(crate) issuer: String,
    pub(crate) audience: Texts,
    /// Where its keys are; where it is not said, its own configuration says it.
    #[serde(default)]
    pub(crate) jwks: Option<String>,
    #[serde(default, deserialize_with = "duration")]
    skew: Option<Duration>,
    #[serde(rename = "rule")]
    pub(crate) rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    pub(crate) claims: BTreeMap<String, Texts>,
    #[serde(default)]
    tenant: Option<String>,
    /// With `{claim}` for the value of a claim.
    #[serde(default)]
    namespaces: Vec<String>,
    role: Role,
    /// Of the role `overlay`: which one is written to, with `{claim}` too.
    #[serde(default)]
    overlay: Option<String>,
}

/// One text, or several.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Texts {
    One(String),
    Some(Vec<String>),
}

impl Texts {
    pub(crate) fn all(&self) -> &[String] {
        match self {
            Texts::One(one) => std::slice::from_ref(one),
            Texts::Some(some) => some,
        }
    }
}

fn duration<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(from)?;
    humantime::parse_duration(&text).map(Some).map_err(serde::de::Error::custom)
}

/// Which issuers are trusted, and whose certificates are.
#[derive(Debug, Default)]
pub struct Rules {
    pub(crate) issuers: Vec<Trusted>,
    pub(crate) certificates: Vec<Rule>,
}

impl Rules {
    /// Reads a file of rules.
    ///
    /// # Errors
    /// Says what is wrong with which of them: of a file that is not understood as a whole, nothing is taken.
    pub fn parse(text: &str) -> Result<Rules, RulesError> {
        let File { issuer: all, certificate: certificates } = toml::from_str(text)?;
        let lists = all.iter().map(|one| one.rules.len()).chain([certificates.len()]);
        if all.len() > MAX_ISSUERS || lists.max() > Some(MAX_RULES) {
            return Err(RulesError::TooMany);
        }
        for rule in &certificates {
            rule.check().map_err(RulesError::Certificate)?;
            if let Some(other) = rule.claims.keys().find(|name| !CLAIMS.contains(&name.as_str())) {
                return Err(RulesError::Certificate(format!(
                    "it names {other}: a certificate has {}",
                    CLAIMS.join(" and ")
                )));
            }
        }
        for (at, trusted) in all.iter().enumerate() {
            trusted.check()?;
            if all[..at].iter().any(|other| other.issuer == trusted.issuer) {
                return Err(trusted.bad("it is there twice"));
            }
        }
        Ok(Rules { issuers: all, certificates })
    }
}

impl Trusted {
    fn bad(&self, why: &'static str) -> RulesError {
        RulesError::Issuer { issuer: self.issuer.clone(), why }
    }

    fn check(&self) -> Result<(), RulesError> {
        if !is_secure(&self.issuer) || !self.jwks.as_deref().is_none_or(is_secure) {
            return Err(self.bad("its address has to start with https://, or be of this machine"));
        }
        if self.audience.all().is_empty() || self.audience.all().iter().any(String::is_empty) {
            return Err(self.bad("its audience is missing: tokens for others would be taken"));
        }
        for rule in &self.rules {
            rule.check().map_err(|why| RulesError::Rule { issuer: self.issuer.clone(), why })?;
        }
        Ok(())
    }

    pub(crate) fn skew(&self) -> Duration {
        self.skew.unwrap_or(SKEW)
    }

    /// Who that is, by the claims of a token that was verified.
    ///
    /// # Errors
    /// `NoRule`.
    pub(crate) fn identity(&self, claims: &Value) -> Result<Identity, Unidentified> {
        let rule = self.rules.iter().find(|rule| rule.is_about(claims)).ok_or(Unidentified::NoRule)?;
        let identity = rule.identity(claims, &self.issuer).ok().flatten();
        identity.ok_or(Unidentified::NoRule)
    }
}

/// Keys that come in the clear could be anybody's.
fn is_secure(uri: &str) -> bool {
    let of_this_machine = ["http://127.0.0.1:", "http://localhost:", "http://[::1]:"];
    uri.starts_with("https://") || of_this_machine.iter().any(|start| uri.starts_with(start))
}

impl Rule {
    /// Says what is wrong with it.
    fn check(&self) -> Result<(), String> {
        if self.claims.is_empty() || self.claims.values().any(|values| values.all().is_empty()) {
            return Err("it names no claim: everybody would be meant".to_owned());
        }
        let tenant = self.tenant.clone().map(Tenant::parse).transpose();
        tenant.map_err(|error| error.to_string())?;
        if self.overlay.is_some() != (self.role == Role::Overlay) {
            return Err("an overlay and the role overlay go together".to_owned());
        }
        for name in self.namespaces.iter().chain(&self.overlay) {
            let filled = filled(name, |_| Some("x".to_owned())).ok_or("a `{` is not closed")?;
            Namespace::parse(filled).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    pub(crate) fn is_about(&self, claims: &Value) -> bool {
        self.claims.iter().all(|(name, wanted)| match &claims[name] {
            Value::Array(all) => all.iter().any(|one| is_one_of(one, wanted)),
            one => is_one_of(one, wanted),
        })
    }

    /// Nothing, where a claim is missing that a name is made of. Who has no `sub` is called by whoever vouches for them.
    pub(crate) fn identity(&self, claims: &Value, issuer: &str) -> Result<Option<Identity>, InvalidKey> {
        let mut namespaces = Vec::new();
        for name in &self.namespaces {
            let Some(name) = filled(name, |claim| text(&claims[claim])) else { return Ok(None) };
            namespaces.push(Namespace::parse(name)?);
        }
        let overlay = match &self.overlay {
            None => None,
            Some(name) => match filled(name, |claim| text(&claims[claim])) {
                Some(name) => Some(Overlay::parse(name)?),
                None => return Ok(None),
            },
        };
        let tenant = self.tenant.clone().map_or(Ok(Tenant::default()), Tenant::parse)?;
        let subject = text(&claims["sub"]).unwrap_or_else(|| issuer.to_owned());
        let plain = subject.chars().map(|at| if at.is_control() { '?' } else { at });
        let mut name: String = plain.collect();
        name.truncate(name.floor_char_boundary(MAX_NAME));
        Ok(Some(Identity { tenant, reach: Reach::of(namespaces), role: self.role, overlay, name: name.into() }))
    }
}

/// A claim that is a single value, as text.
fn text(claim: &Value) -> Option<String> {
    match claim {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(whether) => Some(whether.to_string()),
        _ => None,
    }
}

fn is_one_of(claim: &Value, wanted: &Texts) -> bool {
    text(claim).is_some_and(|text| wanted.all().iter().any(|pattern| matches(pattern, &text)))
}

/// Whether a text is like a pattern, in which `*` stands for anything.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    text.ends_with(end)
}

/// A name with what `value` tells in place of each `{claim}`.
fn filled(name: &str, value: impl Fn(&str) -> Option<String>) -> Option<String> {
    let (mut filled, mut rest) = (String::new(), name);
    while let Some((before, behind)) = rest.split_once('{') {
        let (claim, behind) = behind.split_once('}')?;
        filled.push_str(before);
        filled.push_str(&value(claim)?);
        rest = behind;
    }
    filled.push_str(rest);
    Some(filled)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const RULES: &str = r#"
        [[issuer]]
        issuer = "https://token.actions.githubusercontent.com"
        audience = "kura"

        [[issuer.rule]]
        claims = { repository = "acme/app", ref = "refs/heads/main", event_name = ["push", "schedule"] }
        tenant = "acme"
        namespaces = ["app", "by/{repository}"]
        role = "writer"

        [[issuer.rule]]
        claims = { repository_owner = "acme", groups = "build-*" }
        tenant = "acme"
        role = "reader"
    "#;

    fn identity(claims: &Value) -> Result<(String, Role, Reach), Unidentified> {
        let rules = Rules::parse(RULES).unwrap();
        rules.issuers[0].identity(claims).map(|it| (it.tenant.as_str().to_owned(), it.role, it.reach))
    }

    #[test]
    fn the_first_rule_counts_all_of_whose_claims_are_there() {
        let push = json!({"repository": "acme/app", "ref": "refs/heads/main", "event_name": "push", "repository_owner": "acme"});
        let names = ["app", "by/acme/app"].map(|name| Namespace::parse(name).unwrap());
        assert_eq!(identity(&push), Ok(("acme".to_owned(), Role::Writer, Reach::Some(names.to_vec()))));
        let mut other = push;
        other["ref"] = json!("refs/heads/main2");
        assert_eq!(identity(&other), Err(Unidentified::NoRule));
        other["groups"] = json!(["docs", "build-team"]);
        assert_eq!(identity(&other), Ok(("acme".to_owned(), Role::Reader, Reach::All)));
        other["repository_owner"] = json!("evil");
        assert_eq!(identity(&other), Err(Unidentified::NoRule));
        assert_eq!(identity(&json!({"repository": null})), Err(Unidentified::NoRule));
    }

    #[test]
    fn a_name_that_a_claim_makes_no_name_of_leads_to_nothing() {
        let mut claims =
            json!({"repository": "acme/app", "ref": "refs/heads/main", "event_name": "push", "sub": "a\nb"});
        let rules = Rules::parse(&RULES.replace("{repository}", "{job}")).unwrap();
        assert_eq!(rules.issuers[0].identity(&claims), Err(Unidentified::NoRule));
        claims["job"] = json!("../other");
        assert_eq!(rules.issuers[0].identity(&claims), Err(Unidentified::NoRule));
        claims["job"] = json!("j");
        assert_eq!(&*rules.issuers[0].identity(&claims).unwrap().name, "a?b");
    }

    #[test]
    fn patterns_match_whole_texts() {
        for (pattern, text) in [("a", "a"), ("*", ""), ("a*", "abc"), ("*c", "abc"), ("a*c*e", "abcde"), ("a**", "a")] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a", "ab"), ("a*", "ba"), ("a*c", "ac d"), ("ab*bc", "abc"), ("", "a")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn rules_that_would_let_anybody_in_are_refused() {
        for (from, to) in [
            ("https://token", "http://token"),
            ("audience = \"kura\"", ""),
            ("audience = \"kura\"", "audience = []"),
            ("audience = \"kura\"", "audience = \"\""),
            ("claims = { repository_owner = \"acme\", groups = \"build-*\" }", "claims = {}"),
            ("groups = \"build-*\"", "groups = []"),
            ("role = \"reader\"", "role = \"owner\""),
            ("role = \"reader\"", ""),
            ("role = \"reader\"", "role = \"overlay\""),
            ("role = \"reader\"", "role = \"reader\"\noverlay = \"pr\""),
            ("tenant = \"acme\"", "tenant = \"a/b\""),
            ("{repository}", "{repository"),
            ("\"app\"", "\"..\""),
            ("audience", "audiences"),
            ("[[issuer]]", "[[issuers]]"),
        ] {
            let text = RULES.replacen(from, to, 1);
            assert_ne!(text, RULES, "{from}");
            assert!(Rules::parse(&text).is_err(), "{from} as {to}");
        }
        assert!(Rules::parse(&RULES.repeat(2)).is_err());
        assert!(Rules::parse("").unwrap().issuers.is_empty());
    }
}
