//! TLS on the one port: who is shown what, who may connect, and what becomes of those who do not speak it.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use kura_auth::{Role, Rules};
use kura_http::{ServerSettings, Tls, TlsError};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use support::people::People;
use support::{CAPACITY, PATIENCE, Site};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

type Connection = TlsStream<TcpStream>;

/// Who vouches for servers or clients.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
struct Identity {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn vouch_for(&self, name: &str) -> Identity {
        self.vouch_for_uri(name, None)
    }

    fn vouch_for_uri(&self, name: &str, uri: Option<&str>) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.subject_alt_names.extend(uri.map(|uri| SanType::URI(uri.try_into().unwrap())));
        Identity { certificate: params.signed_by(&key, &self.0).unwrap().pem(), key: key.serialize_pem() }
    }
}

impl Identity {
    fn shown(&self, clients: Option<&Authority>) -> Tls {
        let clients = clients.map(|authority| authority.0.pem());
        Tls::from_pem(self.certificate.as_bytes(), self.key.as_bytes(), clients.as_deref().map(str::as_bytes)).unwrap()
    }
}

async fn secure(tls: Tls) -> (Site, kura_store::Store) {
    let (site, store) = Site::serving(ServerSettings::default()).await;
    site.handle.secure(tls);
    (site, store)
}

