//! Uploads that break off and go on.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::time::Duration;

use bazel_remote_apis::google::bytestream::{QueryWriteStatusRequest, WriteRequest};
use kura_http::ServerSettings;
use kura_reapi::ReapiSettings;
use support::raw::{Connection, WRITE, framed, stepwise};
use support::{Site, blob, digest, noise, read, refused, sent, upload};
use tonic::Code;

/// What the server has of an upload, and whether that is all.
async fn status(site: &Site, name: &str) -> (i64, bool) {
    let request = QueryWriteStatusRequest { resource_name: name.to_owned() };
    let status = site.byte_stream().await.query_write_status(request).await.unwrap().into_inner();
    (status.committed_size, status.complete)
}

/// What is left of `data` from `offset` on.
fn rest(name: &str, data: &[u8], offset: i64) -> Vec<WriteRequest> {
    let mut all = support::messages(name, &data[offset as usize..], 64 << 10);
    all.iter_mut().for_each(|message| message.write_offset += offset);
    all
}

/// Sends the first `length` bytes of `data`, and breaks the connection off when they are there.
async fn break_off(site: &Site, name: &str, data: &[u8], length: usize) {
    let connection = Connection::new(site).await;
    let (sender, body) = stepwise();
    let mut begun = support::messages(name, &data[..length], 64 << 10);
    begun.last_mut().unwrap().finish_write = false;
    begun.iter().for_each(|message| sender.send(framed(message)).unwrap());
    tokio::select! {
        _ = connection.call(WRITE, body) => panic!("it cannot have ended"),
        () = async { while status(site, name).await != (length as i64, false) {} } => {}
    }
    connection.cut().await;
}

#[tokio::test]
async fn an_upload_whose_connection_broke_goes_on_where_it_stopped() {
    let (site, _store) = Site::serving().await;
    for length in [3000, 300_000, 3 << 20, 20 << 20] {
        let data = noise(length, length as u64);
        let name = upload(&digest(&data));
        break_off(&site, &name, &data, length / 2).await;
        break_off_again(&site, &name, &data).await;
        let (offset, complete) = status(&site, &name).await;
        assert!(offset > length as i64 / 2 && !complete, "{offset} of {length}");
        let all = sent(&mut site.byte_stream().await, rest(&name, &data, offset)).await.unwrap();
        assert_eq!(all, length as i64);
        assert_eq!(status(&site, &name).await, (length as i64, true));
        assert!(read(&mut site.byte_stream().await, &blob(&digest(&data))).await.unwrap() == data);
    }
    assert_eq!(site.metric("kura_memory_bytes{part=\"bodies\"}").await, 0, "all of it was given back");
}

/// Goes on for a while, and ends in the middle of a message.
async fn break_off_again(site: &Site, name: &str, data: &[u8]) {
    let connection = Connection::new(site).await;
    let (sender, body) = stepwise();
    let (offset, _) = status(site, name).await;
    let message = framed(&rest(name, data, offset)[0]);
    sender.send(message.slice(..message.len() - 10)).unwrap();
    tokio::select! {
        _ = connection.call(WRITE, body) => panic!("it cannot have ended"),
        () = async { while status(site, name).await.0 == offset {} } => {}
    }
    connection.cut().await;
}

#[tokio::test]
async fn a_call_whose_client_has_gone_elsewhere_lets_go() {
    let (site, _store) = Site::serving().await;
    let data = noise(300_000, 1);
    let name = upload(&digest(&data));
    let stuck = Connection::new(&site).await;
    let (sender, body) = stepwise();
    let mut begun = support::messages(&name, &data[..100_000], 64 << 10);
    begun.last_mut().unwrap().finish_write = false;
    begun.iter().for_each(|message| sender.send(framed(message)).unwrap());
    let on_another = async {
        while status(&site, &name).await != (100_000, false) {}
        sent(&mut site.byte_stream().await, rest(&name, &data, 100_000)).await
    };
    let (stuck, other) = tokio::join!(stuck.call(WRITE, body), on_another);
    assert_eq!(stuck.unwrap(), Code::Aborted);
    assert_eq!(other.unwrap(), 300_000);
}

