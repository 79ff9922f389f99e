//! A server as a client reaches it: its address, checked once, and requests with bounded waits.

use std::path::PathBuf;
use std::time::Duration;

use kura_http::clients::Address;
use ureq::http::{Request, Response, Uri};
use ureq::tls::TlsConfig;
use ureq::{Agent, AsSendBody, Body};

use super::Failure;
use super::tls::{self, Ca};

/// Longest wait for a connection, or for the name of its host.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Longest wait for the next byte of an answer, and for room to send the next of a request: a commit waits for a disk.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The most that is read of an answer which is to be read by people.
pub(crate) const MAX_TEXT: u64 = 64 << 10;

/// A server, and where below its root it was said to be.
pub(crate) struct Target {
    /// Scheme, host and port.
    pub(crate) origin: String,
    /// What follows: empty, or a path without a slash at its end.
    pub(crate) path: String,
    pub(crate) token: Option<String>,
    /// Who vouches for it; nobody: those whom this machine trusts.
    pub(crate) ca: Option<Ca>,
    /// Where it is reached by a unix socket, for gRPC alone.
    pub(crate) socket: Option<PathBuf>,
    agent: Agent,
}

impl Target {
    /// Checks an address. One of gRPC names the same port; one without a scheme is plain HTTP.
    ///
    /// # Errors
    /// Says what was expected.
    pub(crate) fn new(url: &str, token: Option<String>, ca: Option<Ca>) -> Result<Target, String> {
        let bad = || format!("`{url}` is no address of a server: expected http://HOST:PORT");
        if socket_in(url).is_some() {
            return Err(format!("`{url}` is a socket: only `kura setup xcode` takes one"));
        }
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let scheme = match scheme {
            "http" | "grpc" => "http",
            "https" | "grpcs" => "https",
            _ => return Err(bad()),
        };
        let parsed: Uri = format!("{scheme}://{rest}").parse().map_err(|_| bad())?;
        let authority = parsed.authority().filter(|authority| !authority.host().is_empty()).ok_or_else(bad)?;
        if parsed.query().is_some() {
            return Err(bad());
        }
        let origin = format!("{scheme}://{authority}");
        let path = parsed.path().trim_end_matches('/').to_owned();
        let agent = agent((scheme == "https").then(|| tls::trusting(ca.as_ref())));
        Ok(Target { origin, path, token: checked(token)?, ca, socket: None, agent })
    }

    /// The same, for what may also be reached by a unix socket: `unix:/PATH`.
    ///
    /// # Errors
    /// As for [`Target::new`].
    pub(crate) fn maybe_local(url: &str, token: Option<String>, ca: Option<Ca>) -> Result<Target, String> {
        let Some(named) = socket_in(url) else { return Target::new(url, token, ca) };
        let path = named.strip_prefix("//").unwrap_or(named);
        if !path.starts_with('/') || path.ends_with('/') {
            return Err(format!("`{url}` is no address of a socket: expected unix:/PATH"));
        }
        let (origin, socket) = (format!("unix:{path}"), Some(PathBuf::from(path)));
        Ok(Target { origin, path: String::new(), token: checked(token)?, ca, socket, agent: agent(None) })
    }

    /// The same, for requests that are signed, and say by that who makes them.
    pub(crate) fn without_token(self) -> Target {
        Target { token: None, ..self }
    }

    /// The server, as its clients are told of it.
    pub(crate) fn address(&self) -> Address {
        let ca = self.ca.as_ref().map(|ca| ca.file.display().to_string());
        Address { url: self.url(""), token: self.token.clone(), ca }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{}{path}", self.origin, self.path)
    }

    /// Host and port.
    pub(crate) fn authority(&self) -> &str {
        self.origin.split_once("://").map_or(self.origin.as_str(), |(_, authority)| authority)
    }

