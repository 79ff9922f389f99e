//! Parameters of a query, decoded as forms are: `+` is a space.

use std::str;

use kura_cache::InvalidKey;

use crate::key;

/// The value of a parameter; of one that is said twice, the first.
///
/// # Errors
/// For malformed percent-encoding, and what is no UTF-8.
pub(crate) fn parameter(query: Option<&str>, name: &str) -> Result<Option<String>, InvalidKey> {
    let said = query.unwrap_or_default().split('&').find_map(|pair| {
        let (said, value) = pair.split_once('=').unwrap_or((pair, ""));
        (said == name).then_some(value)
    });
    said.map(text).transpose()
}

/// A value as it was meant.
///
/// # Errors
/// As for [`parameter`].
pub(crate) fn text(value: &str) -> Result<String, InvalidKey> {
    let spaced = value.replace('+', " ");
    let decoded = key::decode(&spaced)?;
    str::from_utf8(&decoded).map(str::to_owned).map_err(|_| InvalidKey::Name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_found_and_decoded() {
        let find = |name| parameter(Some("hash=a&name=i+o%2Fs&hash=b&empty&bad=%zz"), name);
        assert_eq!(find("hash"), Ok(Some("a".to_owned())));
        assert_eq!(find("name"), Ok(Some("i o/s".to_owned())));
        assert_eq!(find("empty"), Ok(Some(String::new())));
        assert_eq!((find("has"), parameter(None, "hash")), (Ok(None), Ok(None)));
        assert!(find("bad").is_err());
    }
}
