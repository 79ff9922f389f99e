//! A file of rules; and a pattern in the first line, with a text behind it.

use serde_json::{Map, Value, json};

use crate::role::Role;
use crate::rules::{Rule, Rules, matches};
use crate::{Certificate, Unidentified};

pub(super) fn target(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(rules) = Rules::parse(text) {
        for issuer in &rules.issuers {
            assert_eq!(issuer.identity(&json!({})), Err(Unidentified::NoRule), "who says nothing may do nothing");
            issuer.rules.iter().for_each(hold);
        }
        rules.certificates.iter().for_each(hold);
        let nameless = Certificate::new(std::iter::empty(), std::iter::empty());
        assert!(nameless.identity(&rules.certificates.into()).is_none());
    }
    if let Some((pattern, text)) = text.split_once('\n').filter(|_| bytes.len() < 1000) {
        assert_eq!(matches(pattern, text), is_like(pattern.as_bytes(), text.as_bytes()));
    }
}

/// A rule is about what it names, and makes nobody of another role than its own.
fn hold(rule: &Rule) {
    let claims = rule.claims.iter().map(|(name, values)| (name.clone(), json!([values.all()[0]])));
    let claims = Value::from(claims.collect::<Map<_, _>>());
    assert!(rule.is_about(&claims));
    if let Ok(Some(identity)) = rule.identity(&claims, "issuer") {
        assert_eq!(identity.overlay.is_some(), identity.role == Role::Overlay);
        assert!(!identity.name.contains(char::is_control));
    }
}

/// The same as `matches`, byte by byte: which places in the pattern may come next.
fn is_like(pattern: &[u8], text: &[u8]) -> bool {
    let skip = |places: &mut Vec<bool>| {
        for (at, byte) in pattern.iter().enumerate() {
            places[at + 1] |= places[at] && *byte == b'*';
        }
    };
    let mut places = vec![false; pattern.len() + 1];
    places[0] = true;
    skip(&mut places);
    for byte in text {
        let mut next = vec![false; pattern.len() + 1];
        for (at, wanted) in pattern.iter().enumerate().filter(|(at, _)| places[*at]) {
            match wanted {
                b'*' => next[at] = true,
                wanted => next[at + 1] |= wanted == byte,
            }
        }
        skip(&mut next);
        places = next;
    }
    places[pattern.len()]
}