#[tokio::test]
async fn an_upload_goes_on_at_no_later_place() {
    let (site, _store) = Site::serving().await;
    let mut client = site.byte_stream().await;
    let data = noise(300_000, 1);
    let name = upload(&digest(&data));
    refused(sent(&mut client, rest(&name, &data, 1000)).await, Code::InvalidArgument);
    break_off(&site, &name, &data, 100_000).await;
    for offset in [100_001, 299_999] {
        refused(sent(&mut client, rest(&name, &data, offset)).await, Code::InvalidArgument);
    }
    let another = name.replace("0e8f", "1e8f");
    refused(sent(&mut client, rest(&another, &data, 100_000)).await, Code::InvalidArgument);
    assert_eq!(sent(&mut client, rest(&name, &data, 100_000)).await.unwrap(), 300_000);
}

#[tokio::test]
async fn what_had_come_and_is_sent_again_is_passed_over() {
    // More may have come than the client was told: its broken call is read to the end.
    let (site, _store) = Site::serving().await;
    for offset in [1_i64, 65_536, 99_999] {
        let data = noise(300_000, offset.unsigned_abs());
        let name = upload(&digest(&data));
        break_off(&site, &name, &data, 100_000).await;
        let mut client = site.byte_stream().await;
        assert_eq!(sent(&mut client, rest(&name, &data, offset)).await.unwrap(), 300_000);
        assert!(read(&mut client, &blob(&digest(&data))).await.unwrap() == data);
    }
}

#[tokio::test]
async fn an_upload_may_begin_anew() {
    let (site, _store) = Site::serving().await;
    let data = noise(300_000, 1);
    let name = upload(&digest(&data));
    break_off(&site, &name, &data, 100_000).await;
    assert_eq!(sent(&mut site.byte_stream().await, rest(&name, &data, 0)).await.unwrap(), 300_000);
    assert_eq!(site.metric("kura_memory_bytes{part=\"bodies\"}").await, 0, "the old one was forgotten");
}

#[tokio::test]
async fn a_client_may_end_a_call_without_finishing_the_upload() {
    let (site, _store) = Site::serving().await;
    let mut client = site.byte_stream().await;
    let data = noise(300_000, 1);
    let name = upload(&digest(&data));
    let mut begun = support::messages(&name, &data[..100_000], 64 << 10);
    begun.last_mut().unwrap().finish_write = false;
    assert_eq!(sent(&mut client, begun).await.unwrap(), 100_000);
    assert_eq!(status(&site, &name).await, (100_000, false));
    assert_eq!(sent(&mut client, rest(&name, &data, 100_000)).await.unwrap(), 300_000);
}

#[tokio::test]
async fn what_was_spoilt_does_not_go_on() {
    let (site, _store) = Site::serving().await;
    let data = noise(300_000, 1);
    let name = upload(&digest(&data));
    break_off(&site, &name, &noise(300_000, 2), 100_000).await;
    refused(sent(&mut site.byte_stream().await, rest(&name, &data, 100_000)).await, Code::InvalidArgument);
    assert_eq!(status(&site, &name).await, (0, false));
    assert_eq!(sent(&mut site.byte_stream().await, rest(&name, &data, 0)).await.unwrap(), 300_000);
}

#[tokio::test]
async fn only_so_many_are_kept_and_only_for_so_long() {
    let settings =
        ReapiSettings { resumable_uploads: 2, resumable_for: Duration::from_millis(500), ..ReapiSettings::default() };
    let (site, _store) = Site::with(ServerSettings::default(), settings).await;
    let mut names = Vec::new();
    for seed in 0..3 {
        let data = noise(300_000, seed);
        names.push(upload(&digest(&data)));
        break_off(&site, &names[seed as usize], &data, 100_000).await;
        // It is kept once it has been noticed.
        while site.metric("kura_grpc_calls_total{method=\"Write\",code=\"CANCELLED\"}").await < seed + 1 {}
    }
    assert_eq!(status(&site, &names[0]).await, (0, false), "the oldest had to go");
    assert_eq!(status(&site, &names[2]).await, (100_000, false));
    while status(&site, &names[2]).await != (0, false) {}
    assert_eq!(site.metric("kura_memory_bytes{part=\"bodies\"}").await, 0);
}
