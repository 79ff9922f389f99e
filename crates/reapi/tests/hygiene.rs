//! Clients that call things off: what they hold is given back, and nothing is made of it.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use http::Request;
use support::raw::{Connection, full};
use support::{PATIENCE, Site};
use tokio::net::TcpStream;
use tokio::time::timeout;

#[tokio::test]
async fn an_upload_that_its_client_calls_off_without_an_error_is_not_stored() {
    let (site, _store) = Site::serving().await;
    let stream = TcpStream::connect(site.address).await.unwrap();
    let (requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let put = Request::put("http://test/http/a/b").body(()).unwrap();
    let (answer, mut upload) = requests.ready().await.unwrap().send_request(put, false).unwrap();
    upload.send_data("the first half".into(), false).unwrap();
    let came = "kura_http_received_bytes_total{surface=\"http\"}";
    timeout(PATIENCE, async { while site.metric(came).await == 0 {} }).await.unwrap();
    upload.send_reset(h2::Reason::NO_ERROR);
    assert!(answer.await.is_err());
    timeout(PATIENCE, async { while site.metric("kura_http_memory_in_flight_bytes").await > 0 {} }).await.unwrap();
    let connection = Connection::new(&site).await;
    let get = Request::get("http://test/http/a/b").body(full(b"")).unwrap();
    assert_eq!(connection.client.clone().send_request(get).await.unwrap().status(), 404);
}
