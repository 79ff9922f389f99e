//! Where a request goes: a URI in its parts, and where a redirect leads from there.

use http::Uri;
use http::uri::Scheme;

use crate::error::Error;

/// The longest URI, in bytes: as much as servers commonly take.
const MAX_URI: usize = 8192;

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) tls: bool,
    /// A name or an address, the latter without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Host and port as they were written.
    pub(crate) authority: String,
    pub(crate) path: String,
}

impl Target {
    /// # Errors
    /// `NotFetchable`.
    pub(crate) fn parse(text: &str) -> Result<Target, Error> {
        let bad = Error::NotFetchable;
        if text.len() > MAX_URI {
            return Err(bad("it is longer than 8192 bytes"));
        }
        let uri: Uri = text.parse().map_err(|_| bad("it is malformed"))?;
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(bad("it is neither http nor https")),
        };
        let authority = uri.authority().ok_or(bad("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(bad("it holds credentials"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => Some(if tls { 443 } else { 80 }),
            _ => authority.port_u16(),
        };
        let (Some(port @ 1..), false) = (port, host.is_empty()) else {
            return Err(bad("its host or port is none"));
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Target {
            tls,
            host: host.to_owned(),
            port,
            authority: authority.as_str().to_owned(),
            path: if path.starts_with('/') { path.to_owned() } else { format!("/{path}") },
        })
    }

    /// Where a redirect from here leads. What it has of `..` is left to the server there.
    ///
    /// # Errors
    /// `NotFetchable`; `Closed` for one from https to http, which anybody on the way could have its way with.
    pub(crate) fn join(&self, location: &str) -> Result<Target, Error> {
        let scheme = if self.tls { "https" } else { "http" };
        let path = self.path.split('?').next().unwrap_or("/");
        let directory = path.rfind('/').map_or("/", |at| &path[..=at]);
        let before_path = location.split(['/', '?', '#']).next().unwrap_or("");
        let absolute = match location.as_bytes() {
            [b'/', b'/', ..] => format!("{scheme}:{location}"),
            [b'/', ..] => format!("{scheme}://{}{location}", self.authority),
            [] | [b'#', ..] => format!("{scheme}://{}{}", self.authority, self.path),
            [b'?', ..] => format!("{scheme}://{}{path}{location}", self.authority),
            _ if before_path.contains(':') => location.to_owned(),
            _ => format!("{scheme}://{}{directory}{location}", self.authority),
        };
        let target = Target::parse(&absolute)?;
        if self.tls && !target.tls { Err(Error::Closed("it redirects from https to http")) } else { Ok(target) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> (bool, String, u16, String) {
        let target = Target::parse(text).unwrap();
        (target.tls, target.host, target.port, target.path)
    }

    #[test]
    fn a_uri_has_a_host_a_port_and_a_path() {
        let whole = |tls, host: &str, port, path: &str| (tls, host.to_owned(), port, path.to_owned());
        assert_eq!(parsed("https://example.com/a/b?c=d"), whole(true, "example.com", 443, "/a/b?c=d"));
        assert_eq!(parsed("HTTP://Example.com:8080"), whole(false, "Example.com", 8080, "/"));
        assert_eq!(parsed("http://[::1]:81/x#part"), whole(false, "::1", 81, "/x"));
        assert_eq!(parsed("http://[2606:4700::1111]/"), whole(false, "2606:4700::1111", 80, "/"));
        assert_eq!(parsed("http://h?q"), whole(false, "h", 80, "/?q"));
    }

    #[test]
    fn what_cannot_be_fetched_is_refused() {
        let long = format!("http://h/{}", "x".repeat(MAX_URI));
        for text in [
            "",
            "urn:a:b",
            "ftp://h/",
            "file:///etc/passwd",
            "http://",
            "http:///x",
            "http://user:secret@h/",
            "http://h:0/",
            "http://h:99999/",
            "http://h:/",
            "http://h /",
            "http://h/\r\nX: y",
            "/path",
            "h",
            "*",
            &long,
        ] {
            assert!(matches!(Target::parse(text), Err(Error::NotFetchable(_))), "{text}");
        }
    }

    #[test]
    fn a_redirect_leads_on_from_where_it_was_found() {
        let from = Target::parse("https://h:444/a/b?c").unwrap();
        for (location, expected) in [
            ("https://other/x", "https://other/x"),
            ("//other/x", "https://other/x"),
            ("/x?y", "https://h:444/x?y"),
            ("x", "https://h:444/a/x"),
            ("?y", "https://h:444/a/b?y"),
            ("x?at=1:2", "https://h:444/a/x?at=1:2"),
            ("", "https://h:444/a/b?c"),
        ] {
            assert_eq!(from.join(location), Target::parse(expected), "{location}");
        }
        let plain = Target::parse("http://h/").unwrap();
        assert!(plain.join("https://h/").unwrap().tls);
        assert!(matches!(from.join("http://h/"), Err(Error::Closed(_))));
        assert!(matches!(from.join("ftp://h/"), Err(Error::NotFetchable(_))));
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text: String, location: String) {
            let _ = Target::parse(&text);
            if let Ok(target) = Target::parse("http://h/a").unwrap().join(&location) {
                prop_assert!(target.path.starts_with('/') && !target.path.contains([' ', '\r', '\n']));
            }
        }
    }
}
