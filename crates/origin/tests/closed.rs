//! Where nothing is fetched from, whatever it is called.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use kura_origin::{Error, is_fetchable};
use support::{Origin, elsewhere, fetched, ok, origins};

#[tokio::test]
async fn this_machine_is_closed_by_each_of_its_names() {
    let origin = Origin::new(|_| ok(b"secret")).await;
    let port = origin.address.port();
    for host in
        ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "[::]"]
    {
        let found = fetched(&origins(&[]), &format!("http://{host}:{port}/")).await;
        assert!(matches!(found, Err(Error::Closed(_))), "{host}: {found:?}");
    }
    assert_eq!(origin.connections(), 0);
    assert_eq!(fetched(&origins(&["127.0.0.0/8"]), &origin.uri("/")).await.unwrap(), b"secret");
}

#[tokio::test]
async fn a_redirect_opens_nothing() {
    let inner = Origin::at("127.0.0.2", None, |_| ok(b"secret")).await;
    let outer = Origin::new(|path| elsewhere(&format!("http:/{path}"))).await;
    let uri = outer.uri(&format!("/{}/", inner.address));
    let found = fetched(&origins(&["127.0.0.1"]), &uri).await;
    assert!(matches!(found, Err(Error::Closed(_))), "{found:?}");
    assert_eq!((outer.connections(), inner.connections()), (1, 0));
    assert_eq!(fetched(&origins(&["127.0.0.0/8"]), &uri).await.unwrap(), b"secret");
    let file =
        fetched(&origins(&["127.0.0.1"]), &Origin::new(|_| elsewhere("file:///etc/passwd")).await.uri("/")).await;
    assert!(matches!(file, Err(Error::NotFetchable(_))), "{file:?}");
}

#[test]
fn only_http_and_https_are_fetchable() {
    assert!(is_fetchable("http://h/") && is_fetchable("HTTPS://h/"));
    for other in ["urn:a:b", "ftp://h/", "file:///etc/passwd", "h", "", "http:h"] {
        assert!(!is_fetchable(other), "{other}");
    }
}
