//! The header `Authorization`: a bearer token (RFC 6750), or a token as the password of basic authentication (RFC 7617), whatever the user is called.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use kura_auth::Unidentified;

/// Clients are not of one mind about padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The token that a request came with.
///
/// # Errors
/// `Missing`, `Malformed`.
pub(crate) fn token(headers: &HeaderMap) -> Result<Cow<'_, str>, Unidentified> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    match (all.next(), all.next()) {
        (None, _) => Err(Unidentified::Missing),
        (Some(only), None) => parse(only.as_bytes()).ok_or(Unidentified::Malformed),
        (Some(_), Some(_)) => Err(Unidentified::Malformed),
    }
}

/// The token in the header's value.
pub(crate) fn parse(value: &[u8]) -> Option<Cow<'_, str>> {
    let (scheme, rest) = str::from_utf8(value).ok()?.split_once(' ')?;
    let rest = rest.trim_matches(' ');
    let token = if scheme.eq_ignore_ascii_case("bearer") {
        Cow::Borrowed(rest)
    } else if scheme.eq_ignore_ascii_case("basic") {
        let pair = String::from_utf8(BASE64.decode(rest).ok()?).ok()?;
        let (_, password) = pair.split_once(':')?;
        Cow::Owned(password.to_owned())
    } else {
        return None;
    };
    Some(token).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn said(value: &str) -> Option<String> {
        parse(value.as_bytes()).map(Cow::into_owned)
    }

    #[test]
    fn a_token_is_found_in_either_scheme() {
        for value in ["Bearer abc", "bearer  abc ", "Basic YTphYmM=", "basic YTphYmM", "Basic OmFiYw=="] {
            assert_eq!(said(value).as_deref(), Some("abc"), "{value}");
        }
        assert_eq!(said("Basic dTphOmI=").as_deref(), Some("a:b"), "a password may hold a colon");
    }

    #[test]
    fn what_is_no_credential_is_none() {
        for value in
            ["", "Bearer", "Bearer ", "abc", "Digest abc", "Basic abc", "Basic YWJj", "Basic dTo=", "Basic /w=="]
        {
            assert_eq!(said(value), None, "{value}");
        }
    }

    #[test]
    fn one_credential_is_taken_and_two_are_not() {
        let mut headers = HeaderMap::new();
        assert_eq!(token(&headers), Err(Unidentified::Missing));
        headers.append(AUTHORIZATION, HeaderValue::from_static("Bearer a"));
        assert_eq!(token(&headers), Ok(Cow::Borrowed("a")));
        headers.append(AUTHORIZATION, HeaderValue::from_static("Bearer a"));
        assert_eq!(token(&headers), Err(Unidentified::Malformed));
    }
}
