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
    /// With `{{url}}`, `{{grpc}}`, `{{socket}}`, `{{tls}}`, `{{token}}`, `{{ca}}`, `{{bearer}}` of ccache's, `{{flags}}` of curl's, and `{{key}}`, the id of
    /// S3's key pair. A line that begins with `?` is for who has a token, with `+` for who has a file with an authority, with `*` for either; with `!`
    /// for plain HTTP, with `%` for TLS.
    template: &'static str,
}

/// A server as its clients name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `http://host:port`, `https://…` where it or something in front speaks TLS, or `unix:/path`; no slash at its end.
    pub url: String,
    /// What clients are to identify themselves with, where something asks them to.
    pub token: Option<String>,
    /// The file with the authorities that clients are to trust, where it is not those that their machine trusts anyway.
    pub ca: Option<String>,
}

impl Address {
    /// A server by host and port, as it is without anything in front.
    #[must_use]
    pub fn of(host_and_port: &str, tls: bool) -> Address {
        let scheme = if tls { "https" } else { "http" };
        Address { url: format!("{scheme}://{host_and_port}"), token: None, ca: None }
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
            Some(b'+') => address.ca.is_some().then(|| &line[1..]),
            Some(b'*') => (address.token.is_some() || address.ca.is_some()).then(|| &line[1..]),
            Some(b'!') => (!address.has_tls()).then(|| &line[1..]),
            Some(b'%') => address.has_tls().then(|| &line[1..]),
            _ => Some(line),
        };
        let lines: Vec<&str> = self.template.lines().filter_map(kept).collect();
        // Some clients insist on a token: any will do where nobody asks.
        let token = address.token.as_deref().unwrap_or("any");
        let tls = if address.has_tls() { "true" } else { "false" };
        let named = lines.join("\n").replace("{{url}}", &address.url).replace("{{grpc}}", &address.grpc());
        let bearer = address.token.as_ref().map(|token| format!("|bearer-token={token}")).unwrap_or_default();
        let header = address.token.as_ref().map(|token| format!(" --header 'Authorization: Bearer {token}'"));
        let trusted = address.ca.as_ref().map(|file| format!(" --cacert {file}"));
        let flags = [header, trusted].into_iter().flatten().collect::<String>();
        let named = named.replace("{{socket}}", address.socket()).replace("{{tls}}", tls).replace("{{flags}}", &flags);
        let named = named.replace("{{bearer}}", &bearer).replace("{{ca}}", address.ca.as_deref().unwrap_or_default());
        named.replace("{{key}}", address.key()).replace("{{token}}", token)
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
?build --remote_header=Authorization=\"Bearer {{token}}\"
+build --tls_certificate={{ca}}
+# or, over HTTP, with it in a trust store: keytool -importcert -noprompt -alias kura -file {{ca}} -keystore /path/to/trust.p12 -storepass changeit
+# startup --host_jvm_args=-Djavax.net.ssl.trustStore=/path/to/trust.p12
+# startup --host_jvm_args=-Djavax.net.ssl.trustStorePassword=changeit",
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
}
+// with it in a trust store: keytool -importcert -noprompt -alias kura -file {{ca}} -keystore /path/to/trust.p12 -storepass changeit
+// and in gradle.properties:
+// systemProp.javax.net.ssl.trustStore=/path/to/trust.p12
+// systemProp.javax.net.ssl.trustStorePassword=changeit",
    },
    Client {
        name: "ccache",
        title: "ccache",
        place: "ccache.conf, version 4.7 or newer",
        template: "\
!remote_storage = {{url}}/ccache{{bearer}}
%# ccache speaks no TLS by itself, and fails on https://: name what passes plain HTTP on to {{url}}
%remote_storage = http://127.0.0.1:8380/ccache{{bearer}}",
    },
    Client {
        name: "sccache",
        title: "sccache",
        place: "environment, WebDAV",
        template: "\
export SCCACHE_WEBDAV_ENDPOINT={{url}}/webdav
?export SCCACHE_WEBDAV_TOKEN={{token}}
+export SSL_CERT_FILE={{ca}}",
    },
    Client {
        name: "turbo",
        title: "Turborepo",
        place: "environment",
        template: "\
export TURBO_API={{url}} TURBO_TOKEN={{token}} TURBO_TEAM=my-team
+export SSL_CERT_FILE={{ca}}",
    },
    Client {
        name: "nx",
        title: "Nx",
        place: "environment",
        template: "\
export NX_SELF_HOSTED_REMOTE_CACHE_SERVER={{url}} NX_SELF_HOSTED_REMOTE_CACHE_ACCESS_TOKEN={{token}}
+export SSL_CERT_FILE={{ca}}",
    },
    Client {
        name: "metro",
        title: "Metro",
        place: "metro.config.js",
        template: "\
cacheStores: ({ HttpStore }) => [new HttpStore({
  endpoint: '{{url}}/metro',
?  headers: { Authorization: 'Bearer {{token}}' },
+  ca: require('fs').readFileSync('{{ca}}'),
})],",
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
*    auth:
?      access-token: /path/to/token
+      server-cert: {{ca}}
source-caches:
  servers:
  - url: {{url}}
    push: true