    /// Sends one request. Every status is an answer.
    ///
    /// # Errors
    /// If there was no answer.
    pub(crate) fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: impl AsSendBody,
    ) -> Result<Response<Body>, ureq::Error> {
        let mut request = Request::builder().method(method).uri(url);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.agent.run(request.body(body)?)
    }

    /// What came of no answer at all.
    pub(crate) fn unreachable(&self, error: &ureq::Error) -> Failure {
        use std::io::ErrorKind;
        let at = self.authority();
        if let Some(error) = tls::error_in(error) {
            return tls::failure(at, self.ca.as_ref(), error);
        }
        Failure::Later(match error {
            ureq::Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused => {
                format!("nothing listens at {at}: is Kura started there?")
            }
            ureq::Error::ConnectionFailed => format!("nothing listens at {at}: is Kura started there?"),
            ureq::Error::HostNotFound => format!("there is no host of the name in {at}"),
            ureq::Error::Timeout(_) => format!("{at} did not answer in time"),
            other => format!("the connection to {at} broke off: {other}"),
        })
    }

    /// What came of an answer that is none of those that were hoped for.
    pub(crate) fn refused(&self, method: &str, url: &str, response: Response<Body>) -> Failure {
        let status = response.status();
        Failure::of_answer(method, url, status, &text_of(response))
    }
}

/// What is named as a socket. A host may be called unix, too.
fn socket_in(url: &str) -> Option<&str> {
    url.strip_prefix("unix:").filter(|named| !named.starts_with(|digit: char| digit.is_ascii_digit()))
}

fn checked(token: Option<String>) -> Result<Option<String>, String> {
    match token {
        Some(token) if !token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err("a token is of visible characters without spaces".to_owned())
        }
        token => Ok(token),
    }
}

/// The beginning of an answer's body.
pub(crate) fn text_of(response: Response<Body>) -> String {
    let mut body = response.into_body();
    let mut text = Vec::new();
    let mut reader = std::io::Read::take(body.as_reader(), MAX_TEXT);
    // What did not come is not shown.
    let _ = std::io::Read::read_to_end(&mut reader, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// What Kura says of a refusal; nothing, if it is not Kura that says it.
pub(crate) fn message_in(body: &str) -> String {
    let parsed: Option<serde_json::Value> = serde_json::from_str(body).ok();
    parsed.and_then(|value| value["message"].as_str().map(str::to_owned)).unwrap_or_default()
}

fn agent(tls: Option<TlsConfig>) -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        // Where a cache was moved to, its clients have to be told: not all of them follow.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("kura/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(Some(CONNECT_WITHIN))
        .timeout_connect(Some(CONNECT_WITHIN))
        .timeout_per_read(Some(PATIENCE))
        .timeout_per_write(Some(PATIENCE));
    let Some(tls) = tls else { return config.build().into() };
    config.tls_config(tls).build().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_as_people_write_them() {
        let read = |url: &str| Target::new(url, None, None).map(|target| (target.origin, target.path));
        let plain = ("http://cache:8380".to_owned(), String::new());
        for same in ["http://cache:8380", "http://cache:8380/", "cache:8380", "grpc://cache:8380"] {
            assert_eq!(read(same).unwrap(), plain, "{same}");
        }
        assert_eq!(read("grpcs://cache/a/b/").unwrap(), ("https://cache".to_owned(), "/a/b".to_owned()));
        for bad in ["", "ftp://cache", "http://", "http://cache/?a=b", "http://a b"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(Target::new("cache", Some("a\nb".to_owned()), None).is_err());
    }

    #[test]
    fn a_socket_is_an_address_for_those_who_can_reach_it() {
        for same in ["unix:/run/kura.sock", "unix:///run/kura.sock"] {
            let target = Target::maybe_local(same, None, None).unwrap();
            assert_eq!((target.origin.as_str(), target.authority()), ("unix:/run/kura.sock", "unix:/run/kura.sock"));
            assert_eq!(target.socket, Some(PathBuf::from("/run/kura.sock")));
            assert!(Target::new(same, None, None).is_err());
        }
        for host in ["cache:8380", "unix:8380"] {
            assert!(Target::maybe_local(host, None, None).unwrap().socket.is_none(), "{host}");
        }
        for bad in ["unix:", "unix:kura.sock", "unix:/run/", "unix://kura.sock"] {
            assert!(Target::maybe_local(bad, None, None).is_err(), "{bad}");
        }
    }
}
