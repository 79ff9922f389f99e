//! The value of a header `Authorization`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::auth::credential::parse;

pub(super) fn target(bytes: &[u8]) {
    let Some(token) = parse(bytes) else { return };
    assert!(!token.is_empty());
    let basic = format!("basic {}", STANDARD.encode(format!("user:{token}")));
    assert_eq!(parse(basic.as_bytes()).as_deref(), Some(&*token), "as a password it is the same");
    let bearer = format!("BEARER {token}");
    assert_eq!(parse(bearer.as_bytes()).as_deref().unwrap_or_default(), token.trim_matches(' '));
}
