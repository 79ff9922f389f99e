//! What Turborepo's clients send beside bodies: a query about many as JSON, and their team.

use kura_auth::Named;

use crate::key;
use crate::surface::turborepo::{Asked, MAX_ASKED, named};

pub(super) fn target(bytes: &[u8]) {
    if let Ok(asked) = Asked::parse(bytes) {
        assert!(asked.hashes.len() <= MAX_ASKED && 2 * asked.hashes.len() <= bytes.len(), "a hash has its quotes");
        let again = serde_json::json!({ "hashes": asked.hashes }).to_string();
        assert_eq!(Asked::parse(again.as_bytes()).unwrap().hashes, asked.hashes);
    }
    let Ok(query) = str::from_utf8(bytes) else { return };
    let Ok(said) = named(Some(query)) else { return };
    let Some(namespace) = &said.namespace else { return };
    let namespace = key::encode(namespace.as_str().as_bytes());
    // A name of its own counts less than a common one, and more than one that comes later.
    let again = format!("teamId={namespace}&slug=other&teamId=other");
    assert_eq!(named(Some(&again)), Ok(Named { namespace: said.namespace.clone(), ..Named::default() }));
    let again = format!("teamId=other&namespace_id={namespace}&{query}");
    assert_eq!(named(Some(&again)).map(|again| again.namespace), Ok(said.namespace));
}