/// A client that trusts this authority, and shows that certificate.
async fn connect(
    site: &Site,
    trusts: &Authority,
    shows: Option<&Identity>,
    alpn: &[&[u8]],
) -> std::io::Result<Connection> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusts.0.pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let mut config = match shows {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    let stream = TcpStream::connect(site.address).await.unwrap();
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

/// What one request is answered with, up to the end of the connection.
async fn ask(connection: &mut Connection, request: &str) -> std::io::Result<String> {
    let answer = async {
        connection.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        match connection.read_to_end(&mut answer).await {
            // Not every end is announced.
            Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => return Err(error),
            _ => {}
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    tokio::time::timeout(PATIENCE, answer).await.expect("no answer came")
}

const PUT: &str = "PUT /http/n/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody";
const GET: &str = "GET /http/n/key HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn what_is_put_under_tls_is_got_under_tls() {
    let authority = Authority::new();
    let (site, _store) = secure(authority.vouch_for("localhost").shown(None)).await;
    for (request, expected) in [(PUT, "HTTP/1.1 200"), (GET, "body")] {
        let mut connection = connect(&site, &authority, None, &[]).await.unwrap();
        let answer = ask(&mut connection, request).await.unwrap();
        assert!(answer.contains(expected), "{answer}");
    }
}

#[tokio::test]
async fn http_2_is_agreed_on_where_the_client_offers_it() {
    let authority = Authority::new();
    let (site, _store) = secure(authority.vouch_for("localhost").shown(None)).await;
    for (offered, agreed) in [(&[&b"h2"[..], b"http/1.1"][..], b"h2".as_slice()), (&[b"http/1.1"], b"http/1.1")] {
        let connection = connect(&site, &authority, None, offered).await.unwrap();
        assert_eq!(connection.get_ref().1.alpn_protocol(), Some(agreed));
    }
    let mut connection = connect(&site, &authority, None, &[b"h2"]).await.unwrap();
    connection.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut frame = [0; 9];
    tokio::time::timeout(PATIENCE, connection.read_exact(&mut frame)).await.unwrap().unwrap();
    assert_eq!(frame[3], 4, "the first frame is SETTINGS");
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_those_who_come_after_it() {
    let (old, new) = (Authority::new(), Authority::new());
    let (site, _store) = secure(old.vouch_for("localhost").shown(None)).await;
    let mut open = connect(&site, &old, None, &[]).await.unwrap();
    site.handle.secure(new.vouch_for("localhost").shown(None));
    assert!(connect(&site, &old, None, &[]).await.is_err());
    let mut later = connect(&site, &new, None, &[]).await.unwrap();
    assert!(ask(&mut later, PUT).await.unwrap().contains("HTTP/1.1 200"));
    assert!(ask(&mut open, GET).await.unwrap().ends_with("body"));
}

#[tokio::test]
async fn only_clients_that_the_authority_vouches_for_are_let_in() {
    let (servers, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let (site, _store) = secure(servers.vouch_for("localhost").shown(Some(&clients))).await;
    let ask_as = async |identity: Option<&Identity>| {
        let mut connection = connect(&site, &servers, identity, &[]).await?;
        ask(&mut connection, PUT).await
    };
    assert!(ask_as(Some(&clients.vouch_for("ci"))).await.unwrap().contains("HTTP/1.1 200"));
    assert!(ask_as(Some(&strangers.vouch_for("ci"))).await.is_err());
    assert!(ask_as(None).await.is_err());
}

const RULES: &str = r#"
    [[certificate]]
    claims = { uri = "spiffe://acme/ci/*" }
    namespaces = ["n"]
    role = "writer"

    [[certificate]]
    claims = { dns = "laptop" }
    role = "reader"
"#;

#[tokio::test]
async fn a_certificate_may_do_what_the_rules_say_unless_a_token_says_who_it_is() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let mut people = People::default();
    let (reader, other) = (people.token("default", &[], Role::Reader), people.token("other", &[], Role::Admin));
    let authenticator = people.authenticator();
    authenticator.replace_rules(Rules::parse(RULES).unwrap());
    let site = Site::asking(ServerSettings::default(), Some(people.authenticator())).await;
    site.open(CAPACITY).await;
    site.handle.secure(servers.vouch_for("localhost").shown(Some(&clients)));
    let connected = async |identity: &Identity| connect(&site, &servers, Some(identity), &[]).await.unwrap();
    let told = async |identity: &Identity, request: &str, token: Option<&str>| {
        let header = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let request = request.replacen("\r\n", &format!("\r\n{header}"), 1);
        ask(&mut connected(identity).await, &request).await.unwrap()
    };
    let ci = clients.vouch_for_uri("ci", Some("spiffe://acme/ci/7"));
    let (laptop, nobody) = (clients.vouch_for("laptop"), clients.vouch_for_uri("ci", Some("spiffe://acme/cix")));
    for (identity, request, token, status) in [
        (&ci, PUT, None, 200),
        (&ci, GET, None, 200),
        (&laptop, GET, None, 200),
        (&laptop, PUT, None, 403),
        (&nobody, GET, None, 401),
        (&nobody, GET, Some(&*reader), 200),
        // A token counts alone: what it may not do the certificate may not either.
        (&ci, PUT, Some(&*reader), 403),
        (&ci, GET, Some(&*other), 404),
        (&ci, GET, Some("wrong"), 401),
    ] {
        let answer = told(identity, request, token).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {answer}");
    }
    let elsewhere = told(&ci, &GET.replace("/n/", "/m/"), None).await;
    assert!(elsewhere.contains("403") && elsewhere.contains("namespace m"), "{elsewhere}");
    // Nobody has tried to be somebody but the one with the wrong token.
    let metrics = told(&laptop, &GET.replace("/http/n/key", "/metrics"), None).await;
    assert!(metrics.contains("\nkura_logins_failed_total 1\n"), "{metrics}");
    // On a connection that is open, other rules count from the next request on.
    let mut open = connected(&ci).await;
    let kept = GET.replace("Connection: close\r\n", "");
    open.write_all(kept.as_bytes()).await.unwrap();
    let mut answer = [0; 15];
    tokio::time::timeout(PATIENCE, open.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    authenticator.replace_rules(Rules::parse("").unwrap());
    let later = ask(&mut open, GET).await.unwrap();
    assert!(later.contains("HTTP/1.1 401 "), "{later}");
}

#[tokio::test]
async fn who_does_not_speak_tls_is_told_to() {
    let authority = Authority::new();
    let (site, _store) = secure(authority.vouch_for("localhost").shown(None)).await;
    let answer = site.get("/up").await;
    answer.refused(400);
    assert!(answer.text().contains("https://"), "{}", answer.text());
}

#[tokio::test]
async fn a_handshake_that_is_not_finished_ends_in_time() {
    let authority = Authority::new();
    let settings = ServerSettings { header_timeout: Duration::from_millis(50), ..ServerSettings::default() };
    let (site, _store) = Site::serving(settings).await;
    site.handle.secure(authority.vouch_for("localhost").shown(None));
    for said in [&b""[..], b"\x16\x03\x01"] {
        let mut client = site.connect().await;
        client.send(said).await;
        assert_eq!(client.closed().await, b"");
    }
}

#[test]
fn what_cannot_be_used_is_refused_by_name() {
    let authority = Authority::new();
    let (one, other) = (authority.vouch_for("one"), authority.vouch_for("other"));
    let made = |chain: &str, key: &str, clients: Option<&str>| {
        Tls::from_pem(chain.as_bytes(), key.as_bytes(), clients.map(str::as_bytes)).err().unwrap()
    };
    assert!(matches!(made("", &one.key, None), TlsError::NoCertificate(_)));
    assert!(matches!(made(&one.certificate, "", None), TlsError::NotPem { what: "the key", .. }));
    assert!(matches!(made(&one.certificate, &other.key, None), TlsError::Unusable(_)));
    assert!(matches!(made(&one.certificate, &one.key, Some("")), TlsError::NoCertificate(_)));
}
