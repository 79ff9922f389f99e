//! ContentAddressableStorage: what is missing, and batches.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use bazel_remote_apis::build::bazel::remote::execution::v2 as proto;
use proto::batch_update_blobs_request::Request;
use proto::content_addressable_storage_client::ContentAddressableStorageClient;
use support::{Site, digest, noise, refused};
use tonic::Code;
use tonic::transport::Channel;

/// What the capabilities say.
const MAX_BATCH: usize = (4 << 20) - (64 << 10);

async fn update(
    client: &mut ContentAddressableStorageClient<Channel>,
    requests: Vec<Request>,
) -> Result<Vec<(String, i32)>, tonic::Status> {
    let request = proto::BatchUpdateBlobsRequest { requests, ..Default::default() };
    let response = client.batch_update_blobs(request).await?.into_inner();
    let said = |response: proto::batch_update_blobs_response::Response| {
        (response.digest.unwrap_or_default().hash, response.status.unwrap().code)
    };
    Ok(response.responses.into_iter().map(said).collect())
}

async fn fetch(
    client: &mut ContentAddressableStorageClient<Channel>,
    digests: Vec<proto::Digest>,
) -> Result<Vec<(Vec<u8>, i32)>, tonic::Status> {
    let request = proto::BatchReadBlobsRequest { digests: digests.clone(), ..Default::default() };
    let response = client.batch_read_blobs(request).await?.into_inner();
    assert!(response.responses.iter().map(|response| response.digest.clone().unwrap()).eq(digests), "in order");
    Ok(response.responses.into_iter().map(|response| (response.data, response.status.unwrap().code)).collect())
}

fn blob(data: &[u8]) -> Request {
    Request { digest: Some(digest(data)), data: data.to_vec(), compressor: 0 }
}

#[tokio::test]
async fn what_is_missing_comes_back_as_it_was_asked_for() {
    let (site, _store) = Site::serving().await;
    let mut client = site.cas().await;
    let there = site.put(b"there").await;
    let mut other_size = there.clone();
    other_size.size_bytes = 6;
    let absent = digest(b"absent");
    let asked = vec![there.clone(), absent.clone(), digest(b""), other_size.clone(), absent.clone(), there];
    for digest_function in [0, 1] {
        let request =
            proto::FindMissingBlobsRequest { blob_digests: asked.clone(), digest_function, ..Default::default() };
        let response = client.find_missing_blobs(request).await.unwrap().into_inner();
        assert_eq!(response.missing_blob_digests, [absent.clone(), other_size.clone(), absent.clone()]);
    }
    let nothing = client.find_missing_blobs(proto::FindMissingBlobsRequest::default()).await.unwrap().into_inner();
    assert!(nothing.missing_blob_digests.is_empty());
}

#[tokio::test]
async fn ten_thousand_digests_are_looked_for_at_once() {
    let (site, _store) = Site::serving().await;
    let there = site.put(b"there").await;
    let mut asked: Vec<_> = (0..10_000_u32).map(|number| digest(&number.to_le_bytes())).collect();
    asked.insert(5000, there);
    let missing = site.missing(&asked).await;
    assert_eq!(missing, vec![4; 10_000]);
}

#[tokio::test]
async fn digests_that_are_none_are_refused() {
    let (site, _store) = Site::serving().await;
    let mut client = site.cas().await;
    let good = digest(b"x");
    let bad = |change: fn(&mut proto::Digest)| {
        let mut digest = good.clone();
        change(&mut digest);
        digest
    };
    for digest in [
        proto::Digest::default(),
        bad(|digest| digest.hash.clear()),
        bad(|digest| digest.size_bytes = -1),
        bad(|digest| digest.hash = digest.hash.to_uppercase()),
        bad(|digest| digest.hash.truncate(63)),
    ] {
        let request = proto::FindMissingBlobsRequest { blob_digests: vec![digest.clone()], ..Default::default() };
        refused(client.find_missing_blobs(request).await, Code::InvalidArgument);
        let one = Request { digest: Some(digest.clone()), data: b"x".to_vec(), compressor: 0 };
        assert_eq!(
            update(&mut client, vec![one]).await.unwrap(),
            [(digest.hash.clone(), Code::InvalidArgument as i32)]
        );
        assert_eq!(fetch(&mut client, vec![digest]).await.unwrap(), [(Vec::new(), Code::InvalidArgument as i32)]);
    }
    // A function that is not served, and one that does not fit.
    for digest_function in [4, 7, 99] {
        let request =
            proto::FindMissingBlobsRequest { blob_digests: vec![good.clone()], digest_function, ..Default::default() };
        refused(client.find_missing_blobs(request).await, Code::InvalidArgument);
    }
    let request = proto::FindMissingBlobsRequest { instance_name: "a//b".to_owned(), ..Default::default() };
    refused(client.find_missing_blobs(request).await, Code::InvalidArgument);
}

