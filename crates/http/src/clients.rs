//! The lines to paste into each client: the one table behind the announcement at the start, the page at `/` and `kura setup`.
//! Clients of gRPC are in it too: they name the same port.

/// One client and how it is set up.
#[derive(Debug)]
pub struct Client {
    /// What `kura setup` calls it.
    pub name: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// Where its lines belong, and what else to know.
    pub place: &'static str,
    /// With `{{url}}`, `{{grpc}}`, `{{socket}}`, `{{tls}}`, `{{token}}`, `{{bearer}}` of ccache's, and `{{key}}`, the id of S3's key pair. A line that begins with `?` is for who has a token, one with `!` for plain HTTP.
    template: &'static str,
}

/// A server as its clients name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `http://host:port`, `https://…` where it or something in front speaks TLS, or `unix:/path`; no slash at its end.
    pub url: String,
    /// What clients are to identify themselves with, where something asks them to.
    pub token: Option<String>,
}

impl Address {
    /// A server by host and port, as it is without anything in front.
    #[must_use]
    pub fn of(host_and_port: &str, tls: bool) -> Address {
        let scheme = if tls { "https" } else { "http" };
        Address { url: format!("{scheme}://{host_and_port}"), token: None }
    }

    fn has_tls(&self) -> bool {
        self.url.starts_with("https://")
    }

    /// Its unix socket, or what stands for one.
    fn socket(&self) -> &str {
        self.url.strip_prefix("unix:").unwrap_or("/path/to/kura.sock")
    }

    /// The id of the token, which is that of its key pair, or what stands for one.
    fn key(&self) -> &str {
        self.token.as_deref().and_then(|token| token.split('_').nth(1)).unwrap_or("MY-KEY-ID")
    }

    fn grpc(&self) -> String {
        let (scheme, skipped) = if self.has_tls() { ("grpcs", "https://") } else { ("grpc", "http://") };
        format!("{scheme}://{}", self.url.strip_prefix(skipped).unwrap_or(&self.url))
    }
}

impl Client {
    /// The lines for that server.
    #[must_use]
    pub fn lines(&self, address: &Address) -> String {
        let kept = |line: &'static str| match line.as_bytes().first() {
            Some(b'?') => address.token.is_some().then(|| &line[1..]),
            Some(b'!') => (!address.has_tls()).then(|| &line[1..]),
            _ => Some(line),
        };
        let lines: Vec<&str> = self.template.lines().filter_map(kept).collect();
        // Some clients insist on a token: any will do where nobody asks.
        let token = address.token.as_deref().unwrap_or("any");
        let tls = if address.has_tls() { "true" } else { "false" };
        let named = lines.join("\n").replace("{{url}}", &address.url).replace("{{grpc}}", &address.grpc());
        let bearer = address.token.as_ref().map(|token| format!("|bearer-token={token}")).unwrap_or_default();
        let named = named.replace("{{socket}}", address.socket()).replace("{{key}}", address.key());
        named.replace("{{tls}}", tls).replace("{{token}}", token).replace("{{bearer}}", &bearer)
    }
}

/// The client of that name.
#[must_use]
pub fn client(name: &str) -> Option<&'static Client> {
    CLIENTS.iter().find(|client| client.name == name)
}

