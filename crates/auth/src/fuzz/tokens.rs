//! A file of tokens, and the text of a token.

use crate::token::parse;
use crate::{TokenId, Tokens};

pub(super) fn target(bytes: &[u8]) {
    if let Ok(tokens) = Tokens::parse(bytes) {
        let json = tokens.to_json();
        let again = Tokens::parse(json.as_bytes()).unwrap();
        assert_eq!(again.to_json(), json);
        assert!(tokens.iter().all(|token| TokenId::parse(token.id.as_str()).is_some()));
    }
    if let Some((id, secret)) = str::from_utf8(bytes).ok().and_then(parse) {
        assert_eq!(secret.token(&id).as_bytes(), bytes, "a token is spelled in one way");
    }
}