#[tokio::test]
async fn a_batch_is_stored_and_read_back_with_a_status_for_each_blob() {
    let (site, _store) = Site::serving().await;
    let mut client = site.cas().await;
    let bodies: Vec<Vec<u8>> = (0..100).map(|seed| noise(4096, seed)).collect();
    let stored = update(&mut client, bodies.iter().map(|body| blob(body)).collect()).await.unwrap();
    assert_eq!(stored, bodies.iter().map(|body| (digest(body).hash, 0)).collect::<Vec<_>>());
    let read = fetch(&mut client, bodies.iter().map(|body| digest(body)).collect()).await.unwrap();
    assert!(read == bodies.into_iter().map(|body| (body, 0)).collect::<Vec<_>>());
}

#[tokio::test]
async fn one_bad_blob_of_a_batch_is_refused_alone() {
    let (site, _store) = Site::serving().await;
    let mut client = site.cas().await;
    let mut wrong = blob(b"wrong");
    wrong.data = b"wrung".to_vec();
    let mut short = blob(b"short");
    short.data.pop();
    let missing = Request { digest: None, ..blob(b"none") };
    let compressed = Request { compressor: 3, ..blob(b"compressed") };
    let bad = Code::InvalidArgument as i32;
    let codes =
        update(&mut client, vec![blob(b"a"), wrong, short, missing, compressed, blob(b"b"), blob(b""), blob(b"a")])
            .await;
    let codes: Vec<i32> = codes.unwrap().into_iter().map(|(_, code)| code).collect();
    assert_eq!(codes, [0, bad, bad, bad, bad, 0, 0, 0]);
    assert_eq!(site.missing(&[digest(b"a"), digest(b"b"), digest(b"wrong"), digest(b"short")]).await, [5, 5]);
    let read = fetch(&mut client, vec![digest(b"a"), digest(b"wrong"), digest(b"a"), digest(b"")]).await.unwrap();
    let miss = Code::NotFound as i32;
    assert_eq!(read, [(b"a".to_vec(), 0), (Vec::new(), miss), (b"a".to_vec(), 0), (Vec::new(), 0)]);
}

#[tokio::test]
async fn a_batch_up_to_the_limit_is_taken_and_one_above_it_is_refused() {
    let (site, _store) = Site::serving().await;
    let mut client = site.cas().await;
    let body = noise(MAX_BATCH, 1);
    assert_eq!(update(&mut client, vec![blob(&body)]).await.unwrap()[0].1, 0);
    let read = fetch(&mut client, vec![digest(&body)]).await.unwrap();
    assert!(read[0] == (body.clone(), 0));

    refused(update(&mut client, vec![blob(&body), blob(b"x")]).await, Code::InvalidArgument);
    assert_eq!(site.missing(&[digest(b"x")]).await, [1]);
    site.put(b"x").await;
    refused(fetch(&mut client, vec![digest(&body), digest(b"x")]).await, Code::InvalidArgument);
    // Far above: refused before it has come in.
    refused(update(&mut client, vec![blob(&noise(8 << 20, 2))]).await, Code::InvalidArgument);
    let huge = proto::Digest { size_bytes: i64::MAX, ..digest(b"x") };
    refused(fetch(&mut client, vec![huge.clone(), huge]).await, Code::InvalidArgument);
}

#[tokio::test]
async fn an_answer_is_never_longer_than_clients_take() {
    let (site, _store) = Site::serving().await;
    let mut client = site.cas().await;
    let body = noise(400, 1);
    site.put(&body).await;
    // With what stands around them they do not fit, though the blobs alone do.
    let read = fetch(&mut client, vec![digest(&body); 10_000]).await.unwrap();
    let whole = read.iter().take_while(|(data, code)| *code == 0 && *data == body).count();
    assert!((7_000..10_000).contains(&whole), "{whole}");
    assert!(read[whole..].iter().all(|(data, code)| data.is_empty() && *code == Code::ResourceExhausted as i32));
}