*    auth:
?      access-token: /path/to/token
+      server-cert: {{ca}}",
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
?http_headers = Authorization: Bearer {{token}}
+tls_ca_certs = {{ca}}",
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
?remote_store_headers = { Authorization = \"Bearer {{token}}\" }
+remote_ca_certs_path = \"{{ca}}\"",
    },
    Client {
        name: "moon",
        title: "moon",
        place: ".moon/workspace.yml; a token stands in the variable named",
        template: "\
remote:
  host: '{{grpc}}'
?  auth:
?    token: 'KURA_TOKEN'
+  tls:
+    cert: '{{ca}}'",
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
?# where the server is, `kura token s3 {{key}}` prints the secret
+export AWS_CA_BUNDLE={{ca}}",
    },
    Client {
        name: "http",
        title: "Anything that speaks HTTP",
        place: "GET, HEAD, PUT and DELETE",
        template: "\
curl --fail{{flags}} --upload-file FILE {{url}}/http/my-namespace/path/to/key
curl --fail{{flags}} --output FILE {{url}}/http/my-namespace/path/to/key",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn secured() -> Address {
        let [token, ca] = ["hush", "/etc/ca.pem"].map(|text| Some(text.to_owned()));
        Address { url: "https://cache".to_owned(), token, ca }
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        for client in &CLIENTS {
            for address in [Address::of("cache:8380", false), Address::of("cache", true), secured()] {
                let lines = client.lines(&address);
                assert!(!lines.contains("{{"), "{lines}");
                assert!(!lines.lines().any(|line| line.starts_with(['?', '+', '*', '!', '%'])), "{lines}");
                assert!(lines.contains("://cache"), "{lines}");
                assert_eq!(std::ptr::from_ref(super::client(client.name).unwrap()), std::ptr::from_ref(client));
            }
        }
    }

    #[test]
    fn what_asks_for_tls_a_token_and_an_authority_is_there_only_with_them() {
        let gradle = client("gradle").unwrap();
        let plain = gradle.lines(&Address::of("cache:8380", false));
        assert!(plain.contains("allowInsecureProtocol") && !plain.contains("credentials"), "{plain}");
        let lines = gradle.lines(&secured());
        assert!(!lines.contains("allowInsecureProtocol") && lines.contains("password = 'hush'"), "{lines}");
        assert!(client("bazel").unwrap().lines(&secured()).contains("grpcs://cache\n"));
        assert!(client("turbo").unwrap().lines(&Address::of("cache:8380", false)).contains("TURBO_TOKEN=any"));
    }

    #[test]
    fn whoever_has_a_token_or_an_authority_is_told_where_they_go() {
        // It is reached by a socket, or speaks no TLS; it stands in a file or a variable, or is a pair of keys.
        let (without_authority, without_token) = (["xcode", "ccache"], ["xcode", "buildstream", "moon", "s3"]);
        for client in &CLIENTS {
            let (lines, plain) = (client.lines(&secured()), client.lines(&Address::of("cache", true)));
            assert_eq!(lines.contains("/etc/ca.pem"), !without_authority.contains(&client.name), "{lines}");
            assert_eq!(lines.contains("hush"), !without_token.contains(&client.name), "{lines}");
            assert!(!plain.contains("ca.pem") && !plain.contains("trust"), "{plain}");
        }
        let either = Address { token: None, ..secured() };
        assert!(client("buildstream").unwrap().lines(&either).contains("auth:\n      server-cert: /etc/ca.pem"));
    }
}
