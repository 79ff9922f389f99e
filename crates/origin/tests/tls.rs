//! Origins that have to prove who they are.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::sync::Arc;

use kura_origin::{Error, Origins, Settings};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use support::{Answer, Origin, elsewhere, fetched, ok, settings};
use tokio_rustls::TlsAcceptor;

fn certificate(pem: &[u8]) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem).unwrap()
}

/// What `localhost` has to show, from `tls/root.pem`.
fn acceptor() -> TlsAcceptor {
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/key.pem")).unwrap();
    let cryptography = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ServerConfig::builder_with_provider(cryptography).with_safe_default_protocol_versions().unwrap();
    let shown = vec![certificate(include_bytes!("tls/localhost.pem"))];
    TlsAcceptor::from(Arc::new(versions.with_no_client_auth().with_single_cert(shown, key).unwrap()))
}

fn trusting() -> Origins {
    let roots = vec![certificate(include_bytes!("tls/root.pem"))];
    Origins::new(Settings { roots, ..settings(&["127.0.0.0/8"]) })
}

#[tokio::test]
async fn an_origin_is_believed_that_a_root_vouches_for_under_its_name() {
    let origin = Origin::at("127.0.0.1", Some(acceptor()), |_| ok(&[1; 100_000])).await;
    let port = origin.address.port();
    let named = format!("https://localhost:{port}/");
    assert!(fetched(&trusting(), &named).await.unwrap() == [1; 100_000]);
    let untrusting = Origins::new(settings(&["127.0.0.0/8"]));
    let found = fetched(&untrusting, &named).await;
    assert!(matches!(found, Err(Error::Unavailable(_))), "{found:?}");
    let misnamed = fetched(&trusting(), &format!("https://127.0.0.1:{port}/")).await;
    assert!(matches!(misnamed, Err(Error::Unavailable(_))), "{misnamed:?}");
}

#[tokio::test]
async fn a_body_that_is_cut_short_fails_under_tls_too() {
    let short = |_: &str| Answer::Ends(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc".to_vec());
    let origin = Origin::at("127.0.0.1", Some(acceptor()), short).await;
    let found = fetched(&trusting(), &format!("https://localhost:{}/", origin.address.port())).await;
    assert!(matches!(found, Err(Error::Unavailable(_))), "{found:?}");
}

#[tokio::test]
async fn https_does_not_lead_to_http() {
    let plain = Origin::new(|_| ok(b"anybody's")).await;
    let secure = Origin::at("127.0.0.1", Some(acceptor()), |path| elsewhere(&format!("http:/{path}"))).await;
    let uri = format!("https://localhost:{}/{}/", secure.address.port(), plain.address);
    let found = fetched(&trusting(), &uri).await;
    assert!(matches!(found, Err(Error::Closed(_))), "{found:?}");
    assert_eq!(plain.connections(), 0);
}