/// All of them, in the order in which they are shown.
pub static CLIENTS: [Client; 14] = [
    Client {
        name: "bazel",
        title: "Bazel",
        place: ".bazelrc",
        template: "\
build --remote_cache={{grpc}}
# or, over HTTP:
# build --remote_cache={{url}}/bazel
?build --remote_header=Authorization=\"Bearer {{token}}\"",
    },
    Client {
        name: "gradle",
        title: "Gradle",
        place: "settings.gradle; build with --build-cache",
        template: "\
buildCache {
    remote(HttpBuildCache) {
        url = '{{url}}/cache/'
!        allowInsecureProtocol = true // Gradle 6 and newer; leave out before
        push = true
?        credentials { username = 'kura'; password = '{{token}}' }
    }
}",
    },
    Client {
        name: "ccache",
        title: "ccache",
        place: "ccache.conf, version 4.7 or newer",
        template: "remote_storage = {{url}}/ccache{{bearer}}",
    },
    Client {
        name: "sccache",
        title: "sccache",
        place: "environment, WebDAV",
        template: "\
export SCCACHE_WEBDAV_ENDPOINT={{url}}/webdav
?export SCCACHE_WEBDAV_TOKEN={{token}}",
    },
    Client {
        name: "turbo",
        title: "Turborepo",
        place: "environment",
        template: "export TURBO_API={{url}} TURBO_TOKEN={{token}} TURBO_TEAM=my-team",
    },
    Client {
        name: "nx",
        title: "Nx",
        place: "environment",
        template: "\
export NX_SELF_HOSTED_REMOTE_CACHE_SERVER={{url}} NX_SELF_HOSTED_REMOTE_CACHE_ACCESS_TOKEN={{token}}",
    },
    Client {
        name: "metro",
        title: "Metro",
        place: "metro.config.js",
        template: "cacheStores: ({ HttpStore }) => [new HttpStore({ endpoint: '{{url}}/metro' })]",
    },
    Client {
        name: "buildstream",
        title: "BuildStream",
        place: "buildstream.conf; a token stands in a file",
        template: "\
artifacts:
  servers:
  - url: {{url}}
    push: true
?    auth: { access-token: /path/to/token }
source-caches:
  servers:
  - url: {{url}}
    push: true
?    auth: { access-token: /path/to/token }",
    },
    Client {
        name: "buck2",
        title: "Buck2",
        place: ".buckconfig; the execution platform has to set remote_cache_enabled",
        template: "\
[buck2]
digest_algorithms = SHA256
[buck2_re_client]
engine_address = {{grpc}}
action_cache_address = {{grpc}}
cas_address = {{grpc}}
tls = {{tls}}
?http_headers = Authorization: Bearer {{token}}",
    },
    Client {
        name: "pants",
        title: "Pants",
        place: "pants.toml",
        template: "\
[GLOBAL]
remote_cache_read = true
remote_cache_write = true
remote_store_address = \"{{grpc}}\"
?remote_store_headers = { Authorization = \"Bearer {{token}}\" }",
    },
    Client {
        name: "moon",
        title: "moon",
        place: ".moon/workspace.yml; a token stands in the variable named",
        template: "\
remote:
  host: '{{grpc}}'
?  auth:
?    token: 'KURA_TOKEN'",
    },
    Client {
        name: "xcode",
        title: "Xcode",
        place: "build settings; the server runs on the same machine, with --unix-socket",
        template: "\
// the server on this machine, {{url}}, started with --unix-socket {{socket}}
COMPILATION_CACHE_ENABLE_CACHING = YES
COMPILATION_CACHE_ENABLE_PLUGIN = YES
COMPILATION_CACHE_REMOTE_SERVICE_PATH = {{socket}}",
    },
    Client {
        name: "s3",
        title: "Tools that speak S3 only",
        place: "environment of AWS's SDKs; a token's key pair or the server's; path-style; any bucket",
        template: "\
export AWS_ENDPOINT_URL_S3={{url}}/s3 AWS_REGION=us-east-1
export AWS_ACCESS_KEY_ID={{key}} AWS_SECRET_ACCESS_KEY=MY-SECRET
?# where the server is, `kura token s3 {{key}}` prints the secret",
    },
    Client {
        name: "http",
        title: "Anything that speaks HTTP",
        place: "GET, HEAD, PUT and DELETE",
        template: "\
curl --fail --upload-file FILE {{url}}/http/my-namespace/path/to/key
curl --fail --output FILE {{url}}/http/my-namespace/path/to/key",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn with_token(url: &str) -> Address {
        Address { url: url.to_owned(), token: Some("secret".to_owned()) }
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        for client in &CLIENTS {
            for address in [Address::of("cache:8380", false), with_token("https://cache")] {
                let lines = client.lines(&address);
                assert!(!lines.contains("{{") && !lines.contains("\n?") && !lines.contains("\n!"), "{lines}");
                assert!(lines.contains("://cache"), "{lines}");
                assert_eq!(std::ptr::from_ref(super::client(client.name).unwrap()), std::ptr::from_ref(client));
            }
        }
    }

    #[test]
    fn what_asks_for_tls_and_a_token_is_there_only_with_them() {
        let gradle = client("gradle").unwrap();
        let plain = gradle.lines(&Address::of("cache:8380", false));
        assert!(plain.contains("allowInsecureProtocol") && !plain.contains("credentials"), "{plain}");
        let secured = gradle.lines(&with_token("https://cache"));
        assert!(!secured.contains("allowInsecureProtocol") && secured.contains("password = 'secret'"), "{secured}");
        assert!(client("bazel").unwrap().lines(&with_token("https://cache")).contains("grpcs://cache\n"));
        assert!(client("turbo").unwrap().lines(&Address::of("cache:8380", false)).contains("TURBO_TOKEN=any"));
    }
}
